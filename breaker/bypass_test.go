package breaker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// How a marked call is treated, and what it changes, in each state.
func TestBypass(t *testing.T) {
	open := func(b *Breaker) { b.Open(Order{}) }
	shut := func(b *Breaker) { open(b); play(b, "s") } // a call has been rejected before
	due := func(b *Breaker) { b.Open(Order{For: time.Second}); time.Sleep(time.Minute); synctest.Wait() }
	halfOpen := func(b *Breaker) { b.HalfOpen(Order{}) }
	probed := func(b *Breaker) { b.HalfOpen(Order{}); _, _ = b.Allow() }
	ramping := func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }
	forcedOpen := func(b *Breaker) { b.ForceOpen(Order{}) }
	openForcedClosed := func(b *Breaker) { b.Open(Order{}); b.ForceClosed(Order{}) }
	closed := func(*Breaker) {}
	for _, c := range []struct {
		name    string
		prepare func(*Breaker)
		mark    func(context.Context, string) context.Context
		fn      func(context.Context) error
		runs    bool
		want    State
		count   uint64
		fails   int
	}{
		{"closed", closed, WithBypass, broken, true, Closed, 0, 0},
		{"open", open, WithBypass, broken, true, Open, 1, 0},
		{"open, good", open, WithBypass, nop, true, Open, 1, 0},
		{"open, others were rejected", shut, WithBypass, nop, true, Open, 1, 0},
		{"open, others were rejected, as evidence", shut, WithBypassProbe, nop, true, Closed, 1, 0},
		{"due", due, WithBypass, broken, true, Open, 1, 0},
		{"half-open", halfOpen, WithBypass, broken, true, HalfOpen, 1, 0},
		{"half-open, good", halfOpen, WithBypass, nop, true, HalfOpen, 1, 0},
		{"half-open, probes out", probed, WithBypass, nop, true, HalfOpen, 1, 0},
		{"ramping", ramping, WithBypass, broken, true, Closed, 1, 0},
		{"forced open", forcedOpen, WithBypass, nop, false, ForcedOpen, 0, 0},
		{"forced closed over open", openForcedClosed, WithBypass, nop, true, ForcedClosed, 0, 0},

		{"closed, as evidence", closed, WithBypassProbe, broken, true, Closed, 0, 1},
		{"open, as evidence", open, WithBypassProbe, broken, true, Open, 1, 1},
		{"open, as evidence, good", open, WithBypassProbe, nop, true, Closed, 1, 0},
		{"due, as evidence, good", due, WithBypassProbe, nop, true, Closed, 0, 0},
		{"half-open, as evidence", halfOpen, WithBypassProbe, broken, true, Open, 0, 1},
		{"half-open, probes out, as evidence", probed, WithBypassProbe, nop, true, HalfOpen, 1, 0},
		{"forced open, as evidence", forcedOpen, WithBypassProbe, nop, false, ForcedOpen, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{FailMax: 5, Ramp: time.Hour}, WithBypassAllowed())
				c.prepare(b)
				ran := false
				err := b.Do(c.mark(t.Context(), "migration 7"), func(ctx context.Context) error { ran = true; return c.fn(ctx) })
				if ran != c.runs || ran == errors.Is(err, ErrOpen) {
					t.Fatalf("ran: %v, err: %v; want it to run: %v", ran, err, c.runs)
				}
				is(t, b, c.want)
				s := b.Status()
				if s.Bypassed != c.count || c.count > 0 && s.Bypass != "migration 7" || s.FailCount != c.fails {
					t.Errorf("bypassed %d times (%q), %d failures; want %d, %d", s.Bypassed, s.Bypass, s.FailCount, c.count, c.fails)
				}
			})
		})
	}
}

// A bypassing call is not evidence in a window either, and other contexts are
// not affected.
func TestBypassCountsNowhere(t *testing.T) {
	b := New("x", Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4}, WithBypassAllowed())
	ctx := WithBypass(t.Context(), "migration")
	var heard int
	b.AddListener(Listener{
		Success: func(*Breaker) { heard++ },
		Failure: func(*Breaker, error) { heard++ },
	})
	for range 100 {
		_ = b.Do(ctx, broken)
		_ = b.Do(ctx, nop)
	}
	if s := b.Status(); s.Window != (Counts{}) || heard != 0 {
		t.Errorf("window %+v, %d calls heard of as evidence", s.Window, heard)
	}
	b.Open(Order{})
	if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
		t.Errorf("a call without the mark: %v", err)
	}
}

