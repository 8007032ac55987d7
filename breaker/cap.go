package breaker

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// openCap limits how many breakers may be open at once: the breakers of a
// manager, where a set counts as one, or the keys of a set. A breaker that
// would trip beyond the limit stays closed and continues to count.
//
// A breaker holds a place while it rejects calls: from its trip until its open
// time is over, and while probes are out. A breaker whose open time is over
// holds no place while no call arrives.
//
// A nil openCap has no limit.
type openCap struct {
	parent *openCap      // the cap of the manager, if this is the cap of one of its sets
	keys   func() int    // the number of keys of the set; nil if this is the cap of a manager
	share  atomic.Uint64 // the share that may be open at once, as float64 bits; 0: the parent's share, or no limit

	// mu guards the fields below. A manager and its sets use the manager's mu
	// for all of them, so that two trips at the same time cannot both take the
	// last place. It is taken while a Breaker.mu is held, never the other way
	// round.
	mu     sync.Mutex
	places ends       // the places held; each breaker knows its own, see cold.place
	sets   []*openCap // the caps of the manager's sets
}

// setOpenFrom is the share of open keys from which a set counts as open.
const setOpenFrom = 0.5

// limit changes the share. While nothing was limited, no places were counted,
// so limit takes them for the breakers in open that are open now; a half-open
// breaker takes one with its next probe. No lock is held.
func (c *openCap) limit(share float64, open []*Breaker) {
	c.share.Store(math.Float64bits(share))
	for _, b := range open {
		// In this order: a breaker's lock first, then, within moved, the cap's.
		b.mu.Lock()
		if cold := b.cold.Load(); cold != nil {
			b.cfg.cap.moved(b, cold.rejectsUntil(b.load()))
		}
		b.mu.Unlock()
	}
}

// limits reports whether there is a limit at all. Without one, trips need not
// take the cap's lock.
func (c *openCap) limits() bool { return c != nil && (c.ownShare() > 0 || c.parent.limits()) }

// ownShare returns the share set on this cap, or 0.
func (c *openCap) ownShare() float64 { return math.Float64frombits(c.share.Load()) }

// lock returns the mutex that guards this cap: the manager's, if there is one.
func (c *openCap) lock() *sync.Mutex {
	if c.parent != nil {
		return &c.parent.mu
	}
	return &c.mu
}

// admits reports whether b, which is closed, may open automatically until the
// given time. If so, b holds a place from then on. b.mu is held.
func (c *openCap) admits(b *Breaker, now, until time.Time) bool {
	if !c.limits() {
		return true
	}
	// Before the cap's lock: it takes manager.mu, for reading.
	members := b.cfg.members()
	if c.keys == nil && members == 0 {
		return true // it was removed from the manager
	}
	place := newEnd(until)
	mu := c.lock()
	mu.Lock()
	defer mu.Unlock()
	// Asked and taken under one lock, so that the limit holds when many breakers
	// trip at once.
	if !c.fitsLocked(now, members) {
		return false
	}
	c.holdLocked(b, place)
	return true
}

// members returns the number of breakers and sets of the manager, or 0 if the
// owner of c does not belong to one, or was removed from it.
func (c *config) members() (n int) {
	if c.manager != nil {
		n, _ = c.manager.count(c)
	}
	return n
}

// fitsLocked reports whether one more breaker may open: for a key, within its
// set, and if the set would then count as open, within the manager. lock is
// held.
func (c *openCap) fitsLocked(now time.Time, members int) bool {
	if c.keys == nil {
		return fits(c.heldLocked(now), members, c.ownShare())
	}
	held, keys, share := c.heldLocked(now), c.keys(), c.ownShare()
	// The manager's share also applies within a set that has none of its own.
	if share == 0 && c.parent != nil {
		share = c.parent.ownShare()
	}
	// The set's own limit comes first.
	if !fits(held, keys, share) {
		return false
	}
	// If the set counts as open already, or still does not with one more key,
	// the manager's count does not change.
	if c.parent == nil || c.openLocked(now) || float64(held+1) < setOpenFrom*float64(keys) {
		return true
	}
	return members == 0 || fits(c.parent.heldLocked(now), members, c.parent.ownShare())
}

