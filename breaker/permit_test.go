package breaker

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A call is as slow as its answer was in coming, by the first word of it,
// however long the rest takes and however it ends.
func TestAnsweredTellsHowSlow(t *testing.T) {
	for _, slowCall := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} { // by either clock
		for _, c := range []struct {
			name             string
			answers, streams time.Duration
			err              error
			slow             int
		}{
			{"quick", slowCall / 2, time.Minute, nil, 0},
			{"quick, fails in the end", slowCall / 2, time.Minute, errX, 0},
			{"slow", 2 * slowCall, 0, nil, 1},
			{"slow, fails in the end", 2 * slowCall, time.Minute, errX, 1},
		} {
			synctest.Test(t, func(t *testing.T) {
				b := New("db", Settings{FailMax: 1, SlowCall: slowCall, Window: time.Hour})
				p, err := b.Allow()
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.answers)
				p.Answered()
				time.Sleep(c.streams)
				p.Answered() // the first one counts
				if c.err == nil {
					p.Done(nil)
					if got := b.Status().Window.Slow; got != c.slow {
						t.Errorf("%s, SlowCall %s: %d slow calls, want %d", c.name, slowCall, got, c.slow)
					}
					return
				}
				p.Done(c.err)
				why := b.Status().Transition
				if off := (why.Errors[0].Latency - c.answers).Abs(); why.Counts.Slow != c.slow || off > fineStep {
					t.Errorf("%s, SlowCall %s: %d slow calls and a latency of %s, want %d and %s", c.name, slowCall, why.Counts.Slow, why.Errors[0].Latency, c.slow, c.answers)
				}
			})
		}
	}
}

func TestPermitCountsOnce(t *testing.T) {
	b := New("db", Settings{FailMax: 3})
	p, _ := b.Allow()
	for range 6 {
		p.Done(errX)
	}
	p.Ignore()
	if n := b.FailCount(); n != 1 {
		t.Errorf("one permit counted %d failures", n)
	}
	b.Open(Order{})
	rejected, _ := b.Allow()
	rejected.Done(errX)
	rejected.Done(nil)
	rejected.Ignore()
}

// A permit that is used up, or came with a rejection, says nothing more:
// neither to the breaker nor to its listeners.
func TestEndedPermitIsDumb(t *testing.T) {
	open := func(b *Breaker) { b.Open(Order{}) }
	shut := func(b *Breaker) { open(b); play(b, "s") } // a call has been turned away before
	full := func(b *Breaker) { b.HalfOpen(Order{}); _, _ = b.Allow() }
	ramp := func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }
	for name, c := range map[string]struct {
		opts    []Option
		prepare func(b *Breaker)
		end     func(p *Permit)
	}{
		"rejected while open":                  {nil, open, nil},
		"rejected while open, not the first":   {nil, shut, nil},
		"rejected while open, heard":           {[]Option{WithListener(Listener{Rejected: func(*Breaker, error) {}})}, open, nil},
		"rejected while the probes are out":    {nil, full, nil},
		"rejected in a ramp":                   {nil, ramp, nil},
		"done":                                 {nil, func(*Breaker) {}, func(p *Permit) { p.Done(nil) }},
		"done with a context":                  {nil, func(*Breaker) {}, func(p *Permit) { _ = p.DoneContext(context.Background(), nil) }},
		"failed":                               {nil, func(*Breaker) {}, func(p *Permit) { p.Done(errX) }},
		"ignored":                              {nil, func(*Breaker) {}, func(p *Permit) { p.Ignore() }},
		"done after a failure":                 {nil, func(b *Breaker) { play(b, "f") }, func(p *Permit) { p.Done(nil) }},
		"a probe that was ignored":             {nil, func(b *Breaker) { b.HalfOpen(Order{}) }, func(p *Permit) { p.Ignore() }},
		"a probe that succeeded before others": {nil, func(b *Breaker) { b.HalfOpen(Order{}) }, func(p *Permit) { p.Done(nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("db", Settings{Ramp: time.Hour, SuccessThreshold: 1}, c.opts...)
				c.prepare(b)
				p, err := b.Allow()
				if (err == nil) != (c.end != nil) {
					t.Fatalf("Allow: %v", err)
				}
				if c.end != nil {
					c.end(&p)
				}
				heard := 0
				b.AddListener(Listener{Failure: func(*Breaker, error) { heard++ }, Success: func(*Breaker) { heard++ }})
				before := b.Status()
				p.Done(errX)
				p.Done(nil)
				p.Answered()
				p.Ignore()
				_ = p.DoneContext(t.Context(), errX)
				if after := b.Status(); after.FailCount != before.FailCount || after.Version != before.Version || heard != 0 {
					t.Errorf("from %d failures and version %d to %d and %d; heard %d times",
						before.FailCount, before.Version, after.FailCount, after.Version, heard)
				}
			})
		})
	}
}

