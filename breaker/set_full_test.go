package breaker

import (
	"fmt"
	"testing"
)

// Where a success matters to somebody, an unknown key of a full set gets a
// breaker for it.
func TestFullSetCountsSuccessesThatMatter(t *testing.T) {
	heard := 0
	for name, c := range map[string]struct {
		s    Settings
		opts []Option
		has  bool
	}{
		"nobody":   {Settings{}, nil, false},
		"a rate":   {Settings{FailureRate: 0.5}, nil, true},
		"slowness": {Settings{SlowCall: 1}, nil, true},
		"listener": {Settings{}, []Option{WithListener(Listener{Success: func(*Breaker) { heard++ }})}, true},
		"a rule":   {Settings{}, []Option{WithRule("own", func(Counts) bool { return false })}, true},
	} {
		set := NewSet[string]("s", c.s, SetOptions{MaxKeys: 1}, c.opts...)
		set.Breaker("filler")
		if err := set.Do(t.Context(), "k", nop); err != nil {
			t.Fatal(err)
		}
		if has := set.find("k") != nil; has != c.has {
			t.Errorf("%s: the key has a breaker: %v, want %v", name, has, c.has)
		}
	}
	if heard != 1 {
		t.Errorf("heard of %d successes, want 1", heard)
	}
}

// Keys whose evidence is in their windows alone are kept as well, until both
// limits together are met (I8).
func TestFullOfEvidenceInWindows(t *testing.T) {
	set := NewSet[int]("s", Settings{FailureRate: 0.9}, SetOptions{MaxKeys: 2, MaxEvidence: 3})
	for k := range 5 {
		b := set.Breaker(k)
		play(b, "fs")
		if got, want := b.ID(), fmt.Sprintf("s/%d", k); got != want {
			t.Fatalf("key %d got the breaker %s", k, got)
		}
	}
	if n := set.Overflowed(); n != 0 {
		t.Errorf("%d overflows, want none", n)
	}
	if got := set.Breaker(5).ID(); got != "s/(overflow)" || set.Overflowed() != 1 {
		t.Errorf("a key beyond the limits got %s, %d overflows", got, set.Overflowed())
	}
	for k := range 5 {
		if n := set.Breaker(k).Status().Window.Failures; n != 1 {
			t.Errorf("key %d has %d failures in its window, want 1", k, n)
		}
	}
}
