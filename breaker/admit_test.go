package breaker

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A call that looked at the word while the breaker was half-open, say, may find
// it closed once it has the lock: it runs as any other.
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

// A listener that exits the goroutine when it hears of half-open does not take
// the probe's place with it (I2).
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

// A breaker that checks contexts before each call judges what it let through: a
// deadline that passes during the call is a failure, however late the call
// returns (I4).
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

// A call whose context is over before it begins runs where it does no harm, and
// counts nowhere (I4).
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

// A mark counts for nothing on a breaker that does not allow bypassing, also
// where it looks at contexts anyway.
func TestMarkWithoutLeave(t *testing.T) {
	b := New("b", Settings{FailMax: 1})
	_ = b.Do(WithBypass(t.Context(), "x"), broken)
	is(t, b, Open)
	if err := b.Do(WithBypassProbe(t.Context(), "x"), nop); !errors.Is(err, ErrOpen) {
		t.Errorf("a marked call: %v, want it rejected", err)
	}
}

// Behind forced-closed every call is admitted, in a ramp as well, and the ramp
// goes on behind it.
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

// The rejection of a half-open breaker says when a probe's place is free: that
// of the probe that is out now, not of one before it.
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
