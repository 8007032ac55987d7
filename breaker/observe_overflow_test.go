package breaker

import (
	"runtime"
	"sync"
	"testing"
)

// The breaker that keys beyond MaxEvidence share may be made in the instant in
// which somebody begins to observe.
func TestObserveFindsAnOverflowBreakerThatIsBeingMade(t *testing.T) {
	for i := range 20_000 {
		m := NewManager(Settings{})
		s, err := CreateSet[int](m, "s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
		if err != nil {
			t.Fatal(err)
		}
		var b *Breaker
		var wg sync.WaitGroup
		wg.Go(func() {
			for range i % 8 {
				runtime.Gosched()
			}
			b, _ = s.makeOverflow()
		})
		wg.Go(func() { m.Observe() })
		wg.Wait()
		if b.load()&flagObserved == 0 {
			t.Fatalf("attempt %d: nobody will ever count the calls of %s", i, b.ID())
		}
	}
}
