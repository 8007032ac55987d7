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

// Scenario is a breaker in front of a dependency that behaves as scripted.
type Scenario struct {
	Settings breaker.Settings
	Options  []breaker.Option // for example rules of the program's own, or a classifier
	// Fault is the dependency. Default Healthy(0).
	Fault Fault
	// Every is the time between calls. Calls do not wait for each other. Default
	// 100 ms.
	Every time.Duration
	// Timeout is the timeout of each call, on its context. Default none.
	Timeout time.Duration
}

// Limit ends a scenario after a number of calls or a time, whichever comes
// first. A zero field is no limit, but at least one must be set.
type Limit struct {
	Calls int // calls made, including rejected ones
	Time  time.Duration
}

// String returns the limit, such as "30 calls or 5s".
func (l Limit) String() string {
	switch {
	case l.Calls <= 0:
		return l.Time.String()
	case l.Time <= 0:
		return fmt.Sprintf("%d calls", l.Calls)
	}
	return fmt.Sprintf("%d calls or %s", l.Calls, l.Time)
}

// Result is the result of a scenario.
type Result struct {
	Opened bool
	Why    breaker.Transition // the transition that opened it
	Calls  int                // calls made until it opened, or until the limit
	After  time.Duration      // time until it opened, or until the limit
	Status breaker.Status     // after all calls had ended
}

// Run makes calls until the breaker trips or the limit is reached, and then
// waits for the calls that are still running. It panics if the settings are
// invalid or the limit has no field set.
func (s Scenario) Run(limit Limit) Result {
	if limit.Calls <= 0 && limit.Time <= 0 {
		panic("breakertest: a Limit needs Calls or Time, otherwise the scenario might never end")
	}
	if s.Fault == nil {
		s.Fault = Healthy(0)
	}
	if s.Every <= 0 {
		s.Every = 100 * time.Millisecond
	}
	var opened atomic.Pointer[breaker.Transition] // the first transition to open
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
		return t != nil && t.At.Before(time.Now()) // a call due at the same moment is still made
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

// callAll makes the calls, waits until they have ended, and returns their
// number.
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

// call makes one call. A scripted panic ends here.
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
	_ = b.Do(ctx, reply.call) // the result is visible in the breaker's status and its listeners
}

// AssertOpens runs the scenario and fails the test unless the breaker trips
// within the limit.
func AssertOpens(t testing.TB, s Scenario, within Limit) Result {
	t.Helper()
	r := s.Run(within)
	if !r.Opened {
		t.Errorf("the breaker did not open within %s, %d calls in %s: %s", within, r.Calls, r.After, r.Status.Explain())
	}
	return r
}

// AssertStaysClosed runs the scenario and fails the test if the breaker trips
// before the limit.
func AssertStaysClosed(t testing.TB, s Scenario, until Limit) Result {
	t.Helper()
	r := s.Run(until)
	if r.Opened {
		t.Errorf("the breaker opened at call %d after %s, want it closed for %s: %s", r.Calls, r.After, until, r.Why.Summary())
	}
	return r
}
