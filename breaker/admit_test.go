package breaker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A call that loaded the word while the breaker was half-open, for example,
// may find it closed once it has the lock. It then runs like any other call.
func TestClosedBeforeTheLock(t *testing.T) {
	for name, do := range map[string]func(*Breaker){
		"new":    func(*Breaker) {},
		"closed": func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") },
	} {
		b := New("db", Settings{})
		do(b)
		p, ok := b.admitLocking(mark{})
		if !ok {
			t.Errorf("%s: not admitted", name)
			continue
		}
		p.Done(errX)
		if n := b.FailCount(); n != 1 {
			t.Errorf("%s: %d failures, want 1", name, n)
		}
	}
}

// A listener that exits the goroutine when the breaker becomes half-open does
// not keep the probe's place (I2).
func TestGoexitAtHalfOpenReturnsThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, ProbeTimeout: time.Hour},
			WithListener(Listener{StateChange: func(_ *Breaker, x Transition) {
				if x.To == HalfOpen {
					runtime.Goexit()
				}
			}}))
		_ = b.Do(t.Context(), broken)
		time.Sleep(time.Second)
		synctest.Wait()
		go func() {
			_, err := b.Allow()
			t.Errorf("Allow returned (%v), want its goroutine to be gone", err)
		}()
		synctest.Wait()
		if n := b.Status().ProbesOut; n != 0 {
			t.Errorf("%d probes are out, want none", n)
		}
	})
}

// A breaker that checks contexts before each call judges the calls that it
// admitted: a deadline that passes during the call is a failure, however late
// the call returns (I4).
func TestDeadlineDuringACheckedCall(t *testing.T) {
	for name, prepare := range map[string]func(*Breaker){
		"closed":    func(*Breaker) {},
		"half-open": func(b *Breaker) { _ = b.HalfOpen(Order{}) },
		"ramp":      func(b *Breaker) { _ = b.HalfOpen(Order{}); play(b, "s"); wait(time.Minute - 1) },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("b", Settings{FailMax: 1, Ramp: time.Minute})
			prepare(b)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for range 2 { // in the ramp the first call may be rejected
				_ = b.Do(ctx, func(ctx context.Context) error { time.Sleep(time.Hour); return ctx.Err() })
			}
			if got := b.Status(); got.State != Open {
				t.Errorf("%s: %s after a call that hung", name, got.State)
			}
		})
	}
}

// A call whose context is over before it begins runs where it does no harm,
// and is never counted (I4).
func TestLateCallRunsWhereItDoesNoHarm(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*Breaker)
		runs    bool
	}{
		"closed":                      {func(*Breaker) {}, true},
		"ramp":                        {func(b *Breaker) { _ = b.HalfOpen(Order{}); play(b, "s") }, true},
		"open":                        {func(b *Breaker) { _ = b.Open(Order{}) }, false},
		"half-open":                   {func(b *Breaker) { _ = b.HalfOpen(Order{}) }, false},
		"forced closed":               {func(b *Breaker) { _ = b.ForceClosed(Order{}) }, true},
		"forced closed, open beneath": {func(b *Breaker) { _ = b.Open(Order{}); _ = b.ForceClosed(Order{}) }, true},
		"forced closed, in a ramp":    {func(b *Breaker) { _ = b.HalfOpen(Order{}); play(b, "s"); _ = b.ForceClosed(Order{}) }, true},
		"forced open":                 {func(b *Breaker) { _ = b.ForceOpen(Order{}) }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("b", Settings{FailMax: 1, Ramp: time.Hour})
			c.prepare(b)
			before := b.Status()
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Millisecond))
			defer cancel()
			ran := false
			err := b.Do(ctx, func(context.Context) error { ran = true; return errX })
			if ran != c.runs || ran && err != errX || !ran && !errors.Is(err, ErrOpen) {
				t.Errorf("%s: it ran: %v, %v, want %v", name, ran, err, c.runs)
			}
			if after := b.Status(); after.Auto != before.Auto || after.FailCount != before.FailCount || after.ProbesOut != 0 {
				t.Errorf("%s: it changed %+v to %+v", name, before, after)
			}
		})
	}
}

// A mark has no effect on a breaker that does not allow bypassing, even if it
// checks contexts anyway.
func TestMarkWithoutPermission(t *testing.T) {
	b := New("b", Settings{FailMax: 1})
	_ = b.Do(WithBypass(t.Context(), "x"), broken)
	is(t, b, Open)
	if err := b.Do(WithBypassProbe(t.Context(), "x"), nop); !errors.Is(err, ErrOpen) {
		t.Errorf("a marked call: %v, want it rejected", err)
	}
}

// Behind forced-closed every call is admitted, also in a ramp, and the ramp
// continues behind it.
func TestForcedClosedInARamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", Settings{Ramp: 100 * time.Second})
		_ = b.HalfOpen(Order{})
		play(b, "s")
		wait(50 * time.Second)
		_ = b.ForceClosed(Order{})
		for range 20 {
			if err := b.Do(t.Context(), nop); err != nil {
				t.Fatal(err)
			}
		}
		_ = b.Release(Order{})
		admitted := 0
		for range 20 {
			admitted += btoi(b.Do(t.Context(), nop) == nil)
		}
		if admitted != 10 {
			t.Errorf("released in the middle of the ramp, it admits %d of 20 calls, want 10", admitted)
		}
	})
}

