package breaker

import (
	"container/heap"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// openCap limits how many breakers may be open at once: those of a manager,
// where a set counts as one, or the keys of a set. One that would trip beyond
// the limit stays closed and goes on counting.
//
// A place is held by a breaker that rejects calls: from its trip until its open
// time is over, and while probes are out. One whose time is over and that is not
// called any more holds none.
//
// A nil openCap has no limit.
type openCap struct {
	parent *openCap      // of a set in a manager: the manager's
	keys   func() int    // of a set: how many there are; nil: it is a manager's
	share  atomic.Uint64 // that may be open at once, as float64 bits; 0: the parent's, or no limit

	// mu of the manager's guards the rest of it, and of its sets', so that two
	// trips do not slip past the limit together. It is taken under a breaker's,
	// never the other way round.
	mu     sync.Mutex
	places places // those held, the first to end on top
	index  map[*Breaker]*place
	sets   []*openCap // a manager's
}

type place struct {
	b     *Breaker
	until time.Time
	at    int // in the heap
}

// setOpenFrom is the share of its keys from which on a set counts as open.
const setOpenFrom = 0.5

// limit changes the share, and finds out who holds places now.
func (c *openCap) limit(share float64, open []*Breaker) {
	c.share.Store(math.Float64bits(share))
	for _, b := range open {
		b.mu.Lock()
		if w := b.load(); stateOf(w) != Closed {
			b.cfg.cap.moved(b, stateOf(w), b.cold.Load().openUntil)
		}
		b.mu.Unlock()
	}
}

// limits reports whether anything is limited. Where nothing is, no places are
// counted.
func (c *openCap) limits() bool { return c != nil && (c.ownShare() > 0 || c.parent.limits()) }

func (c *openCap) ownShare() float64 { return math.Float64frombits(c.share.Load()) }

// lock is that of the manager, if there is one.
func (c *openCap) lock() *sync.Mutex {
	if c.parent != nil {
		return &c.parent.mu
	}
	return &c.mu
}

// admits reports whether b, which is closed, may open by itself until then. It
// has a place from then on.
func (c *openCap) admits(b *Breaker, now, until time.Time) bool {
	if !c.limits() {
		return true
	}
	members := 0 // of the manager; 0: b is none of them
	if m := b.cfg.manager; m != nil {
		members, _ = m.count(b.cfg)
	}
	mu := c.lock()
	mu.Lock()
	defer mu.Unlock()
	if !c.fitsLocked(now, members) {
		return false
	}
	c.holdLocked(b, until)
	return true
}

func (c *openCap) fitsLocked(now time.Time, members int) bool {
	if c.keys == nil {
		return members == 0 || fits(c.heldLocked(now), members, c.ownShare())
	}
	held, keys, share := c.heldLocked(now), c.keys(), c.ownShare()
	if share == 0 && c.parent != nil {
		share = c.parent.ownShare()
	}
	if !fits(held, keys, share) {
		return false
	}
	// With this key the set may begin to count as open.
	if c.parent == nil || c.openLocked(now) || float64(held+1) < setOpenFrom*float64(keys) {
		return true
	}
	return members == 0 || fits(c.parent.heldLocked(now), members, c.parent.ownShare())
}

// fits reports whether there is room for one more. One may be open whatever the
// share.
func fits(held, total int, share float64) bool {
	return share <= 0 || held == 0 || float64(held+1)/float64(total) <= share
}

// openLocked reports whether a set counts as open.
func (c *openCap) openLocked(now time.Time) bool {
	held := c.heldLocked(now)
	return held > 0 && float64(held) >= setOpenFrom*float64(c.keys())
}

// heldLocked is the number of places that are held now.
func (c *openCap) heldLocked(now time.Time) (n int) {
	for len(c.places) > 0 && !now.Before(c.places[0].until) {
		c.dropLocked(c.places[0])
	}
	n = len(c.places)
	for _, s := range c.sets {
		n += btoi(s.openLocked(now))
	}
	return n
}

// moved takes note of a breaker's state. until is the end of its open time, or
// of its newest probe's lease.
func (c *openCap) moved(b *Breaker, to State, until time.Time) {
	if !c.limits() {
		return
	}
	mu := c.lock()
	mu.Lock()
	defer mu.Unlock()
	if to == Closed {
		until = time.Time{}
	}
	c.holdLocked(b, until)
}

// holdLocked gives b a place until then, in place of one that it has. Until zero
// it has none.
func (c *openCap) holdLocked(b *Breaker, until time.Time) {
	if p := c.index[b]; p != nil {
		c.dropLocked(p)
	}
	if until.IsZero() {
		return
	}
	if c.index == nil {
		c.index = make(map[*Breaker]*place)
	}
	p := &place{b: b, until: until}
	c.index[b] = p
	heap.Push(&c.places, p)
}

func (c *openCap) dropLocked(p *place) {
	heap.Remove(&c.places, p.at)
	delete(c.index, p.b)
}

// addSet makes a set's cap a part of its manager's.
func (c *openCap) addSet(s *openCap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets = append(c.sets, s)
}

func (c *openCap) removeSet(s *openCap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets = without(c.sets, s)
}

// places is a heap.
type places []*place

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i].until.Before(p[j].until) }
func (p places) Swap(i, j int) {
	p[i], p[j] = p[j], p[i]
	p[i].at, p[j].at = i, j
}

func (p *places) Push(x any) {
	q := x.(*place)
	q.at = len(*p)
	*p = append(*p, q)
}

func (p *places) Pop() any {
	last := len(*p) - 1
	q := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return q
}

// heldBack is what the cap has kept from opening.
type heldBack struct {
	count uint64 // of episodes
	since time.Time
	last  time.Time
}

// heldBackLocked keeps a breaker closed that the cap leaves no room to open: it
// goes on counting. Decisions that follow each other within an open time are
// one episode, which is told once. mu is held.
func (b *Breaker) heldBackLocked(from, to auto, t *Transition, now time.Time) {
	to.state, to.attempt = from.state, from.attempt
	b.setWord(to.in(b.load() &^ flagHeld))
	c := b.coldLocked()
	h := &c.heldBack
	if !h.now(now, b.settings().ResetTimeout) {
		h.since = now
		h.count++
		t.From, t.To, t.At, t.OpenFor = Closed, Open, now, 0
		b.describeLocked(b.settings(), auto{state: Open}, t)
		c.queue.add(note{heldBack: t})
		b.recordHeldBack(t)
	}
	h.last = now
}

// now reports whether the episode goes on.
func (h *heldBack) now(now time.Time, span time.Duration) bool {
	return !h.last.IsZero() && now.Sub(h.last) <= span
}
