package breaker

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPanicContinuesUnchanged(t *testing.T) {
	b := New("db", Settings{FailMax: 1})
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("the panic became %v", p)
		}
		is(t, b, Open)
		if why := b.Status().Transition; len(why.Errors) != 1 || !strings.Contains(why.Errors[0].Error, "panicked") {
			t.Errorf("the record says %+v, want that the call panicked", why.Errors)
		}
	}()
	_ = b.Do(bg, func(context.Context) error { panic("boom") })
}

func TestDoReturnsTheResultWhateverTheError(t *testing.T) {
	b := New("db", Settings{FailMax: 2})
	for _, slow := range []bool{false, true} {
		if slow {
			b.AddListener(Listener{Success: func(*Breaker) {}})
		}
		v, err := Do(bg, b, func(context.Context) (int, error) { return 42, errX })
		if v != 42 || err != errX {
			t.Errorf("got %d, %v, want 42 and the error", v, err)
		}
	}
	is(t, b, Open)
	if v, err := Do(bg, b, func(context.Context) (int, error) { return 42, nil }); v != 0 || !errors.Is(err, ErrOpen) {
		t.Errorf("a rejected call returned %d, %v", v, err)
	}
	twice := Wrap(New("x", Settings{}), func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	if v, err := twice(bg, 21); v != 42 || err != nil {
		t.Errorf("the wrapped function returned %d, %v", v, err)
	}
}

func TestNoAllocation(t *testing.T) {
	rules := map[string]Settings{
		"consecutive": {},
		"rate":        {FailureRate: .5},
		"lastN":       {FailureRate: .5, WindowCalls: 50},
		"slow":        {SlowCall: time.Second, SlowRate: .5},
		"slow exact":  {SlowCall: time.Millisecond, SlowRate: .5},
	}
	for name, s := range rules {
		b := New("db", s)
		count := func(what string, f func()) {
			t.Helper()
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s, %s: %v allocations", name, what, n)
			}
		}
		count("Do", func() { _ = b.Do(bg, nop) })
		count("Allow", func() { p, _ := b.Allow(); p.Done(nil) })
		count("generic Do", func() { _, _ = Do(bg, b, func(context.Context) (int, error) { return 1, nil }) })
		b.Open(Order{})
		count("open", func() { _ = b.Do(bg, nop) })
		b.ForceOpen(Order{})
		count("forced open", func() { _ = b.Do(bg, nop) })
	}
}

// A call without a context is judged like any other.
func TestNoContext(t *testing.T) {
	b := New("db", Settings{})
	var none context.Context
	for _, err := range []error{errX, context.Canceled} {
		_ = b.Do(none, func(context.Context) error { return err })
	}
	if s := b.Status(); s.FailCount != 2 || s.Panics != 0 {
		t.Errorf("%d failures and %d panics, want 2 and 0", s.FailCount, s.Panics)
	}
	// What matters is whether the call's own context was cancelled, not one
	// that the error mentions.
	if err := b.Do(t.Context(), func(context.Context) error { return context.Canceled }); !errors.Is(err, context.Canceled) || b.FailCount() != 3 {
		t.Errorf("%v and %d failures, want 3", err, b.FailCount())
	}
}

// A quick success ends a row of failures, whichever path the call takes.
func TestSuccessEndsTheRowOnEveryPath(t *testing.T) {
	watcher := WithListener(Listener{Success: func(*Breaker) {}})
	for name, b := range map[string]*Breaker{
		"plain":           New("x", Settings{FailMax: 2}),
		"counted":         New("x", Settings{FailMax: 2, FailureRate: 1}),
		"counted calls":   New("x", Settings{FailMax: 2, FailureRate: 1, WindowCalls: 50}),
		"timed":           New("x", Settings{FailMax: 2, SlowCall: time.Hour}),
		"timed exactly":   New("x", Settings{FailMax: 2, SlowCall: 199 * time.Millisecond}),
		"watched":         New("x", Settings{FailMax: 2}, watcher),
		"timed and heard": New("x", Settings{FailMax: 2, SlowCall: time.Hour}, watcher),
	} {
		for way, succeed := range map[string]func(*Breaker){
			"Do": func(b *Breaker) { _ = b.Do(context.Background(), nop) },
			"Do()": func(b *Breaker) {
				_, _ = Do(context.Background(), b, func(context.Context) (int, error) { return 1, nil })
			},
			"Done": func(b *Breaker) {
				if p, err := b.Allow(); err == nil {
					p.Done(nil)
				}
			},
		} {
			_ = b.Do(t.Context(), broken)
			succeed(b)
			if n := b.FailCount(); n != 0 || b.State() != Closed {
				t.Errorf("%s, %s: %d failures and %s after a success, want 0 and closed", name, way, n, b.State())
			}
		}
	}
}

