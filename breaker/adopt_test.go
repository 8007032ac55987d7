package breaker

import (
	"errors"
	"testing"
)

// forgottenOf is a breaker of k that its set has forgotten.
func forgottenOf(t *testing.T, s *Set[int], k int) *Breaker {
	t.Helper()
	old := s.Breaker(k)
	for other := 1000; s.find(k) != nil; other++ {
		s.Breaker(other)
	}
	if old.load()&flagGone == 0 {
		t.Fatal("still there")
	}
	return old
}

// Whoever holds a forgotten breaker is sent to the one that its key has now,
// also when the set has no room for further evidence.
func TestForgottenBreakerFindsItsSuccessorInAFullSet(t *testing.T) {
	s := NewSet[int]("s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	old := forgottenOf(t, s, 7)
	now := s.Breaker(7)
	if now == old {
		t.Fatal("it came back itself")
	}
	play(now, "f")
	is(t, now, Open)
	if err := old.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
		t.Errorf("%v: a call to a key that is open ran", err)
	}
	is(t, old, Open)
}

// A listener is taken from the breaker that it was given to, wherever the key
// has gone meanwhile.
func TestListenerAddedInAFullSetIsRemoved(t *testing.T) {
	s := NewSet[int]("s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	old := forgottenOf(t, s, 7)
	full := s.Breaker(8)
	play(full, "f")
	remove := old.AddListener(Listener{Success: func(*Breaker) { t.Error("told after it was removed") }})
	full.Close(Reason{})
	old.State() // comes back, now that there is room
	remove()
	play(s.overflowBreaker(), "s")
	play(old, "s")
}
