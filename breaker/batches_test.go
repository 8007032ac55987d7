package breaker

import (
	"sync"
	"testing"
)

// What is in the map all the time is yielded once, whatever comes and goes
// beside it.
func TestBatches(t *testing.T) {
	for _, n := range []int{0, 1, walkBatch - 1, walkBatch, walkBatch + 1, 10 * walkBatch} {
		var mu sync.RWMutex
		m := map[int]int{}
		for k := range n {
			m[k] = -k
		}
		seen := map[int]int{}
		for k, v := range batches(&mu, &m) {
			if k < n && v != -k {
				t.Errorf("%d: the value of %d is %d", n, k, v)
			}
			seen[k]++
			mu.Lock() // as a call that needs it
			for i := range 10 {
				m[n+10*len(seen)+i] = 0 // the map grows
				delete(m, n+10*len(seen)+i-5)
			}
			mu.Unlock()
		}
		for k := range n {
			if seen[k] != 1 {
				t.Errorf("%d: %d is yielded %d times", n, k, seen[k])
			}
		}
	}
}

// The lock is held for a batch at a time: what goes while the first entry is in
// use is yielded only if it is in that batch.
func TestBatchesAreSmall(t *testing.T) {
	var mu sync.RWMutex
	m := map[int]bool{}
	for k := range 100 * walkBatch {
		m[k] = true
	}
	yielded := 0
	for range batches(&mu, &m) {
		if yielded++; yielded == 1 {
			mu.Lock()
			clear(m)
			mu.Unlock()
		}
	}
	if yielded > walkBatch {
		t.Errorf("%d entries were looked at under one lock, want %d at most", yielded, walkBatch)
	}
}

// The lock is free after a walk, however it ends.
func TestBatchesEnd(t *testing.T) {
	for stop := range 3 * walkBatch {
		var mu sync.RWMutex
		m := map[int]bool{}
		for k := range 2 * walkBatch {
			m[k] = true
		}
		n := 0
		for range batches(&mu, &m) {
			if n++; n == stop {
				break
			}
		}
		if !mu.TryLock() {
			t.Fatalf("the lock is held after %d entries", stop)
		}
	}
}
