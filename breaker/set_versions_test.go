package breaker

import "testing"

// A change of a set's settings is one of each of its keys, also of those with
// settings of their own; a listener changes nothing.
func TestVersionsOfKeys(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	fresh, cold, own := set.Breaker("fresh"), set.Breaker("cold"), set.Breaker("own")
	cold.Open(Order{})
	if err := own.Update(Settings{Probes: 3}); err != nil {
		t.Fatal(err)
	}
	check := func(when string, want ...uint64) {
		t.Helper()
		for i, b := range []*Breaker{fresh, cold, own} {
			if got := b.Status().Version; got != want[i] {
				t.Errorf("%s: %s is at version %d, want %d", when, b.ID(), got, want[i])
			}
		}
	}
	check("before", 1, 2, 2)
	remove := set.AddListener(Listener{Success: func(*Breaker) {}})
	remove()
	check("after a listener", 1, 2, 2)
	if err := set.Update(Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	check("after an update", 2, 3, 3)
	if err := set.Update(Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	check("after an update that changes nothing", 2, 3, 3)
}