// A call that did not return is a failure, and a success ends the row of
// failures that occurred while it ran, for each way to make a call.
func TestEveryWayToCallIsJudged(t *testing.T) {
	ctx := context.Background()
	for name, opts := range map[string][]Option{
		"plain": nil,
		"heard": {WithListener(Listener{Success: func(*Breaker) {}})},
	} {
		for set, s := range map[string]Settings{
			"plain": {}, "counted": {FailureRate: 1}, "timed": {SlowCall: time.Hour}, "exact": {SlowCall: time.Millisecond * 100},
		} {
			for way, do := range map[string]func(b *Breaker, f func() error) error{
				"Do": func(b *Breaker, f func() error) error {
					return b.Do(ctx, func(context.Context) error { return f() })
				},
				"Do()": func(b *Breaker, f func() error) error {
					_, err := Do(ctx, b, func(context.Context) (int, error) { return 1, f() })
					return err
				},
				"Wrap": func(b *Breaker, f func() error) error {
					_, err := Wrap(b, func(context.Context, int) (int, error) { return 1, f() })(ctx, 1)
					return err
				},
			} {
				b := New("x", s, opts...)
				elsewhere(func() { _ = do(b, func() error { runtime.Goexit(); return nil }) })
				elsewhere(func() {
					defer func() { _ = recover() }()
					_ = do(b, func() error { panic("bug") })
				})
				if n := b.FailCount(); n != 2 {
					t.Errorf("%s, %s, %s: %d failures after a panic and a Goexit, want 2", name, set, way, n)
				}
				b.Close(Order{})
				if err := do(b, func() error { _ = b.Do(ctx, broken); return nil }); err != nil || b.FailCount() != 0 {
					t.Errorf("%s, %s, %s: %d failures after a success that began before the failure, %v", name, set, way, b.FailCount(), err)
				}
			}
		}
	}
}

// A call that loaded the word before SlowCall was switched off runs untimed.
func TestSlowCallSwitchedOffMeanwhile(t *testing.T) {
	b := New("db", Settings{SlowCall: time.Second})
	w := b.load()
	if err := b.Update(Settings{}); err != nil {
		t.Fatal(err)
	}
	if err := b.doSlow(t.Context(), w, broken); err != errX || b.FailCount() != 1 {
		t.Errorf("%v and %d failures, want the call's own and 1", err, b.FailCount())
	}
}

// Each call is counted once, however it is made and under every rule.
func TestEachCallCountsOnce(t *testing.T) {
	for name, s := range map[string]Settings{
		"rate":    {FailureRate: 1},
		"calls":   {FailureRate: 1, WindowCalls: 50},
		"slow":    {SlowCall: time.Second},
		"exactly": {SlowCall: 100 * time.Millisecond},
	} {
		for way, do := range map[string]func(b *Breaker, err error){
			"Do": func(b *Breaker, err error) { _ = b.Do(t.Context(), func(context.Context) error { return err }) },
			"Do()": func(b *Breaker, err error) {
				_, _ = Do(t.Context(), b, func(context.Context) (int, error) { return 0, err })
			},
			"Done": func(b *Breaker, err error) {
				if p, no := b.Allow(); no == nil {
					p.Done(err)
				}
			},
			"DoneContext": func(b *Breaker, err error) {
				if p, no := b.AllowContext(t.Context()); no == nil {
					_ = p.DoneContext(t.Context(), err)
				}
			},
		} {
			synctest.Test(t, func(*testing.T) {
				b := New("db", s)
				for i := range 10 {
					var err error
					if i == 4 {
						err = errX
					}
					do(b, err)
				}
				if got := b.Status().Window; got != (Counts{10, 1, 0, 1}) {
					t.Errorf("%s, %s: %+v, want 10 calls and 1 failure", name, way, got)
				}
			})
		}
	}
}

