package breaker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Under WithErrorOnTrip the call that trips tells so, whatever rule it met; a
// call that has succeeded stays a success.
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

// Who begins to listen while a call runs hears its end.
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

// A success that looked at the word before its window was replaced is not
// counted in the new one without the lock, nor does it stop the counting.
func TestSuccessMeetsAnotherWindow(t *testing.T) {
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
			win.success()
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

// A breaker that has failed now and then stays small: only the errors that a
// record could name are kept.
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
