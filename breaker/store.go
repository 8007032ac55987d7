package breaker

import (
	"cmp"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
)

const (
	shardCount  = 64
	sampleCount = 32 // keys that are compared to find the longest idle
	mostTries   = 8  // at a place that others take first
	overflowKey = "(overflow)"
)

// shard is a part of a set's keys, so that callers of different keys seldom
// meet. Its lock is taken before a breaker's, never after.
type shard[K comparable] struct {
	mu sync.RWMutex
	by map[K]*Breaker
	// floor is the newest generation that was forgotten here: breakers made
	// since begin with it, so that a call admitted before a forgotten trip
	// does not count after it (I1).
	floor uint32
	_     [24]byte
}

func (s *Set[K]) shard(k K) *shard[K] {
	return &s.shards[maphash.Comparable(s.seed, k)%shardCount]
}

// find is the breaker of k, or nil. It notes the use for what is idle longest,
// in insertions: while nothing is inserted, nothing need be forgotten.
func (s *Set[K]) find(k K) *Breaker {
	sh := s.shard(k)
	sh.mu.RLock()
	b := sh.by[k]
	sh.mu.RUnlock()
	if b != nil {
		if now := s.inserts.Load(); b.used.Load() != now {
			b.used.Store(now)
		}
	}
	return b
}

// passes reports whether an unknown key may run without a breaker: the set is
// full, and no rule or listener needs to hear of a success. Such a key leaves
// nothing behind unless its call fails.
func (s *Set[K]) passes() bool {
	return s.healthy() >= int64(s.limits.MaxKeys) &&
		s.cfg.rules.Load().flags == 0 && s.cfg.listenerFlags() == 0
}

func (s *Set[K]) healthy() int64 { return s.total.Load() - s.evidence.Load() }

// insert makes the breaker of k, or puts back b, which had been forgotten. It
// makes room first. At the limit of evidence it returns the overflow breaker.
func (s *Set[K]) insert(k K, b *Breaker) *Breaker {
	if s.evidence.Load() < int64(s.limits.MaxEvidence) {
		text := keyText(k) // user code, perhaps: before the lock
		if b := s.insertNamed(k, text, b); b != nil {
			return b
		}
	}
	if there := s.find(k); there != nil {
		return there // from before; b is an older one of the same key
	}
	return s.overflowBreaker()
}

// insertNamed is insert but for the limit: it returns nil where no room can be
// made, because what looks healthy has evidence in its window.
func (s *Set[K]) insertNamed(k K, text string, b *Breaker) *Breaker {
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if there := sh.by[k]; there != nil {
		return there
	}
	s.makeRoom(sh)
	// Counted first: other shards take places at the same time.
	for try := 0; s.total.Add(1) > int64(s.limits.MaxKeys+s.limits.MaxEvidence); try++ {
		s.total.Add(-1)
		if try == mostTries || !s.forgetOne(sh) {
			return nil
		}
	}
	if b == nil {
		b = &Breaker{cfg: s.cfg, key: text}
		b.start(sh.floor)
	} else {
		b.comeBack(sh.floor)
	}
	if sh.by == nil {
		sh.by = make(map[K]*Breaker)
	}
	sh.by[k] = b
	b.used.Store(s.inserts.Add(1))
	return b
}

// makeRoom forgets the longest idle of the healthy keys it looks at, twice if
// other callers have been held up. mine is locked already.
func (s *Set[K]) makeRoom(mine *shard[K]) {
	for range 2 {
		if s.healthy() >= int64(s.limits.MaxKeys) {
			s.forgetOne(mine)
		}
	}
}

// candidate is a key that might be forgotten.
type candidate[K comparable] struct {
	in   *shard[K]
	key  K
	b    *Breaker
	idle uint32 // insertions since its last use
}

func (s *Set[K]) forgetOne(mine *shard[K]) bool {
	found := s.sample(mine)
	slices.SortFunc(found, func(a, b candidate[K]) int { return cmp.Compare(b.idle, a.idle) })
	for _, c := range found {
		if c.in != mine && !c.in.mu.TryLock() {
			continue
		}
		done := c.in.by[c.key] == c.b && s.drop(c)
		if c.in != mine {
			c.in.mu.Unlock()
		}
		if done {
			return true
		}
	}
	return false
}

