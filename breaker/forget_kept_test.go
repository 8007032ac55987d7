package breaker

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// What forgetting leaves as it is, and leaves behind.

// What forget does not do: wait for a breaker that is in use, forget what people
// have set, or bad calls that count still.
func TestForgetLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{FailureRate: 0.9, Window: time.Hour}, SetOptions{})
		b := s.Breaker("in use")
		b.mu.Lock()
		if b.forget(lapseNow) {
			t.Error("it has forgotten a breaker whose lock is held")
		}
		b.mu.Unlock()

		b = s.Breaker("bad calls")
		_ = b.Open(Order{})
		_ = b.Close(Order{})
		play(b, "fs")
		if b.forget(lapseHistory) || len(b.History()) != 2 || b.Status().Window.Bad != 1 {
			t.Errorf("%d transitions and %+v are left, want 2 and one bad call", len(b.History()), b.Status().Window)
		}

		b = s.Breaker("forced")
		_ = b.Open(Order{})
		_ = b.Close(Order{})
		_ = b.ForceClosed(Order{})
		if b.forget(lapseIfIdle) || len(b.History()) != 3 {
			t.Errorf("%d transitions of a key with an override are left, want 3", len(b.History()))
		}
	})
}

// After forgetting, the window is one of the period that goes on.
func TestWindowAfterForgetting(t *testing.T) {
	s := NewSet[string]("s", Settings{FailureRate: 0.9}, SetOptions{})
	b := s.Breaker("k")
	_ = b.Open(Order{})
	_ = b.Close(Order{})
	play(b, "f")
	if !b.forget(lapseNow) || b.win.Load().gen != genOf(b.load()) || genOf(b.load()) == 0 {
		t.Errorf("the window is of period %d, want %d", b.win.Load().gen, genOf(b.load()))
	}
}

// A key that was given a listener, and has it no longer, is healthy, although it
// has a window.
func TestKeyAfterItsListener(t *testing.T) {
	s := NewSet[string]("s", Settings{FailureRate: 0.9}, SetOptions{})
	b := s.Breaker("k")
	remove := b.AddListener(Listener{Success: func(*Breaker) {}})
	play(b, "s")
	if remove(); len(s.WithEvidence()) != 0 {
		t.Error("the key has evidence, want none")
	}
	remove = b.AddListener(Listener{Success: func(*Breaker) {}})
	play(b, "f")
	play(b, "s")
	if remove(); len(s.WithEvidence()) != 1 {
		t.Error("the key has no evidence, want the bad call in its window")
	}
}

// A key that is kept for its window alone has no history.
func TestWindowIsNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{SlowCall: time.Second, SlowRate: 0.9, Window: time.Minute}, SetOptions{})
		b := s.Breaker("k")
		play(b, "S")
		if len(s.WithEvidence()) != 1 || b.hasHistory() {
			t.Errorf("%d keys with evidence, want one without a history", len(s.WithEvidence()))
		}
		wait(5 * time.Minute) // the call has left the window, and a sweep has been
		if len(s.WithEvidence()) != 0 {
			t.Error("the key has evidence, want none")
		}
	})
}

// What Remove ends is dated, and a version from before it is never valid again.
func TestRemoveIsARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []Transition
		s := NewSet[string]("s", Settings{}, SetOptions{}, WithListener(Listener{StateChange: func(_ *Breaker, t Transition) { heard = append(heard, t) }}))
		b := s.Breaker("k")
		_ = b.ForceOpen(Order{})
		seen := b.Status().Version
		s.Remove("k")
		for _, x := range heard {
			if x.At != time.Now() {
				t.Errorf("%s to %s is dated %s", x.From, x.To, x.At)
			}
		}
		if now := b.Status().Version; now <= seen {
			t.Errorf("version %d after it was %d", now, seen)
		}
		// Also where nothing changes but what is known.
		_ = b.Open(Order{})
		_ = b.Close(Order{})
		seen = b.Status().Version
		s.Remove("k")
		if now := b.Status().Version; now <= seen {
			t.Errorf("version %d after it was %d", now, seen)
		}
		if _, err := b.Apply(Order{Verb: VerbOpen, IfVersion: seen}); !errors.Is(err, ErrVersion) {
			t.Errorf("an order for the version from before: %v", err)
		}
	})
}

// A key that is not NaN is removed also from a set whose keys may be.
func TestRemoveFloat(t *testing.T) {
	s := NewSet[float64]("s", Settings{}, SetOptions{})
	s.Breaker(1.5)
	if !s.Remove(1.5) || s.Len() != 0 {
		t.Errorf("%d keys are left, want none", s.Len())
	}
}

// A logger that panics does no harm where a set is full.
func TestOverflowWithAPanickingLogger(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1}, WithLogger(slog.New(panicky{slog.NewTextHandler(io.Discard, nil)})))
	for k := range 4 {
		_ = s.Do(bg, k, broken)
	}
	if s.Overflowed() != 2 || s.cfg.panics.Load() != 1 {
		t.Errorf("%d overflows and %d panics, want 2 and 1", s.Overflowed(), s.cfg.panics.Load())
	}
}

// Keys that fail and are forgotten without having opened make no other version
// grow: an order for what a person saw of a healthy key is carried out.
func TestVersionsOfHealthyKeysStay(t *testing.T) {
	s := NewSet[int]("s", Settings{FailWithin: time.Hour}, SetOptions{MaxKeys: 10, MaxEvidence: 10})
	healthy := s.Breaker(0)
	seen := healthy.Status().Version
	for k := range 100 {
		_ = s.Do(bg, 1+k, broken)
		s.Remove(1 + k)
	}
	if _, err := healthy.Apply(Order{Verb: VerbForceOpen, IfVersion: seen}); err != nil {
		t.Error(err)
	}
}
