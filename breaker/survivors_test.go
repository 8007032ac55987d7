package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// These tests kill mutants of the engine that the others let live
// (go run ./internal/mutate all).

// A slow success is no failure: it can meet the slow-call rate, never the
// failure rate (I6).
func TestSlowSuccessDoesNotDecideOnFailures(t *testing.T) {
	slow := func(context.Context) error { time.Sleep(2 * time.Second); return nil }
	lax := breaker.Settings{FailMax: -1, FailureRate: 0.9, Confidence: 0.95, SlowCall: time.Second}
	sure := breaker.Settings{FailMax: -1, FailureRate: 0.2, Confidence: 0.9, SlowCall: time.Second}
	rate := breaker.Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4, SlowCall: time.Second}
	for _, c := range []struct {
		name        string
		first, then breaker.Settings // three failures meet no rule under the first
	}{
		{"rate", rate, rate},
		{"confidence", lax, sure},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("x", c.first)
				for range 3 {
					_ = b.Do(t.Context(), proofFail)
				}
				if err := b.Update(c.then); err != nil {
					t.Fatal(err)
				}
				if err := b.Do(t.Context(), slow); err != nil {
					t.Fatal(err)
				}
				if got := b.State(); got != breaker.Closed {
					t.Errorf("a slow success opened it by failures: %s", got)
				}
				_ = b.Do(t.Context(), proofFail)
				if got := b.State(); got != breaker.Open {
					t.Errorf("%s after a failure, want open", got)
				}
			})
		})
	}
}
