package breaker

import (
	"testing"
	"time"
)

// A listener that is added to a key's breaker in the instant in which the set
// forgets it is heard all the same (I8).
func TestRegressionListenerOfAKeyBeingForgotten(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1})
	b := s.Breaker("a")
	s.Breaker("z") // forgets a, after AddListener has found b current
	heard := 0
	b.setListener(&Listener{StateChange: func(*Breaker, Transition) { heard++ }}, true)
	s.Breaker("a").Open(Order{})
	if heard != 1 {
		t.Errorf("%d transitions heard, want 1", heard)
	}
}

// A rule that takes so long to say open that the set has forgotten the key
// meanwhile opens the key's breaker, not one that nobody finds (I8).
func TestRegressionRuleOfAForgottenKey(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1}, WithRule("always", func(Counts) bool { return true }))
	b := s.Breaker("a")
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	s.Breaker("z") // forgets a
	b.judgeRules(&p, Counts{Calls: 1})
	if got := s.Breaker("a").State(); got != Open {
		t.Errorf("the key's breaker is %s, want open", got)
	}
}

// Leases that run out leave nothing behind, however many probes hang.
func TestHungProbesDoNotPileUp(t *testing.T) {
	b := New("x", Settings{Probes: 2, ProbeTimeout: time.Nanosecond})
	b.HalfOpen(Order{})
	for range 1000 {
		if _, err := b.Allow(); err != nil {
			continue // within the nanosecond
		}
	}
	if n := len(b.cold.Load().probes.out); n > mostLeases+2 {
		t.Errorf("%d leases are kept, want at most %d", n, mostLeases+2)
	}
}
