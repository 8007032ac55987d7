package ops

import (
	"sync"
	"time"
)

// bucket is a token bucket: so many at once, so many a second.
type bucket struct {
	rate, burst float64 // rate 0: no limit

	mu   sync.Mutex // guards the fields below
	left float64
	at   time.Time
}

func (b *bucket) take(now time.Time) bool {
	if b.rate == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.left = b.burst
	} else {
		b.left = min(b.burst, b.left+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
