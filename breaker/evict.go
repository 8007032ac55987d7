package breaker

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// This file is how a set forgets, and how it stays true that a key never has
// two breakers.
//
// A set keeps a breaker by a pointer in a shard's map. To evict it is to keep a
// weak pointer instead: while the program holds the breaker, or a call runs
// under it, the key gets the same one again; when nothing holds it any more, the
// collector takes it, and with it nothing, as only plainly healthy breakers are
// evicted. The breaker itself goes on as it is, evicted or not.
//
// flagEvicted in its word makes the two sides agree. A breaker is evicted by one
// compare-and-swap that fails if evidence comes first; and evidence that comes
// afterwards clears the flag in the same compare-and-swap that records it, and
// then takes the breaker back (I8). Whoever takes it back holds it, so the weak
// pointer cannot be dead in between.
//
// What cannot be seen in the word, such as a history, settings of the key's own
// or failures in the window, is marked there by flagKept.

// evicted says which keys evicted breakers are of.
type evicted[K comparable] struct {
	mu   sync.Mutex // taken after a shard's
	keys map[weak.Pointer[Breaker]]evictedKey[K]
}

type evictedKey[K comparable] struct {
	key     K
	cleanup runtime.Cleanup
}

// collected is what a cleanup is told. It must not hold the breaker.
type collected[K comparable] struct {
	set  *Set[K]
	key  K
	text string
	ref  weak.Pointer[Breaker]
}

// evictLocked keeps b, whose flagEvicted has been or is about to be set, by a
// weak pointer alone. The shard's lock is held.
func (s *Set[K]) evictLocked(sh *shard[K], k K, b *Breaker) {
	ref := weak.Make(b)
	e := evictedKey[K]{key: k}
	e.cleanup = runtime.AddCleanup(b, func(c collected[K]) { c.set.collected(c) }, collected[K]{s, k, b.key, ref})
	if sh.evicted == nil {
		sh.evicted = make(map[K]weak.Pointer[Breaker])
	}
	sh.evicted[k] = ref
	s.evicted.mu.Lock()
	defer s.evicted.mu.Unlock()
	if s.evicted.keys == nil {
		s.evicted.keys = make(map[weak.Pointer[Breaker]]evictedKey[K])
	}
	s.evicted.keys[ref] = e
}

// evict evicts a breaker that is plainly healthy. A failure may just have come:
// then it is not. The shard's lock is held.
func (s *Set[K]) evict(sh *shard[K], k K, b *Breaker) bool {
	w := b.load()
	if sh.by[k] != b || w&(evidenceMask|flagHeld) != 0 {
		return false
	}
	// First, so that evidence which comes right after the swap finds the key.
	s.evictLocked(sh, k, b)
	if !b.swapWord(w, w|flagEvicted) {
		s.forgetEvictionLocked(sh, k, b)
		return false
	}
	delete(sh.by, k)
	s.total.Add(-1)
	return true
}

// forgetEvictionLocked undoes evictLocked. The shard's lock is held.
func (s *Set[K]) forgetEvictionLocked(sh *shard[K], k K, b *Breaker) {
	ref := weak.Make(b)
	delete(sh.evicted, k)
	s.evicted.mu.Lock()
	defer s.evicted.mu.Unlock()
	s.evicted.keys[ref].cleanup.Stop()
	delete(s.evicted.keys, ref)
}

// restore is the evicted breaker of k, kept again if there is room, or nil.
func (s *Set[K]) restore(sh *shard[K], k K) *Breaker {
	kept := s.reserve()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := s.existingLocked(sh, k, kept)
	if b == nil && kept {
		s.total.Add(-1)
	}
	return b
}

// existingLocked is the breaker that k has, or nil. One that is evicted is kept
// again if a place has been reserved; one that is kept needs no other. The
// shard's lock is held.
func (s *Set[K]) existingLocked(sh *shard[K], k K, reserved bool) *Breaker {
	if b := sh.by[k]; b != nil {
		if reserved {
			s.total.Add(-1)
		}
		return b
	}
	ref, ok := sh.evicted[k]
	if !ok {
		return nil
	}
	b := ref.Value()
	switch {
	case b == nil:
		delete(sh.evicted, k) // collected, and its cleanup is still to come
	case reserved:
		s.restoreLocked(sh, k, b)
	}
	return b
}

// restoreLocked ends the eviction of b, for which a place is counted already.
// The shard's lock is held.
func (s *Set[K]) restoreLocked(sh *shard[K], k K, b *Breaker) {
	s.forgetEvictionLocked(sh, k, b)
	if sh.by == nil {
		sh.by = make(map[K]*Breaker)
	}
	sh.by[k] = b
	b.used.Store(s.tick.Add(1)) // as one that was inserted: it is not to go at once
	b.clearEvicted()
}

// clearEvicted follows the way back into the map: unlike swapWord, it does not
// tell the set.
func (b *Breaker) clearEvicted() {
	for {
		w := b.load()
		if w&flagEvicted == 0 || atomic.CompareAndSwapUint64(&b.word, w, w&^flagEvicted) {
			return
		}
	}
}

// noteWord counts the keys that have evidence, and takes back an evicted one
// that has some again: see owner. The breaker's lock may be held, a shard's must
// not be where evidence may come.
func (s *Set[K]) noteWord(b *Breaker, was, is uint64) {
	s.use(b)
	from, to := was&evidenceMask != 0, is&evidenceMask != 0
	switch {
	case to && !from:
		s.evidence.Add(1)
		s.sweeper.schedule(s)
	case from && !to:
		s.evidence.Add(-1)
		s.trim()
	}
	if d := btoi(is&evidenceMask == flagKept) - btoi(was&evidenceMask == flagKept); d != 0 {
		if s.historyOnly.Add(int64(d)) > int64(s.limits.MaxHistory) {
			s.sweeper.runSoon(s)
		}
	}
	if was&flagEvicted != 0 && is&flagEvicted == 0 {
		s.restoreWithEvidence(b)
	}
}

