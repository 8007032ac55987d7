package breaker

import (
	"fmt"
	"slices"
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
	trips   []aTrip         // of the last crowdSpan
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

// mayOpen reports whether the cap leaves room for one more open breaker.
func (c *crowd) mayOpen(cfg *config) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maxOpen <= 0 || c.open[cfg] > 0 || float64(len(c.open)+1) <= c.maxOpen*float64(c.total)
}

// moved counts a breaker in when it leaves closed, and out when it is back.
func (c *crowd) moved(cfg *config, from, to State) {
	if c == nil || (from == Closed) == (to == Closed) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if to != Closed {
		if c.open == nil {
			c.open = make(map[*config]int)
		}
		c.open[cfg]++
		return
	}
	if c.open[cfg]--; c.open[cfg] == 0 {
		delete(c.open, cfg)
	}
}

// tripped notes that b has just opened by itself, and reports whether so many
// have that it is suspect. version is the one of the transition.
func (c *crowd) tripped(b *Breaker, version uint64, now time.Time) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips = slices.DeleteFunc(c.trips, func(t aTrip) bool { return now.Sub(t.at) > crowdSpan })
	again := c.suspectLocked()
	c.trips = append(c.trips, aTrip{b: b, version: version, at: now})
	if !c.suspectLocked() {
		return false
	}
	c.trips[len(c.trips)-1].marked = true
	if !again {
		c.episode = Suspicion{At: now, Opened: c.distinctLocked(), Of: c.total}
		c.untold.Store(true)
	}
	return true
}

func (c *crowd) suspectLocked() bool {
	n := c.distinctLocked()
	return n >= crowdMin && float64(n) >= crowdShare*float64(c.total)
}

func (c *crowd) distinctLocked() int {
	seen := make(map[*config]struct{}, len(c.trips))
	for _, t := range c.trips {
		seen[t.b.cfg] = struct{}{}
	}
	return len(seen)
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
// The record that readers may hold is left as it is; a copy takes its place.
func (b *Breaker) markSuspect(version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.cold.Load()
	for i, t := range c.past.ring {
		if t.Version != version {
			continue
		}
		marked := *t
		marked.SuspectLocal = true
		c.past.ring[i] = &marked
		if e := c.reject.Load(); e.Cause == t {
			again := *e
			again.Cause = &marked
			c.reject.Store(&again)
		}
	}
}
