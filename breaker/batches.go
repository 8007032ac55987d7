package breaker

import (
	"iter"
	"sync"
)

// walkBatch is the number of entries of a map that are looked at before its lock
// is released, so that a call that needs the lock waits for a few microseconds.
const walkBatch = 64

// batches yields the entries of a map that calls use, too, however many there
// are. It takes the lock for a batch at a time, and yields without it. An entry
// that is in the map all the time is yielded once; one that comes or goes
// meanwhile may be missed, or yielded although it is gone.
func batches[K comparable, V any](mu *sync.RWMutex, of *map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		var keys [walkBatch]K
		var values [walkBatch]V
		n := 0
		flush := func() bool {
			for i := range n {
				if !yield(keys[i], values[i]) {
					return false
				}
			}
			n = 0
			return true
		}
		mu.RLock()
		// A map may change in the middle of a range over it, as long as the lock
		// is held during each of its steps.
		for k, v := range *of {
			keys[n], values[n] = k, v
			if n++; n < walkBatch {
				continue
			}
			mu.RUnlock()
			if !flush() {
				return
			}
			mu.RLock()
		}
		mu.RUnlock()
		flush()
	}
}
