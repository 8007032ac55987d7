package breaker

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// Breakers with equal settings have one copy of them, and the last of them to
// go takes it along.
func TestEqualSettingsAreSharedWhileInUse(t *testing.T) {
	s := Settings{FailMax: 4711, FailureRate: 0.25}
	entries := func() (n int) {
		kept.Range(func(k, _ any) bool {
			n += btoi(k.(rules).FailMax == 4711)
			return true
		})
		return n
	}
	bs := make([]*Breaker, 64)
	var wg sync.WaitGroup
	for i := range bs {
		wg.Go(func() { bs[i] = New("x", s) })
	}
	wg.Wait()
	for _, b := range bs {
		if b.rules() != bs[0].rules() {
			t.Fatal("two copies of equal settings")
		}
	}
	if err := bs[0].Update(Settings{FailMax: 4711}); err != nil {
		t.Fatal(err)
	}
	if bs[0].rules() == bs[1].rules() || bs[1].Settings().FailureRate != 0.25 {
		t.Error("one breaker's update reached another")
	}
	runtime.KeepAlive(bs)
	clear(bs)
	for deadline := time.Now().Add(10 * time.Second); entries() > 0; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatalf("%d copies outlive their breakers", entries())
		}
	}
}
