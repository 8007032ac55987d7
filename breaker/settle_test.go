package breaker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The call that trips the breaker ran, and its error says what happened.
func TestTrippingCallReturnsItsOwnError(t *testing.T) {
	b := New("db", Settings{FailMax: 1})
	if err := b.Do(bg, broken); err != errX {
		t.Errorf("the tripping call returned %v, want its own error", err)
	}
	if err := b.Do(bg, broken); errors.Is(err, errX) || !errors.Is(err, ErrOpen) {
		t.Errorf("a rejected call returned %v, want ErrOpen alone", err)
	}
}

func TestErrorOnTripMatchesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 2}, WithErrorOnTrip())
		if err := b.Do(bg, broken); err != errX {
			t.Errorf("a failure that does not trip returned %v", err)
		}
		trips := func() {
			t.Helper()
			err := b.Do(bg, broken)
			var open *OpenError
			if !errors.Is(err, ErrOpen) || !errors.Is(err, errX) || !errors.As(err, &open) {
				t.Errorf("the tripping call returned %v, want both its error and the open error", err)
			}
		}
		trips()
		time.Sleep(time.Minute)
		synctest.Wait()
		trips() // the failing trial is one too
	})
}

// I1: outcomes of calls admitted in an earlier period do not count.
func TestLateOutcomesDoNotCount(t *testing.T) {
	b := New("db", Settings{FailMax: 2, SuccessThreshold: 2})
	early, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	early2, early3 := early, early
	b.Open(Order{})
	b.HalfOpen(Order{})
	early.Done(nil)
	early2.Done(errX)
	is(t, b, HalfOpen)
	if s := b.Status(); s.ProbeSuccesses != 0 {
		t.Errorf("a call from before the trip counts as a probe's success")
	}
	b.Close(Order{})
	early3.Done(errX)
	if n := b.FailCount(); n != 0 {
		t.Errorf("a failure from before the trip counts after it: %d", n)
	}
}

// An outcome that decides nothing does not call the methods of its error.
func TestPlainFailureReadsNoText(t *testing.T) {
	read := 0
	b := New("b", Settings{})
	for i, want := range []int{0, 0, 1, 2, 3} { // five in a row open, three are named
		_ = b.Do(t.Context(), func(context.Context) error { return textErr{&read} })
		if read != want {
			t.Errorf("after failure %d, %d texts were read, want %d", i+1, read, want)
		}
	}
}

type textErr struct{ read *int }

func (e textErr) Error() string { *e.read++; return "text" }

// A call that trips one of the program's own rules behind forced-closed gets
// its own error, as with the other rules, because no calls are rejected.
func TestErrorOnTripBehindOverride(t *testing.T) {
	for name, b := range map[string]*Breaker{
		"setting": New("x", Settings{FailMax: 1}, WithErrorOnTrip()),
		"own rule": New("x", Settings{FailMax: -1}, WithErrorOnTrip(),
			WithRule("all", func(Counts) bool { return true })),
	} {
		b.ForceClosed(Order{})
		if err := b.Do(t.Context(), broken); err != errX {
			t.Errorf("%s: Do = %v, want %v alone", name, err, errX)
		}
		if got := b.Status().Auto; got != Open {
			t.Errorf("%s: automatic state %s, want open", name, got)
		}
	}
}

// One of the program's own rules receives what the window holds, after each
// failure and each slow call, and nothing else.
func TestOwnRule(t *testing.T) {
	var asked []Counts
	ask := WithRule("never", func(c Counts) bool { asked = append(asked, c); return false })
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1, SlowCall: time.Second}, ask)
		play(b, "ssfisSF")
		want := []Counts{{3, 1, 0, 1}, {5, 1, 1, 2}, {6, 2, 2, 3}}
		if fmt.Sprint(asked) != fmt.Sprint(want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
		asked = nil
		b.HalfOpen(Order{})
		play(b, "f")
		is(t, b, Open)
		if len(asked) > 0 {
			t.Errorf("asked %v while half-open", asked)
		}
	})
}

func TestOwnRules(t *testing.T) {
	over := func(n int) func(Counts) bool { return func(c Counts) bool { return c.Failures > n } }
	for _, c := range []struct {
		name  string
		s     Settings
		rules []Option
		fails int    // until it opens
		rule  string // on record
	}{
		{"one", Settings{FailMax: -1}, []Option{WithRule("over 3", over(3))}, 4, "over 3"},
		{"the first that is met", Settings{FailMax: -1}, []Option{WithRule("over 5", over(5)), WithRule("over 3", over(3))}, 4, "over 3"},
		{"the first, if it is met first", Settings{FailMax: -1}, []Option{WithRule("over 3", over(3)), WithRule("over 5", over(5))}, 4, "over 3"},
		{"beside FailMax", Settings{FailMax: 2}, []Option{WithRule("over 3", over(3))}, 2, ""},
		{"over the last calls", Settings{FailMax: -1, WindowCalls: 3}, []Option{WithRule("over 3", over(3))}, 0, ""},
		{"one that panics", Settings{FailMax: 6}, []Option{WithRule("bug", func(Counts) bool { panic("bug") })}, 6, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := New("x", c.s, c.rules...)
			ran := 0
			for range 20 {
				_ = b.Do(t.Context(), func(context.Context) error { ran++; return errX })
			}
			if c.fails == 0 {
				is(t, b, Closed)
				return
			}
			h := b.History()
			if ran != c.fails || len(h) != 1 || h[0].Rule != c.rule || (h[0].Cause == CauseRule) != (c.rule != "") {
				t.Errorf("%d calls ran, history %+v", ran, h)
			}
		})
	}
}