// Whatever rules are on, marked calls do not count, do not end a row of
// failures, and are not slow.
func TestBypassUnderEveryRule(t *testing.T) {
	for name, s := range map[string]Settings{
		"row":     {},
		"rate":    {FailureRate: 1},
		"calls":   {FailureRate: 1, WindowCalls: 50},
		"slow":    {SlowCall: time.Second, SlowRate: 1},
		"exactly": {SlowCall: 100 * time.Millisecond, SlowRate: 1},
	} {
		for way, do := range map[string]func(b *Breaker, ctx context.Context){
			"Do": func(b *Breaker, ctx context.Context) { _ = b.Do(ctx, nop) },
			"Do()": func(b *Breaker, ctx context.Context) {
				_, _ = Do(ctx, b, func(context.Context) (int, error) { return 0, nil })
			},
			"Done": func(b *Breaker, ctx context.Context) {
				if p, err := b.AllowContext(ctx); err == nil {
					_ = p.DoneContext(ctx, nil)
				}
			},
			"slowly": func(b *Breaker, ctx context.Context) {
				_ = b.Do(ctx, func(context.Context) error { time.Sleep(2 * time.Second); return nil })
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				ctx := WithBypass(t.Context(), "migration")
				b := New("x", s, WithBypassAllowed())
				do(b, ctx)
				if got := b.Status(); got.Window != (Counts{}) {
					t.Errorf("%s, %s: window %+v", name, way, got.Window)
				}
				play(b, "f")
				before := b.Status()
				do(b, ctx)
				if after := b.Status(); after.FailCount != 1 || after.Window != before.Window {
					t.Errorf("%s, %s: %d failures, window %+v; want 1, %+v", name, way, after.FailCount, after.Window, before.Window)
				}
			})
		}
	}
}

// The record shows that a probe came before the open time was over.
func TestBypassProbeIsRecorded(t *testing.T) {
	b := New("x", Settings{FailMax: 1}, WithBypassAllowed())
	play(b, "f")
	if err := b.Do(WithBypassProbe(t.Context(), "health check"), nop); err != nil {
		t.Fatal(err)
	}
	is(t, b, Closed)
	h := b.History()
	if got, want := h[1].Summary(), `a marked call probed before the open time was over ("health check")`; h[1].Cause != CauseBypass || got != want {
		t.Errorf("%s: %s, want %s", h[1].Cause, got, want)
	}
}

// Without WithBypassAllowed a mark has no effect: a marked call is a probe like
// any other.
func TestMarksWithoutPermission(t *testing.T) {
	for name, mark := range map[string]func(context.Context, string) context.Context{"bypass": WithBypass, "probe": WithBypassProbe} {
		b := New("x", Settings{})
		_ = b.HalfOpen(Order{})
		if err := b.Do(mark(bg, "x"), nop); err != nil || b.State() != Closed {
			t.Errorf("%s: %v, and it is %s", name, err, b.State())
		}
	}
}

// Each call that passes because of its mark is counted. One that would have been a
// probe, and finds no place, ends as what it was, but decides nothing.
func TestBypassedCallsAreCounted(t *testing.T) {
	m := NewManager(Settings{}, WithBypassAllowed())
	b := m.Breaker("x")
	_ = b.HalfOpen(Order{})
	_, _ = b.Allow()
	m.Observe()
	for range 3 {
		_ = b.Do(WithBypassProbe(bg, "x"), broken)
	}
	if got := b.Status().Bypassed; got != 3 {
		t.Errorf("%d calls were let pass, want 3", got)
	}
	for _, n := range m.Calls() {
		if n.Failures != 3 || n.Ignored != 0 {
			t.Errorf("counted %+v, want 3 failures", n)
		}
	}
	is(t, b, HalfOpen)
}
