package breaker

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Whether a call is slow depends on when its answer began, however long the
// rest takes and however it ends.
func TestAnsweredDecidesSlowness(t *testing.T) {
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

// A permit that has ended, or that came with a rejection, has no further
// effect, neither on the breaker nor on its listeners.
func TestEndedPermitHasNoEffect(t *testing.T) {
	open := func(b *Breaker) { b.Open(Order{}) }
	shut := func(b *Breaker) { open(b); play(b, "s") } // a call has been rejected before
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

// Ending the zero Permit does nothing, except that Done panics, whatever its error.
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

// Whether a call with a streamed answer is slow depends on when the answer
// began, not on how fast it is read.
func TestAnsweredStopsTheClock(t *testing.T) {
	for _, test := range []struct {
		name            string
		answer, readFor time.Duration
		tell            bool
		want            State
	}{
		{"answered soon, read for long", time.Second, time.Minute, true, Closed},
		{"answered late, read at once", 5 * time.Second, 0, true, Open},
		{"answered soon, not reported", time.Second, time.Minute, false, Open},
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
	t.Run("a caller that gave up is not evidence", func(t *testing.T) {
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
		own := context.WithValue(bg, key{}, "mine")
		seen := 0
		see := func(ctx context.Context) {
			if ctx.Value(key{}) == "mine" {
				seen++
			}
		}
		b := New("api", Settings{},
			WithListener(Listener{BeforeCall: func(ctx context.Context, _ *Breaker) { see(ctx) }}),
			WithClassifier(func(ctx context.Context, _ error) Outcome { see(ctx); return Failure }))
		p, _ := b.AllowContext(own)
		_ = p.DoneContext(own, errX)
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

// A classifier that exits the goroutine loses neither the failure nor the
// permit.
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

// A stream that answered as a probe is one call: it is counted and reported once,
// by its end.
func TestAnsweredProbeIsOneCall(t *testing.T) {
	for want, end := range map[string]error{"success": nil, "failure connection refused": errX} {
		synctest.Test(t, func(t *testing.T) {
			m, bs := crew(t, 1)
			b := bs[0]
			play(b, "f")
			wait(10 * time.Second)
			var heard listenerLog
			l := heard.listener()
			l.BeforeCall, l.StateChange = nil, nil
			b.AddListener(l)
			defer m.Observe()()
			p, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			p.Answered()
			is(t, b, Closed)
			p.Done(end)
			if got := heard.take(); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
			for _, n := range m.Calls() {
				if n.Successes+n.Failures != 1 {
					t.Errorf("one call is counted as %+v", n)
				}
			}
		})
	}
}

// A number that is not an outcome is not evidence.
func TestSettleWithNoOutcome(t *testing.T) {
	m, bs := crew(t, 1)
	defer m.Observe()()
	for _, o := range []Outcome{Canceled + 1, Canceled + 2, 9, 10, 255} {
		p, _ := bs[0].Allow()
		_ = p.Settle(bg, o, errX)
	}
	is(t, bs[0], Closed)
	for _, n := range m.Calls() {
		if n != (Calls{Ignored: 5}) {
			t.Errorf("counted %+v, want 5 ignored", n)
		}
	}
}

// Settle ignores a failure whose context was over before the call began, and
// counts a success all the same.
func TestSettleBegunTooLate(t *testing.T) {
	late, cancel := context.WithDeadline(bg, time.Now().Add(-time.Hour))
	defer cancel()
	b := New("x", Settings{})
	for _, c := range []struct {
		o    Outcome
		want int
	}{{Failure, 1}, {Success, 0}} {
		play(b, "f")
		p, _ := b.Allow() // which does not check
		_ = p.Settle(late, c.o, errX)
		if got := b.FailCount(); got != c.want {
			t.Errorf("after a %s: %d failures, want %d", c.o, got, c.want)
		}
	}
}

// Abandoned ends a permit once.
func TestAbandonedTwice(t *testing.T) {
	b := New("x", Settings{})
	p, _ := b.Allow()
	p.Abandoned()
	p.Abandoned()
	if got := b.FailCount(); got != 1 {
		t.Errorf("%d failures, want 1", got)
	}
}

// What Answered means: a probe succeeds at that moment, once, and listeners hear
// of it; its end is judged in the period of then; and its time ends.
func TestAnsweredAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		s     Settings
		takes time.Duration // until it is answered
		end   error
		want  State // when it is answered
		then  State // at the end
		fails int   // at the end
	}{
		"closes":                   {Settings{}, 0, nil, Closed, Closed, 0},
		"closes, breaks later":     {Settings{FailMax: 3}, 0, errX, Closed, Closed, 1},
		"closes, and opens":        {Settings{FailMax: 1}, 0, errX, Closed, Open, 1},
		"one of two":               {Settings{SuccessThreshold: 2}, 0, nil, HalfOpen, HalfOpen, 0},
		"one of two, breaks later": {Settings{SuccessThreshold: 2}, 0, errX, HalfOpen, Open, 1},
		"slow":                     {Settings{SlowCall: time.Second, SlowRate: 0.5}, 2 * time.Second, nil, Open, Open, 1},
		"not slow":                 {Settings{SlowCall: 3 * time.Second, SlowRate: 0.5}, 2 * time.Second, nil, Closed, Closed, 0},
	} {
		for _, keyed := range []bool{false, true} { // by the settings of a key, too
			synctest.Test(t, func(t *testing.T) {
				var heard listenerLog
				b := New("x", c.s)
				if keyed {
					b = NewSet[string]("s", Settings{}, SetOptions{}).Breaker("k")
					_ = b.Update(c.s)
				}
				_ = b.HalfOpen(Order{})
				b.AddListener(Listener{StateChange: heard.listener().StateChange})
				p, _ := b.Allow()
				time.Sleep(c.takes)
				p.Answered()
				p.Answered()
				is(t, b, c.want)
				if said := heard.take(); (said != "") != (c.want != HalfOpen) {
					t.Errorf("%s: heard %q when it was answered", name, said)
				}
				time.Sleep(time.Hour)
				p.Done(c.end)
				if s := b.Status(); s.State != c.then || s.FailCount != c.fails || s.State == HalfOpen && s.ProbeSuccesses != 1 {
					t.Errorf("%s: in the end it is %s with %d failures and %d successes, want %s with %d", name, s.State, s.FailCount, s.ProbeSuccesses, c.then, c.fails)
				}
			})
		}
	}
}

// A stream of a closed breaker is slow by the time until it was answered.
func TestAnsweredSlowly(t *testing.T) {
	for takes, want := range map[time.Duration]int{500 * time.Millisecond: 0, 2 * time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", Settings{SlowCall: time.Second, SlowRate: 1, Window: time.Hour})
			p, _ := b.Allow()
			time.Sleep(takes)
			p.Answered()
			time.Sleep(10 * time.Second)
			p.Answered()
			p.Done(nil)
			if got := b.Status().Window; got.Slow != want || got.Calls != 1 {
				t.Errorf("answered after %s: %+v, want %d slow of 1", takes, got, want)
			}
		})
	}
}

// A call that is no evidence is not counted as slow either.
func TestIgnoredIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{SlowCall: time.Second})
		defer m.Observe()()
		for _, o := range []Outcome{Ignored, Canceled} {
			p, _ := m.Breaker("b").Allow()
			time.Sleep(2 * time.Second)
			_ = p.Settle(bg, o, nil)
		}
		want := Calls{Ignored: 2, Slow: 1}
		want.Latency.buckets[11] = 1
		for _, n := range m.Calls() {
			if n != want {
				t.Errorf("counted %+v, want 2 ignored, and 1 slow in up to 5s", n)
			}
		}
	})
}