// The rejection of a half-open breaker says when a place will be free: that of
// the probe that is running now, not of an earlier one.
func TestRetryAfterWhileHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", Settings{ProbeTimeout: 20 * time.Second, ResetBackoff: 2, Probes: 2})
		_ = b.HalfOpen(Order{})
		retry := func(want time.Duration) {
			t.Helper()
			var open *OpenError
			if err := b.Do(t.Context(), nop); !errors.As(err, &open) || open.RetryAfter() != want {
				t.Errorf("rejected with %v, want it for %s", err, want)
			}
		}
		first, _ := b.Allow()
		wait(5 * time.Second)
		_, _ = b.Allow() // lost
		retry(15 * time.Second)
		wait(time.Second)
		retry(14 * time.Second)
		first.Ignore()
		_, _ = b.Allow()
		retry(19 * time.Second)
		wait(19 * time.Second)
		_, _ = b.Allow() // after one lease ran out: 40 s
		retry(time.Second)
		wait(time.Second)
		_, _ = b.Allow() // after two: 80 s
		retry(39 * time.Second)
	})
}

// A call that a mark lets through a ramp takes one share, so that calls without a
// mark have theirs.
func TestMarkedCallsLeaveTheRampToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Ramp: 10 * time.Second}, WithBypassAllowed())
		play(b, "f.s..") // a fifth of the ramp
		marked, plain := 0, 0
		for range 100 {
			marked += btoi(b.Do(WithBypassProbe(bg, "health"), nop) == nil)
			plain += btoi(b.Do(bg, nop) == nil)
		}
		if marked != 100 || plain != 20 {
			t.Errorf("%d marked and %d plain calls were admitted of 100 each, want 100 and 20", marked, plain)
		}
	})
}

// I3: there are never more than Probes probes in flight; other calls are
// rejected at once.
func TestProbesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 1, Probes: 3, SuccessThreshold: 5})
		b.Open(Order{})
		time.Sleep(time.Minute)
		synctest.Wait()
		release := make(chan error)
		var mu sync.Mutex
		running, rejected := 0, 0
		for range 500 {
			go func() {
				err := b.Do(bg, func(context.Context) error {
					mu.Lock()
					running++
					mu.Unlock()
					return <-release
				})
				if errors.Is(err, ErrOpen) {
					mu.Lock()
					rejected++
					mu.Unlock()
				}
			}()
		}
		synctest.Wait()
		if running != 3 || rejected != 497 {
			t.Fatalf("%d run and %d were rejected, want 3 and 497", running, rejected)
		}
		if s := b.Status(); s.ProbesOut != 3 {
			t.Errorf("status says %d probes are out, want 3", s.ProbesOut)
		}
		for range 3 {
			release <- nil
		}
		synctest.Wait()
		is(t, b, HalfOpen)
		for range 2 {
			if err := b.Do(bg, nop); err != nil {
				t.Fatal(err)
			}
		}
		is(t, b, Closed)
	})
}

// A breaker without a rule opens again when a probe fails, and says why.
func TestProbeOfABreakerWithoutRules(t *testing.T) {
	b := New("b", Settings{FailMax: -1})
	b.HalfOpen(Order{})
	play(b, "f")
	all := b.History()
	if last := all[len(all)-1]; b.State() != Open || len(last.Errors) != 1 || last.Errors[0].Error != errX.Error() {
		t.Errorf("%s, recorded as %+v", b.State(), last)
	}
}

// A probe admitted in an earlier half-open period has no effect in a later
// one, even if its lease's number is in use again.
func TestForeignProbe(t *testing.T) {
	for _, err := range []error{nil, errX} {
		b := New("x", Settings{FailMax: 1, Probes: 2, SuccessThreshold: 2})
		b.HalfOpen(Order{})
		old, _ := b.Allow()
		b.HalfOpen(Order{}) // the same state, a new period
		p, _ := b.Allow()
		old.Done(err)
		is(t, b, HalfOpen)
		if s := b.Status(); s.ProbesOut != 1 || s.ProbeSuccesses != 0 {
			t.Errorf("after a foreign probe: %+v", s)
		}
		p.Done(nil)
		if n := b.Status().ProbeSuccesses; n != 1 {
			t.Errorf("%d successes, want 1", n)
		}
	}
}

// Settling a call during the ramp is not a new call: it must neither use up
// nor add to the calls that the ramp may admit.
func TestFailureInRampIsNotAnAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1000, Ramp: 100 * time.Second})
		b.HalfOpen(Order{})
		if err := b.Do(t.Context(), nop); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		admitted := 0
		for range 100 {
			if errors.Is(b.Do(t.Context(), broken), errX) {
				admitted++
			}
		}
		if admitted < 49 || admitted > 51 {
			t.Errorf("%d of 100 failing calls admitted at half of the ramp, want 50", admitted)
		}
	})
}

// Behind forced-closed, a call for which there is no probe's place runs, is
// observed, and decides nothing.
func TestForcedClosedWithoutAPlace(t *testing.T) {
	var m Manager
	b := m.Breaker("x")
	_ = b.HalfOpen(Order{})
	p, _ := b.Allow()
	_ = b.ForceClosed(Order{})
	_ = b.ForceClosed(Order{})
	m.Observe()
	_ = b.Do(bg, broken)
	q, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	q.Done(errX)
	if got := b.Status(); got.Auto != HalfOpen || got.ProbesOut != 1 {
		t.Errorf("it is %s with %d probes out, want half-open with 1", got.Auto, got.ProbesOut)
	}
	for _, n := range m.Calls() {
		if n.Failures != 2 {
			t.Errorf("%d failures are observed, want 2", n.Failures)
		}
	}
	p.Done(nil)
}