// With DoResult the result decides how the call ended, for answers that carry
// a failure and for errors that are not failures. What the caller gets is
// unchanged.
func TestDoResultJudgesTheResult(t *testing.T) {
	type answer struct{ code int }
	judge := func(a answer, err error) Outcome {
		switch {
		case err == errNotFound:
			return Success
		case a.code == 429:
			return Ignored
		case a.code >= 500:
			return Failure
		case a.code == 7:
			panic("in the judgement")
		}
		return DefaultClassifier(bg, err)
	}
	for name, c := range map[string]struct {
		a      answer
		err    error
		fails  int // after one failure and this call
		panics uint64
	}{
		"good":                      {answer{200}, nil, 0, 0},
		"a failure, no error":       {answer{503}, nil, 2, 0},
		"an error that is none":     {answer{404}, errNotFound, 0, 0},
		"no evidence":               {answer{429}, nil, 1, 0},
		"an error by the default":   {answer{0}, errX, 2, 0},
		"the judgement panics":      {answer{7}, nil, 2, 1},
		"the judgement panics, err": {answer{7}, errX, 2, 1},
	} {
		for state, s := range map[string]Settings{"plain": {}, "counted": {FailureRate: 1}, "timed": {SlowCall: time.Hour}} {
			b := New("db", s)
			play(b, "f")
			a, err := DoResult(t.Context(), b, func(context.Context) (answer, error) { return c.a, c.err }, judge)
			if a != c.a || err != c.err {
				t.Errorf("%s, %s: the caller got %v, %v, want %v, %v", name, state, a, err, c.a, c.err)
			}
			if got := b.Status(); got.FailCount != c.fails || got.Panics != c.panics {
				t.Errorf("%s, %s: %d failures and %d panics, want %d and %d", name, state, got.FailCount, got.Panics, c.fails, c.panics)
			}
		}
	}
}

// A call that does not return under DoResult is a failure, a rejected call
// does not run and is not judged, and a failure without an error is recorded.
func TestDoResultOfCallsThatDoNotReturn(t *testing.T) {
	judged := 0
	judge := func(int, error) Outcome { judged++; return Failure }
	for name, end := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		b := New("db", Settings{FailMax: 1})
		elsewhere(func() {
			defer func() { _ = recover() }()
			_, _ = DoResult(bg, b, func(context.Context) (int, error) { end(); return 1, nil }, judge)
		})
		is(t, b, Open)
		v, err := DoResult(bg, b, func(context.Context) (int, error) { t.Error("it ran"); return 1, nil }, judge)
		if v != 0 || !errors.Is(err, ErrOpen) || judged != 0 {
			t.Errorf("%s: then %d, %v, judged %d times; want 0, ErrOpen, never", name, v, err, judged)
		}
	}
	elsewhere(func() {
		b := New("db", Settings{FailMax: 1})
		defer func() { is(t, b, Open) }()
		_, _ = DoResult(bg, b, func(context.Context) (int, error) { return 1, nil }, func(int, error) Outcome { runtime.Goexit(); return Success })
	})
	b := New("db", Settings{FailMax: 1}, WithErrorOnTrip())
	v, err := DoResult(bg, b, func(context.Context) (int, error) { return 503, nil }, judge)
	if v != 503 || err != nil {
		t.Errorf("the call that trips got %d, %v, want its result: it has no error to join", v, err)
	}
	if last := b.History()[0]; len(last.Errors) != 1 || last.Errors[0].Error != "the result was judged a failure" {
		t.Errorf("on record: %+v", last.Errors)
	}
}

// The zero Breaker guards nothing, however calls are made.
func TestZeroBreakerGuardsNothing(t *testing.T) {
	for way, do := range waysToCall {
		for _, err := range []error{nil, errX, context.Canceled} {
			var b Breaker
			if got := do(&b, t.Context(), func(context.Context) error { return err }); got != err {
				t.Errorf("%s: the zero Breaker made %v of %v", way, got, err)
			}
			if b.State() != Closed {
				t.Errorf("%s: the zero Breaker is %s", way, b.State())
			}
		}
		var b Breaker
		func() {
			defer func() {
				if p := recover(); p != "bug" {
					t.Errorf("%s: the panic became %v", way, p)
				}
			}()
			_ = do(&b, t.Context(), func(context.Context) error { panic("bug") })
		}()
	}
	var b Breaker
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	p.Answered()
	p.Done(errX)
	p.Done(errX)
	if err := b.WaitReady(t.Context()); err != nil {
		t.Errorf("WaitReady of the zero Breaker: %v", err)
	}
	v, err := DoResult(t.Context(), &b, func(context.Context) (int, error) { return 1, nil }, func(int, error) Outcome { panic("bug") })
	if v != 1 || err != nil {
		t.Errorf("a judgement that panics made %d, %v of the zero Breaker's call", v, err)
	}
}

