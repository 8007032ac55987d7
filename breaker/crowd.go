package breaker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	crowdSpan  = 5 * time.Second // trips this close together are one episode
	crowdMin   = 3               // fewer breakers than that are no crowd
	crowdShare = 0.5             // from this share on the fault is likely here
)

// crowd is a manager's view of who opens together. When a large share of
// breakers that guard different things trip at once, the fault is likely in
// this process or its network, not in all those things. The keys of one set
// count as one: they have their dependency in common.
//
// Its lock is taken under a breaker's, never the other way round. A nil crowd,
// of a breaker without a manager, knows nobody.
type crowd struct {
	mu      sync.Mutex
	total   int             // breakers and sets there are
	maxOpen float64         // the share of them that may be open at once; 0: all
	open    map[*config]int // those that are not closed, with the keys of each
	trips   []aTrip         // of the last crowdSpan, oldest first
	tripped map[*config]int // how many of them each has
	episode Suspicion       // the newest; Of 0: there was none
	untold  atomic.Bool     // to look without the lock
	tellTo  func(Suspicion)
}

type aTrip struct {
	b       *Breaker
	version uint64 // of the transition
	at      time.Time
	marked  bool
}

// Suspicion says that many independent breakers tripped together.
type Suspicion struct {
	At     time.Time `json:"at"`     // when their share was reached
	Opened int       `json:"opened"` // breakers and sets that had tripped within five seconds then
	Of     int       `json:"of"`     // breakers and sets there were
}

// String is one sentence for a log.
func (s Suspicion) String() string {
	return fmt.Sprintf("%d of %d independent breakers tripped within %s: look for the fault in this process or its network first", s.Opened, s.Of, crowdSpan)
}

func (c *crowd) grow(total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total = total
}

// moves counts a breaker in when it leaves closed, and out when it is back. It
// reports false, having counted nothing, when it would open by itself and the
// cap leaves no room.
func (c *crowd) moves(cfg *config, from, to State, ordered bool) bool {
	if c == nil || (from == Closed) == (to == Closed) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if to == Closed {
		countDown(c.open, cfg)
		return true
	}
	full := c.maxOpen > 0 && len(c.open) > 0 && c.open[cfg] == 0 && float64(len(c.open)+1)/float64(c.total) > c.maxOpen
	if full && !ordered {
		return false
	}
	if c.open == nil {
		c.open = make(map[*config]int)
	}
	c.open[cfg]++
	return true
}

func countDown(m map[*config]int, cfg *config) {
	if m[cfg]--; m[cfg] == 0 {
		delete(m, cfg)
	}
}

// notes takes note that b has just opened by itself, and reports whether so many
// have that it is suspect. version is the one of the transition.
func (c *crowd) notes(b *Breaker, version uint64, now time.Time) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.trips) > 0 && now.Sub(c.trips[0].at) > crowdSpan {
		countDown(c.tripped, c.trips[0].b.cfg)
		c.trips = c.trips[1:]
	}
	again := c.suspectLocked()
	if c.tripped == nil {
		c.tripped = make(map[*config]int)
	}
	c.tripped[b.cfg]++
	suspect := c.suspectLocked()
	c.trips = append(c.trips, aTrip{b: b, version: version, at: now, marked: suspect})
	if suspect && !again {
		c.episode = Suspicion{At: now, Opened: len(c.tripped), Of: c.total}
		c.untold.Store(true)
	}
	return suspect
}

func (c *crowd) suspectLocked() bool {
	n := len(c.tripped)
	return n >= crowdMin && float64(n) >= crowdShare*float64(c.total)
}

// tell says once that an episode has begun, and marks the trips that led to
// it. No lock is held by the caller.
func (c *crowd) tell() {
	c.mu.Lock()
	if !c.untold.Swap(false) {
		c.mu.Unlock()
		return
	}
	var early []aTrip
	for i := range c.trips {
		if !c.trips[i].marked {
			c.trips[i].marked = true
			early = append(early, c.trips[i])
		}
	}
	s, to := c.episode, c.tellTo
	c.mu.Unlock()
	for _, t := range early {
		t.b.markSuspect(t.version)
	}
	if to != nil {
		to(s)
	}
}

// markSuspect marks a transition that was recorded before anyone could know.
// What readers may hold is left as it is; copies take its place.
func (b *Breaker) markSuspect(version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.cold.Load()
	for i := range c.past.ring {
		if t := &c.past.ring[i]; t.Version == version {
			t.SuspectLocal = true
		}
	}
	if c.last.Version == version {
		c.last.SuspectLocal, c.why = true, nil
		c.reject.Store(nil)
	}
}