// sample is some keys that look healthy, from a random shard on. Whoever holds
// a shard never waits for another: those that are busy are passed over. Go
// ranges over a map from a random place, so a large one shows others each time.
func (s *Set[K]) sample(mine *shard[K]) []candidate[K] {
	found := make([]candidate[K], 0, sampleCount)
	now := s.inserts.Load()
	first := rand.IntN(shardCount)
	for i := range shardCount {
		sh := &s.shards[(first+i)%shardCount]
		if sh != mine && !sh.mu.TryRLock() {
			continue
		}
		for k, b := range sh.by {
			if b.load()&evidenceMask == 0 {
				found = append(found, candidate[K]{sh, k, b, now - b.used.Load()})
			}
			if len(found) == sampleCount {
				break
			}
		}
		if sh != mine {
			sh.mu.RUnlock()
		}
		if len(found) == sampleCount {
			break
		}
	}
	return found
}

// drop forgets a key if that loses nothing. Its shard is locked.
func (s *Set[K]) drop(c candidate[K]) bool {
	if !forget(c.b, c.key) {
		return false
	}
	delete(c.in.by, c.key)
	s.total.Add(-1)
	if gen := genOf(c.b.load()); int32(gen-c.in.floor) > 0 {
		c.in.floor = gen
	}
	return true
}

// adopt returns the breaker that stands for a forgotten one: see home.
func (s *Set[K]) adopt(b *Breaker) *Breaker {
	b.mu.Lock()
	k, forgotten := b.cold.Load().gone.(*K)
	b.mu.Unlock()
	if !forgotten {
		return b // somebody else has just brought it back
	}
	return s.insert(*k, b)
}

// succeeded reports whether a breaker stands for a forgotten one: see home.
func (s *Set[K]) succeeded(b *Breaker) bool {
	b.mu.Lock()
	k, forgotten := b.cold.Load().gone.(*K)
	b.mu.Unlock()
	return !forgotten || s.find(*k) != nil
}

// noteEvidence keeps count of the keys that may not be forgotten.
func (s *Set[K]) noteEvidence(n int64) { s.evidence.Add(n) }

// overflowBreaker serves the keys beyond MaxEvidence: better one breaker for
// all of them than none.
func (s *Set[K]) overflowBreaker() *Breaker {
	s.overflowed.Add(1)
	if b := s.overflow.Load(); b != nil {
		return b
	}
	b, made := s.makeOverflow()
	if made && s.cfg.logger != nil {
		s.logOverflow()
	}
	return b
}

func (s *Set[K]) logOverflow() {
	defer s.cfg.loggerPanics()
	s.cfg.logger.Warn("circuit breaker set is full: further keys share one breaker",
		"set", s.cfg.name, "limit", s.limits.MaxEvidence)
}

// makeOverflow holds the lock of those who change settings and listeners: the
// breaker has theirs, or they find it.
func (s *Set[K]) makeOverflow() (b *Breaker, made bool) {
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	if b := s.overflow.Load(); b != nil {
		return b, false
	}
	b = newBreaker(s.cfg, overflowKey)
	s.overflow.Store(b)
	return b, true
}

// all is every breaker that the set remembers. No lock outlives it.
func (s *Set[K]) all() []*Breaker {
	out := make([]*Breaker, 0, s.total.Load()+1)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		for _, b := range sh.by {
			out = append(out, b)
		}
		sh.mu.RUnlock()
	}
	if b := s.overflow.Load(); b != nil {
		out = append(out, b)
	}
	return out
}

// forgettableLocked reports whether forgetting b at word w loses nothing (I8).
// mu is held.
func (b *Breaker) forgettableLocked(w uint64) bool {
	if w&evidenceMask != 0 {
		return false
	}
	if c := b.cold.Load(); c != nil && (c.own.Load() != nil || len(c.listeners) > 0) {
		return false
	}
	if win := b.win.Load(); win != nil {
		c := win.counts()
		return c.Failures == 0 && c.Slow == 0
	}
	return true
}

// forget marks b, whose key is k: whoever still holds it is sent to adopt.
func forget[K comparable](b *Breaker, k K) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.load()
	if !b.forgettableLocked(w) || !b.swapWord(w, w|flagGone) { // a failure may just have come
		return false
	}
	c := b.coldLocked()
	c.gone, c.goneAt = &k, b.cfg.gens.Load()
	return true
}

// comeBack ends the forgetting of b. When breakers have been forgotten that
// moved meanwhile, b's key may have had one of them: then calls from before are
// of an earlier stretch (I1). The lock of b's shard is held.
func (b *Breaker) comeBack(floor uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.cold.Load()
	c.gone = nil
	if int32(floor-c.goneAt) > 0 {
		b.start(floor)
	} else {
		b.edit(flagGone, 0)
	}
	b.refreshLocked() // the set's settings and listeners passed it by while it was forgotten
}