// A rule may take its time: no lock is held, and what happens meanwhile
// counts.
func TestOwnRuleRunsOutsideTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1}, WithRule("slow", func(Counts) bool { time.Sleep(time.Minute); return true }))
		began := time.Now()
		go play(b, "f")
		synctest.Wait()
		play(b, "s")
		b.Open(Order{})
		b.Close(Order{}) // a new period: the rule's answer is about the old one
		if d := time.Since(began); d > 0 {
			t.Errorf("others waited %s for the rule", d)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		is(t, b, Closed)
	})
}

// Under WithErrorOnTrip the call that trips says so, whichever rule was met; a
// call that has succeeded remains a success.
func TestErrorOnTripByRule(t *testing.T) {
	no, yes := func(Counts) bool { return false }, func(Counts) bool { return true }
	slowly := func(context.Context) error { time.Sleep(2 * time.Second); return nil }
	for name, c := range map[string]struct {
		s    Settings
		rule func(Counts) bool
		fn   func(context.Context) error
		own  error
	}{
		"row":               {Settings{FailMax: 1}, nil, broken, errX},
		"row, beside a no":  {Settings{FailMax: 1}, no, broken, errX},
		"row, beside a yes": {Settings{FailMax: 1}, yes, broken, errX},
		"own rule":          {Settings{FailMax: -1}, yes, broken, errX},
		"slow success":      {Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 1, MinCalls: 1}, nil, slowly, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := []Option{WithErrorOnTrip()}
				if c.rule != nil {
					opts = append(opts, WithRule("own", c.rule))
				}
				b := New("db", c.s, opts...)
				err := b.Do(t.Context(), c.fn)
				is(t, b, Open)
				if c.own == nil && err != nil || c.own != nil && (!errors.Is(err, c.own) || !errors.Is(err, ErrOpen)) {
					t.Errorf("the call that trips gets %v", err)
				}
			})
		})
	}
}

// A listener that is added while a call runs receives its end.
func TestListenerAddedDuringTheCall(t *testing.T) {
	for name, s := range map[string]Settings{"plain": {}, "counted": {FailureRate: 1}, "timed": {SlowCall: time.Hour}} {
		b := New("db", s)
		heard := 0
		listen := func() func() {
			return b.AddListener(Listener{Success: func(*Breaker) { heard++ }, Failure: func(*Breaker, error) { heard++ }})
		}
		for _, err := range []error{nil, errX} {
			var remove func()
			_ = b.Do(t.Context(), func(context.Context) error { remove = listen(); return err })
			remove()
			p, _ := b.Allow()
			remove = listen()
			p.Done(err)
			remove()
		}
		if heard != 4 {
			t.Errorf("%s: heard of %d calls, want 4", name, heard)
		}
	}
}

// A success that loaded the word before its window was replaced is not counted
// in the new window without the lock, nor does it stop the counting.
func TestSuccessAfterWindowWasReplaced(t *testing.T) {
	s := Settings{FailMax: -1, FailureRate: 1, WindowCalls: 2, MinCalls: 2}
	off := s
	off.FailureRate = 0
	for name, replace := range map[string]func(*Breaker){
		"moved":        func(b *Breaker) { b.Open(Order{}); b.Close(Order{}) },
		"switched off": func(b *Breaker) { _ = b.Update(off) },
	} {
		b := New("db", s)
		w, win := b.load(), b.win.Load()
		replace(b)
		if b.counted(w, true) {
			t.Errorf("%s: the success is counted", name)
		}
		for range 2 {
			win.success(win.step())
		}
		before := b.load()
		b.noteClean(win)
		if b.load() != before {
			t.Errorf("%s: the old window, being clean, changed the word", name)
		}
	}
	b := New("db", s)
	b.noteClean(b.win.Load()) // a failure has come before it got the lock
	if b.load()&flagCounted == 0 {
		t.Error("successes are not counted though the window is not clean")
	}
}

// A call that ends after another has tripped the breaker gets its own error.
func TestErrorOnTripIsTheTrippingCallsAlone(t *testing.T) {
	b := New("db", Settings{FailMax: 1}, WithErrorOnTrip())
	errLate := errors.New("late")
	err := b.Do(t.Context(), func(ctx context.Context) error {
		if err := b.Do(ctx, broken); !errors.Is(err, ErrOpen) {
			t.Errorf("the call that trips gets %v", err)
		}
		return errLate
	})
	if !errors.Is(err, errLate) || errors.Is(err, ErrOpen) {
		t.Errorf("a call that ends later gets %v", err)
	}
}

