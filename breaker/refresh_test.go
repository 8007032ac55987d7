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