// The zero Permit is none: ending it by other ways than Done(nil) does nothing.
func TestZeroPermit(t *testing.T) {
	var p Permit
	p.Answered()
	p.Ignore()
	p.Abandoned()
	for _, err := range []error{nil, errX} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Done(%v) did not panic", err)
				}
			}()
			p = Permit{}
			p.Done(err)
		}()
	}
	p = Permit{}
	if err := p.Settle(t.Context(), Failure, errX); err != errX {
		t.Errorf("Settle of no permit: %v, want the call's own error", err)
	}
	p = Permit{}
	if err := p.DoneContext(t.Context(), errX); err != errX {
		t.Errorf("DoneContext of no permit: %v, want the call's own error", err)
	}
}

// A call whose answer streams in is as slow as its answer was to begin, not as
// slow as whoever reads it.
func TestAnsweredStopsTheClock(t *testing.T) {
	for _, test := range []struct {
		name            string
		answer, readFor time.Duration
		tell            bool
		want            State
	}{
		{"answered soon, read for long", time.Second, time.Minute, true, Closed},
		{"answered late, read at once", 5 * time.Second, 0, true, Open},
		{"answered soon, not told", time.Second, time.Minute, false, Open},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("api", Settings{SlowCall: 5 * time.Second, SlowRate: 1, MinCalls: 1})
				p, err := b.Allow()
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.answer)
				if test.tell {
					p.Answered()
				}
				time.Sleep(test.readFor)
				if test.tell {
					p.Answered() // the first counts
				}
				p.Done(nil)
				p.Answered()
				is(t, b, test.want)
			})
		})
	}
	var zero Permit
	zero.Answered()
}

func TestPermitsWithAContext(t *testing.T) {
	t.Run("a caller that gave up is no evidence", func(t *testing.T) {
		b := New("api", Settings{FailMax: 1})
		gone, cancel := context.WithCancel(bg)
		p, err := b.AllowContext(gone)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := p.DoneContext(gone, context.Canceled); got != context.Canceled {
			t.Errorf("DoneContext returned %v, want the call's own error", got)
		}
		is(t, b, Closed)
	})
	t.Run("the classifier and BeforeCall see it", func(t *testing.T) {
		type key struct{}
		mine := context.WithValue(bg, key{}, "mine")
		seen := 0
		see := func(ctx context.Context) {
			if ctx.Value(key{}) == "mine" {
				seen++
			}
		}
		b := New("api", Settings{},
			WithListener(Listener{BeforeCall: func(ctx context.Context, _ *Breaker) { see(ctx) }}),
			WithClassifier(func(ctx context.Context, _ error) Outcome { see(ctx); return Failure }))
		p, _ := b.AllowContext(mine)
		_ = p.DoneContext(mine, errX)
		if seen != 2 {
			t.Errorf("the context was seen %d times, want 2", seen)
		}
	})
	t.Run("a bypass holds", func(t *testing.T) {
		b := New("api", Settings{}, WithBypassAllowed())
		b.Open(Order{})
		urgent := WithBypass(bg, "half-done migration")
		p, err := b.AllowContext(urgent)
		if err != nil {
			t.Fatalf("a call that is marked to bypass was rejected: %v", err)
		}
		_ = p.DoneContext(urgent, errX)
		if s := b.Status(); s.Bypassed != 1 {
			t.Errorf("%d calls are on record as bypassing, want 1", s.Bypassed)
		}
	})
	t.Run("the error on trip", func(t *testing.T) {
		b := New("api", Settings{FailMax: 1}, WithErrorOnTrip())
		p, _ := b.AllowContext(bg)
		if err := p.DoneContext(bg, errX); !errors.Is(err, ErrOpen) || !errors.Is(err, errX) {
			t.Errorf("the tripping call gets %v, want the open error and its own", err)
		}
		if err := p.DoneContext(bg, errX); err != errX {
			t.Errorf("an ended permit returns %v, want the call's own error", err)
		}
	})
}

// A classifier that exits the goroutine loses no failure and no permit.
func TestGoexitInClassifierOfDone(t *testing.T) {
	b := New("x", Settings{FailMax: 2}, WithClassifier(
		func(context.Context, error) Outcome { runtime.Goexit(); return Ignored }))
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere(func() { p.Done(errX) })
	if got := b.FailCount(); got != 1 {
		t.Errorf("FailCount = %d, want 1", got)
	}
}