// A breaker that fails now and then stays small: only the errors that a record
// could name are kept.
func TestFewFailuresKeepNoErrors(t *testing.T) {
	for _, c := range []struct {
		s     Settings
		fails string
		kept  bool
	}{
		{Settings{}, "ff", false}, // three more could follow, and a record names three
		{Settings{}, "fff", true},
		{Settings{FailMax: 3}, "f", true},
		{Settings{FailMax: 4}, "f", false},
		{Settings{FailMax: -1}, "fff", false},
		{Settings{FailMax: 100, FailureRate: 1}, "f", true}, // a window may trip at any time
	} {
		b := New("db", c.s)
		play(b, c.fails)
		if kept := b.cold.Load() != nil; kept != c.kept {
			t.Errorf("%v, %s: errors are kept: %v, want %v", c.s, c.fails, kept, c.kept)
		}
	}
}

// badError is an error whose methods panic.
type badError struct{ text, hint bool }

func (e badError) Error() string {
	if e.text {
		panic("text")
	}
	return "bad"
}

func (e badError) RetryAfter() time.Duration {
	if e.hint {
		panic("hint")
	}
	return 0
}

// A panic in a rule or in an error's methods does not reach a caller, is
// counted, and the failure counts.
func TestPanicsInUserCodeAreCounted(t *testing.T) {
	for name, err := range map[string]error{
		"text": badError{text: true}, "hint": badError{hint: true}, "rule": errX,
	} {
		var opts []Option
		if name == "rule" {
			opts = append(opts, WithRule("bad", func(Counts) bool { panic("rule") }))
		}
		b := New("x", Settings{FailMax: 2}, opts...)
		_ = b.Do(t.Context(), func(context.Context) error { return err })
		if s := b.Status(); s.Panics != 1 || s.FailCount != 1 {
			t.Errorf("%s: %d panics and %d failures counted, want 1 and 1", name, s.Panics, s.FailCount)
		}
	}
}

// A call whose caller gave up is not evidence, except that it may be slow: then it
// is a slow call, which takes no failure back.
func TestCanceledCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{SlowCall: time.Second, SlowRate: 1, Window: time.Hour})
		play(b, "ff")
		for _, c := range []struct {
			takes time.Duration
			want  Counts
		}{{0, Counts{2, 2, 0, 2}}, {2 * time.Second, Counts{3, 2, 1, 3}}} {
			p, _ := b.Allow()
			time.Sleep(c.takes)
			_ = p.Settle(bg, Canceled, errX)
			if got := b.Status(); got.Window != c.want || got.FailCount != 2 {
				t.Errorf("after %s: %+v and %d failures, want %+v and 2", c.takes, got.Window, got.FailCount, c.want)
			}
		}
	})
}

// The errors on record are those of failures, whatever opened the breaker.
func TestErrorsBeforeSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{SlowCall: time.Second, SlowRate: 0.5, MinCalls: 4, Window: time.Hour})
		play(b, "ffSS")
		is(t, b, Open)
		if got := b.Status().Transition; got.Cause != CauseSlowRate || len(got.Errors) != 1 || got.Errors[0].Count != 2 || got.Errors[0].Error != errX.Error() {
			t.Errorf("the record is %+v", got)
		}
	})
}

// A success ends a row, and the time of the next begins with its own first failure.
func TestFailForOfANewRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3, FailFor: 10 * time.Second})
		play(b, "fs")
		time.Sleep(time.Minute)
		play(b, "ffff")
		is(t, b, Closed)
		time.Sleep(10 * time.Second)
		play(b, "f")
		is(t, b, Open)
	})
}

// What has lapsed under FailWithin is not shown, although nothing has happened
// since.
func TestLapsedFailuresAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailWithin: 10 * time.Second})
		play(b, "ff")
		time.Sleep(10 * time.Second)
		if got := b.Status(); b.FailCount() != 2 || got.FailCount != 2 || got.FailuresUntilOpen != 3 {
			t.Errorf("within it: %d failures, and Status shows %d and %d until it opens, want 2 and 3", b.FailCount(), got.FailCount, got.FailuresUntilOpen)
		}
		time.Sleep(time.Nanosecond)
		if got := b.Status(); b.FailCount() != 0 || got.FailCount != 0 || got.FailuresUntilOpen != 5 {
			t.Errorf("a moment later: %d failures, and Status shows %d and %d until it opens, want none and 5", b.FailCount(), got.FailCount, got.FailuresUntilOpen)
		}
	})
}

// Only failures date the row: a success that takes part of one back neither
// keeps the others from lapsing nor begins a row.
func TestSuccessesDoNotDateTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailWithin: 10 * time.Second, SuccessesToForgive: 4, FailureRate: 1, MinCalls: 100})
		play(b, "f")
		time.Sleep(8 * time.Second)
		play(b, "s")
		time.Sleep(4 * time.Second)
		if got := b.FailCount(); got != 0 {
			t.Errorf("%d failures count 12s after the last one, want none", got)
		}
	})
}