// A permit has ended when its listeners run: one that ends it again changes
// nothing.
func TestPermitEndsBeforeItsListeners(t *testing.T) {
	for name, end := range map[string]func(p *Permit){
		"Done":        func(p *Permit) { p.Done(errX) },
		"DoneContext": func(p *Permit) { _ = p.DoneContext(bg, errX) },
		"Settle":      func(p *Permit) { _ = p.Settle(bg, Failure, errX) },
		"Abandoned":   func(p *Permit) { p.Abandoned() },
	} {
		var p Permit
		heard := 0
		b := New("x", Settings{}, WithListener(Listener{Failure: func(*Breaker, error) {
			if heard++; heard < 3 {
				end(&p)
			}
		}}))
		p, _ = b.Allow()
		end(&p)
		if got := b.FailCount(); got != 1 || heard != 1 {
			t.Errorf("%s: %d failures, heard of %d, want 1", name, got, heard)
		}
	}
}

// A success whose context was over before the call is not evidence either.
func TestSuccessBegunTooLateIsNotCounted(t *testing.T) {
	late, cancel := context.WithDeadline(bg, time.Now().Add(-time.Hour))
	defer cancel()
	b := New("x", Settings{FailureRate: 1})
	p, _ := b.AllowContext(late)
	_ = p.DoneContext(late, nil)
	if got := b.Status().Window.Calls; got != 0 {
		t.Errorf("%d calls are in the window, want none", got)
	}
}

// Nothing checks the context of a probe of Allow. If it ends long after its
// deadline, it hung rather than having begun too late: otherwise a dependency that
// hangs would be probed again and again.
func TestProbeThatHangsPastItsDeadline(t *testing.T) {
	late, cancel := context.WithDeadline(bg, time.Now().Add(-time.Hour))
	defer cancel()
	b := New("x", Settings{})
	_ = b.HalfOpen(Order{})
	p, _ := b.Allow()
	_ = p.DoneContext(late, context.DeadlineExceeded)
	is(t, b, Open)
}