// Each way to call returns the error of the function and nothing else, whatever
// the settings, and the rejection of a breaker that is open.
func TestErrorsOfCalls(t *testing.T) {
	for name, s := range map[string]Settings{
		"plain": {}, "counted": {FailureRate: 1}, "timed": {SlowCall: time.Hour}, "timed exactly": {SlowCall: time.Millisecond}, "checked": {FailMax: 1},
	} {
		for way, do := range waysToCall {
			b := New("x", s)
			if err := do(b, bg, nop); err != nil {
				t.Errorf("%s, %s: %v after a success", name, way, err)
			}
			if err := do(b, bg, broken); err != errX {
				t.Errorf("%s, %s: %v, want the error of the function", name, way, err)
			}
			_ = b.Open(Order{For: time.Hour})
			for range 3 {
				open, ok := do(b, bg, nop).(*OpenError)
				if !ok || open == nil || open.Name != "x" || open.State != Open {
					t.Errorf("%s, %s: %v, want a rejection", name, way, open)
				}
			}
		}
	}
}

// A success takes back what failed while it ran, in each way to call.
func TestSuccessAfterFailuresMeanwhile(t *testing.T) {
	for way, do := range waysToCall {
		b := New("x", Settings{})
		_ = do(b, bg, func(context.Context) error {
			return b.Do(bg, func(context.Context) error { play(b, "ff"); return nil })
		})
		_ = do(b, bg, func(context.Context) error { play(b, "ff"); return nil })
		if got := b.FailCount(); got != 0 {
			t.Errorf("%s: %d failures, want none", way, got)
		}
	}
}

// In each way to call, the context of a probe carries it, so that a call within is
// a part of it.
func TestProbeCarriesItself(t *testing.T) {
	for way, do := range waysToCall {
		b := New("x", Settings{})
		_ = b.HalfOpen(Order{})
		err := do(b, bg, func(ctx context.Context) error { return b.Do(ctx, nop) })
		if err != nil || b.State() != Closed {
			t.Errorf("%s: %v, and it is %s", way, err, b.State())
		}
	}
}

// A shadowed call returns its own error.
func TestShadowedCallsReturnTheirErrors(t *testing.T) {
	b := New("b", Settings{FailMax: -1})
	_ = b.Shadow("x", Settings{})
	for way, do := range waysToCall {
		if err := do(b, bg, broken); err != errX {
			t.Errorf("%s: %v, want %v", way, err, errX)
		}
	}
}

// counts, nor what is observed.
func TestRecordedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{FailMax: -1})
		b := m.Breaker("b")
		w := watchTape(m)
		defer w.detach()
		for way, do := range waysToCall {
			if err := do(b, bg, broken); err != errX {
				t.Errorf("%s: %v, want %v", way, err, errX)
			}
		}
		m.Observe()
		_ = b.Do(bg, func(context.Context) error { time.Sleep(time.Second); return nil })
		elsewhere(func() {
			defer func() { _ = recover() }()
			_ = b.Do(bg, func(context.Context) error { panic("call") })
		})
		if got := b.FailCount(); got != 1 {
			t.Errorf("%d failures after a panic, want 1", got)
		}
		for _, n := range m.Calls() {
			q, _ := n.Latency.Within(0.9)
			if n.Successes != 1 || n.Failures != 1 || n.Latency.Count() != 2 || q < time.Second {
				t.Errorf("observed %+v, %d latencies up to %s", n, n.Latency.Count(), q)
			}
		}
	})
}

// before.
func TestRecordedKeysOwnSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []bool{false, true} {
			m := NewManager(Settings{})
			b := SetOf[string](m, "s").Breaker("k")
			own := func() { _ = b.Update(Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 1, MinCalls: 1}) }
			if !after {
				own()
			}
			w := watchTape(m)
			if after {
				own()
			}
			play(b, "S")
			is(t, b, Open)
			if calls, _ := w.tape.Read(w.read, nil); len(calls) != 1 {
				t.Errorf("%d calls are on the tape, want 1", len(calls))
			}
			w.detach()
		}
	})
}
