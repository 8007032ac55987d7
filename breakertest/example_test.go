package breakertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/breakertest"
)

var payments = breaker.Settings{FailureRate: 0.5, ResetTimeout: 10 * time.Second}

// As in your tests. In the bubble the scenarios take no time.
func ExampleAssertOpens() {
	_ = func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			breakertest.AssertOpens(t, breakertest.Scenario{
				Settings: payments,
				Fault:    breakertest.Dead(2 * time.Second), // their time limit is 2 s
			}, breakertest.Limit{Calls: 30, Time: 5 * time.Second})
		})
	}
}

func ExampleAssertStaysClosed() {
	_ = func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			breakertest.AssertStaysClosed(t, breakertest.Scenario{
				Settings: payments,
				Fault:    breakertest.Failing(0.01), // what is usual there
				Every:    10 * time.Millisecond,
			}, breakertest.Limit{Time: time.Hour})
		})
	}
}

func ExampleScenario_Run() {
	r := breakertest.Scenario{
		Settings: payments,
		Fault:    breakertest.Healthy(0).UntilCall(20, breakertest.Dead(0)),
		Every:    time.Microsecond,
	}.Run(breakertest.Limit{Calls: 100})
	fmt.Println(r.Opened, r.Why.Summary())
	// Output: true 5 failures in a row; last error: scripted fault
}

func ExampleRecorder() {
	var rec breakertest.Recorder
	b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithListener(rec.Listener()))

	for range 2 {
		_ = b.Do(context.Background(), func(context.Context) error { return errors.New("down") })
	}
	fmt.Println(&rec)
	// Output: before failure closed>open rejected
}
