package breaker

import (
	"context"
	"testing"
)

// The keys that a set has when somebody begins to observe count like those to
// come, each call once, whatever else is on; unobserved names are left out.
func TestObserveKeysThatAreThere(t *testing.T) {
	for name, s := range map[string]Settings{"plain": {}, "rate": {FailureRate: 1}, "calls": {FailureRate: 1, WindowCalls: 5}} {
		for _, heard := range []bool{false, true} {
			var m Manager
			for name, n := range m.Calls() {
				t.Errorf("%s has %+v though nobody observed", name, n)
			}
			set, err := CreateSet[string](&m, "s", s, SetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for range m.Calls() {
				t.Error("an unobserved set is told of")
			}
			if heard {
				set.AddListener(Listener{Success: func(*Breaker) {}})
			}
			old := set.Breaker("old")
			stop := m.Observe()
			play(old, "sssf")
			play(set.Breaker("new"), "s")
			stop()
			play(old, "s")
			for _, got := range m.Calls() {
				if want := (Calls{Successes: 4, Failures: 1}); got != want {
					t.Errorf("%s, heard %v: %+v, want %+v", name, heard, got, want)
				}
			}
		}
	}
}

// A call of a key without a breaker counts by its outcome too.
func TestObserveUnknownKeysByOutcome(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want Calls
	}{
		"success":   {t.Context(), nil, Calls{Successes: 1}},
		"excluded":  {t.Context(), errNotFound, Calls{Successes: 1}},
		"cancelled": {gone, context.Canceled, Calls{Ignored: 1}},
		"failure":   {t.Context(), errX, Calls{Failures: 1}},
	} {
		var m Manager
		set, err := CreateSet[string](&m, "s", Settings{}, SetOptions{MaxKeys: 1}, WithExcluded(ErrorIs(errNotFound)))
		if err != nil {
			t.Fatal(err)
		}
		set.Breaker("filler")
		stop := m.Observe()
		_ = set.Do(c.ctx, "k", func(context.Context) error { return c.err })
		stop()
		for _, got := range m.Calls() {
			if got != c.want {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
		}
	}
}