// restoreWithEvidence keeps an evicted breaker again, that has evidence. A lookup may have
// been faster. A breaker's lock may be held, so where the set is full, the
// sweeper makes room.
func (s *Set[K]) restoreWithEvidence(b *Breaker) {
	s.evicted.mu.Lock()
	e, ok := s.evicted.keys[weak.Make(b)]
	s.evicted.mu.Unlock()
	if !ok {
		return
	}
	sh := s.shard(e.key)
	sh.mu.Lock()
	if sh.evicted[e.key].Value() == b {
		s.total.Add(1)
		s.restoreLocked(sh, e.key, b)
	}
	sh.mu.Unlock()
	if s.total.Load() > s.most() {
		s.sweeper.runSoon(s)
	}
}

// most is the number of keys that are kept at the most.
func (s *Set[K]) most() int64 { return int64(s.limits.MaxKeys + s.limits.MaxEvidence) }

// collected follows an evicted breaker's end.
func (s *Set[K]) collected(c collected[K]) {
	sh := s.shard(c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.evicted[c.key] == c.ref {
		delete(sh.evicted, c.key)
	}
	_, again := sh.evicted[c.key]
	if s.texts != nil && !again && sh.by[c.key] == nil {
		s.texts.release(c.text)
	}
	s.evicted.mu.Lock()
	defer s.evicted.mu.Unlock()
	delete(s.evicted.keys, c.ref)
}

// reserve takes a place for a key that is to be inserted, and makes room for it.
// It reports false where none can be made: all others are overridden or have
// settings, listeners or matchers of their own. No lock is held.
func (s *Set[K]) reserve() bool {
	// Counted first: other callers take places at the same time.
	for try := 0; s.total.Add(1) > s.most(); try++ {
		s.total.Add(-1)
		if try == mostTries || !s.dropOne() {
			return false
		}
	}
	s.trim()
	return true
}

const (
	sampleCount = 32  // keys that are compared to find the longest idle
	mostLooked  = 512 // keys that are looked at to find so many
	mostTries   = 8   // at a place that others take first
)

// trim evicts keys that are healthy beyond MaxKeys: two at most, so that it
// catches up where other callers held it up. A breaker's lock may be held.
func (s *Set[K]) trim() {
	for range 2 {
		if s.healthy() > int64(s.limits.MaxKeys) {
			s.evictOne()
		}
	}
}

// evictOne evicts the longest idle of some healthy keys.
func (s *Set[K]) evictOne() bool {
	for _, c := range s.sample(func(w uint64) bool { return w&(evidenceMask|flagHeld) == 0 }) {
		if s.tryEvict(c) {
			return true
		}
	}
	return false
}

// tryEvict passes over a shard that is busy: the caller may hold another one's
// breaker.
func (s *Set[K]) tryEvict(c candidate[K]) bool {
	if !c.in.mu.TryLock() {
		return false
	}
	defer c.in.mu.Unlock()
	return s.evict(c.in, c.key, c.b)
}

// dropOne makes room for one key: it evicts a healthy one, or else lets lapse
// what is known of one that has been idle for long. No lock is held.
//
// Keys that someone invents, and that fail, come in great numbers, fail once and
// are not called again. So of those that are idle longer than others, one with a
// single failure goes first: a key that fails again and again is not washed out.
func (s *Set[K]) dropOne() bool {
	if s.healthy() > 0 && s.evictOne() {
		return true
	}
	found := s.sample(func(w uint64) bool { return w&overrideMask == 0 })
	older := found[:(len(found)+1)/2]
	slices.SortStableFunc(older, func(a, b candidate[K]) int {
		return btoi(a.b.failedOften()) - btoi(b.b.failedOften())
	})
	for _, c := range found {
		if c.b.forget(lapseNow) && s.tryEvict(c) {
			s.overflow.Add(1)
			s.logOverflow()
			return true
		}
	}
	return false
}

// failedOften reports whether more is known of the breaker than one failure, or
// a history.
func (b *Breaker) failedOften() bool {
	w := b.load()
	return stateOf(w) != Closed || b.settings().failures(unitsOf(w)) > 1
}

// candidate is a key that might be forgotten.
type candidate[K comparable] struct {
	in   *shard[K]
	key  K
	b    *Breaker
	idle uint32 // ticks since its last use
}

// sample is some keys whose words fit, the longest idle first: a few of each
// shard, from a random one on. Go ranges over a map from a random place, so a
// large set shows others each time. Shards that are busy are passed over.
func (s *Set[K]) sample(fits func(w uint64) bool) []candidate[K] {
	found := make([]candidate[K], 0, sampleCount)
	now := s.tick.Load()
	first := rand.IntN(shardCount)
	for i := range shardCount {
		sh := &s.shards[(first+i)%shardCount]
		if len(found) == sampleCount {
			break
		}
		if !sh.mu.TryRLock() {
			continue
		}
		looked, enough := 0, min(sampleCount, len(found)+sampleCount/8)
		for k, b := range sh.by {
			if fits(b.load()) {
				found = append(found, candidate[K]{sh, k, b, now - b.used.Load()})
			}
			if looked++; len(found) == enough || looked == mostLooked {
				break
			}
		}
		sh.mu.RUnlock()
	}
	slices.SortFunc(found, func(a, b candidate[K]) int { return cmp.Compare(b.idle, a.idle) })
	return found
}
