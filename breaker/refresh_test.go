package breaker

import (
	"runtime"
	"sync"
	"testing"
)

// A listener that is added while the settings of its set change does not undo
// the change: each key ends up with the window that the new settings ask for.
func TestRegressionListenerAddedDuringSetUpdate(t *testing.T) {
	for range 100 {
		s := NewSet[string]("s", Settings{FailMax: -1}, SetOptions{})
		b := s.Breaker("a")
		sh := s.shard("a")
		sh.mu.Lock() // both stop where they look for the keys, and go on at once
		var wg sync.WaitGroup
		wg.Go(func() { s.AddListener(Listener{StateChange: func(*Breaker, Transition) {}}) })
		for len(s.cfg.watchers()) == 0 {
			runtime.Gosched()
		}
		runtime.Gosched()
		wg.Go(func() { _ = s.Update(Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 4, MinCalls: 2}) })
		for s.Settings().FailureRate < 0 {
			runtime.Gosched()
		}
		runtime.Gosched()
		sh.mu.Unlock()
		wg.Wait()
		for range 2 {
			_ = b.Do(t.Context(), broken)
		}
		is(t, b, Open)
	}
}

// A listener of a key that is forgotten in the moment it is added is not lost
// to the breaker made for the key next.
func TestRegressionListenerOfKeyForgottenMeanwhile(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1})
	held := s.Breaker("a")
	s.Breaker("z") // forgets a, after AddListener had looked
	heard := 0
	held.setListener(&Listener{Failure: func(*Breaker, error) { heard++ }}, true)
	_ = s.Do(t.Context(), "a", broken)
	if heard != 1 {
		t.Errorf("the listener heard of %d failures, want 1", heard)
	}
}