// fits reports whether one more may be open. A single one always may, however
// small the share.
func fits(held, total int, share float64) bool {
	return share <= 0 || held == 0 || float64(held+1)/float64(total) <= share
}

// openLocked reports whether the set counts as open. lock is held.
func (c *openCap) openLocked(now time.Time) bool {
	held := c.heldLocked(now)
	return held > 0 && float64(held) >= setOpenFrom*float64(c.keys())
}

// heldLocked returns the number of places held at now. lock is held.
func (c *openCap) heldLocked(now time.Time) (n int) {
	// Places end by time alone, without a timer: an open breaker that is not
	// called does not find out that its open time is over.
	n = c.places.count(now)
	// For a manager, each open set counts as one.
	for _, s := range c.sets {
		n += btoi(s.openLocked(now))
	}
	return n
}

// never is later than any end of a place.
var never = time.Unix(1<<40, 0)

// rejectsUntil returns until when a breaker whose word is w rejects calls: until
// the end of its open time, of its newest probe's lease, or of the override that
// forces it open; zero if it rejects none. Breaker.mu is held.
func (c *cold) rejectsUntil(w uint64) time.Time {
	switch effective(w) {
	case ForcedOpen:
		if c.override.expires.IsZero() {
			return never
		}
		return c.override.expires
	case Open:
		return c.openUntil
	case HalfOpen:
		if out := c.probes.out; len(out) > 0 {
			return out[len(out)-1].ends
		}
	}
	return time.Time{}
}

// moved records until when a breaker rejects calls, see rejectsUntil. b.mu is
// held, or b is being removed.
func (c *openCap) moved(b *Breaker, until time.Time) {
	if !c.limits() {
		return
	}
	// A program may go on using a breaker that it has removed. It holds no place
	// among those that are left.
	if c.keys == nil && b.cfg.members() == 0 {
		until = time.Time{}
	}
	place := newEnd(until)
	mu := c.lock()
	mu.Lock()
	defer mu.Unlock()
	c.holdLocked(b, place)
}

// holdLocked gives b a place, in place of any that it has. If place is nil, b has
// none afterwards. lock is held.
func (c *openCap) holdLocked(b *Breaker, place *endNode) {
	cold := b.cold.Load()
	if cold == nil {
		return // it has never rejected a call
	}
	c.places.remove(cold.place)
	cold.place = c.places.add(place)
}

// addSet adds the cap of a set to its manager's cap.
func (c *openCap) addSet(s *openCap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets = append(c.sets, s)
}

// removeSet removes the cap of a set from its manager's cap.
func (c *openCap) removeSet(s *openCap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets = without(c.sets, s)
}

// heldBack is what the cap has prevented. Trips of one breaker that are
// prevented shortly after each other form one episode. Breaker.mu guards it.
type heldBack struct {
	count uint64    // of episodes
	since time.Time // the beginning of the newest episode
	last  time.Time // the newest trip that was prevented
}

// heldBackLocked keeps a breaker closed because the cap has no room for it. The
// breaker continues to count, and tries again at its next failure. Attempts that
// follow each other within an open time are one episode, which listeners receive
// once. mu is held.
func (b *Breaker) heldBackLocked(from, to auto, t *Transition, now time.Time) {
	// The failure is counted (I11), but neither the state nor the backoff moves.
	to.state, to.attempt = from.state, from.attempt
	// decideLocked has set flagHeld: release the word.
	b.setWord(to.in(b.load() &^ flagHeld))
	c := b.coldLocked()
	h := &c.heldBack
	// A new episode: record it and notify listeners, once (I7).
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

// now reports whether the newest episode still continues.
func (h *heldBack) now(now time.Time, span time.Duration) bool {
	return !h.last.IsZero() && now.Sub(h.last) <= span
}
