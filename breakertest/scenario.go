package breakertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Scenario is a breaker before a dependency that misbehaves as scripted.
type Scenario struct {
	Settings breaker.Settings
	Options  []breaker.Option // rules of the program's own, a classifier
	// Fault is what the calls meet. Default: Healthy(0).
	Fault Fault
	// Every is the time between calls, which do not wait for each other.
	// Default 100 ms.
	Every time.Duration
	// Timeout is the time limit of each call, on its context. Default none.
	Timeout time.Duration
}

// Limit ends a scenario: after so many calls, or so much time, whichever comes
// first. A zero field is no limit, but one there must be.
type Limit struct {
	Calls int // calls made, rejected ones included
	Time  time.Duration
}

// String says the limit as in "30 calls or 5s".
func (l Limit) String() string {
	switch {
	case l.Calls <= 0:
		return l.Time.String()
	case l.Time <= 0:
		return fmt.Sprintf("%d calls", l.Calls)
	}
	return fmt.Sprintf("%d calls or %s", l.Calls, l.Time)
}

// Result is what came of a scenario.
type Result struct {
	Opened bool
	Why    breaker.Transition // the transition that opened it
	Calls  int                // calls made until it opened, or to the limit
	After  time.Duration      // time until it opened, or to the limit
	Status breaker.Status     // when all calls had ended
}

// Run makes calls until the breaker opens by itself, or to the limit, and waits
// for those that are under way. It panics on settings that are invalid, and on
// a limit without limits.
func (s Scenario) Run(limit Limit) Result {
	if limit.Calls <= 0 && limit.Time <= 0 {
		panic("breakertest: a Limit needs Calls or Time, else the scenario might never end")
	}
	if s.Fault == nil {
		s.Fault = Healthy(0)
	}
	if s.Every <= 0 {
		s.Every = 100 * time.Millisecond
	}
	var opened atomic.Pointer[breaker.Transition] // the first that opened it
	b := breaker.New("scenario", s.Settings, append(slices.Clip(s.Options), breaker.WithListener(breaker.Listener{
		StateChange: func(_ *breaker.Breaker, t breaker.Transition) {
			if t.To == breaker.Open {
				opened.CompareAndSwap(nil, &t)
			}
		},
	}))...)
	began := time.Now()
	calls := s.callAll(b, limit, func() bool {
		t := opened.Load()
		return t != nil && t.At.Before(time.Now()) // a call of the same moment is made in any case
	})
	r := Result{Calls: calls, After: time.Since(began), Status: b.Status()}
	if t := opened.Load(); t != nil {
		after := t.At.Sub(began)
		if limit.Time <= 0 || after <= limit.Time {
			r.Opened, r.Why, r.After = true, *t, after
			r.Calls = min(calls, 1+int(after/s.Every))
		}
	}
	return r
}

// callAll makes the calls and returns how many it made when all have ended.
func (s Scenario) callAll(b *breaker.Breaker, limit Limit, stop func() bool) (n int) {
	var calls sync.WaitGroup
	defer calls.Wait()
	began := time.Now()
	for !stop() && (limit.Calls <= 0 || n < limit.Calls) && (limit.Time <= 0 || time.Since(began) < limit.Time) {
		n++
		number, since := n, time.Since(began)
		calls.Go(func() { s.call(b, number, since) })
		time.Sleep(s.Every)
	}
	return n
}

// call makes one call. Scripted panics end here.
func (s Scenario) call(b *breaker.Breaker, n int, since time.Duration) {
	ctx := context.Background()
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Timeout)
		defer cancel()
	}
	reply := s.Fault(n, since)
	defer func() {
		if p := recover(); p != nil && p != reply.Panic {
			panic(p)
		}
	}()
	_ = b.Do(ctx, reply.call) // the recorder and the result tell what became of it
}

// AssertOpens fails the test unless the breaker opens by itself within the
// limit.
func AssertOpens(t testing.TB, s Scenario, within Limit) Result {
	t.Helper()
	r := s.Run(within)
	if !r.Opened {
		t.Errorf("the breaker did not open within %s, %d calls in %s: %s", within, r.Calls, r.After, r.Status.Explain())
	}
	return r
}

// AssertStaysClosed fails the test if the breaker opens by itself before the
// limit.
func AssertStaysClosed(t testing.TB, s Scenario, until Limit) Result {
	t.Helper()
	r := s.Run(until)
	if r.Opened {
		t.Errorf("the breaker opened at call %d after %s, want it closed for %s: %s", r.Calls, r.After, until, r.Why.Summary())
	}
	return r
}
