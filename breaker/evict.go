package breaker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"weak"
)

// This file is how a set evicts the breakers of healthy keys, and how it ensures
// that a key never has two breakers.
//
// A set keeps a breaker by a pointer in a shard's map, and perhaps another in a
// list (keylist.go). To evict the breaker, it replaces the first with a weak
// pointer, and takes the key out of the list. As long as the program holds the
// breaker or a call runs under it, the key gets the same breaker again. When
// nothing holds it any more, the garbage collector takes it, and no evidence is
// lost, because only healthy breakers are evicted (I8). Evicted or not, a
// breaker works in the same way.
//
// flagEvicted in the breaker's word keeps the two sides consistent. A breaker
// is evicted by one compare-and-swap, which fails if evidence comes first.
// Evidence that comes later clears the flag in the same compare-and-swap that
// records it, and then puts the breaker back into the map (I8). The goroutine
// that puts it back holds the breaker, so the weak pointer is still valid.
//
// flagKept marks a breaker with evidence that the word cannot show: a history,
// settings of its own, or bad calls in the window.
//
// Locks: Breaker.mu → shard.mu → evicted.mu. Functions that may be called with a
// Breaker.mu held say so.

// evicted maps evicted breakers back to their keys, since a breaker knows only
// the text of its key.
type evicted[K comparable] struct {
	mu   sync.Mutex // taken after a shard's mu, never before it
	keys shrinkingMap[weak.Pointer[Breaker], evictedKey[K]]
}

// evictedKey is the key of an evicted breaker, and the cleanup to stop when the
// breaker comes back.
type evictedKey[K comparable] struct {
	key     K
	cleanup runtime.Cleanup
}

// collected is the argument of a cleanup. It must not refer to the breaker,
// which would then never be collected.
type collected[K comparable] struct {
	set  *Set[K]
	key  K
	text string
	ref  weak.Pointer[Breaker]
}

// evictLocked makes b, whose flagEvicted is set or about to be set, reachable
// by a weak pointer only. The shard's lock is held.
func (s *Set[K]) evictLocked(sh *shard[K], k K, b *Breaker) {
	ref := weak.Make(b)
	e := evictedKey[K]{key: k}
	e.cleanup = runtime.AddCleanup(b, func(c collected[K]) { c.set.collected(c) }, collected[K]{s, k, b.key, ref})
	sh.evicted.put(k, ref)
	s.evicted.mu.Lock()
	defer s.evicted.mu.Unlock()
	s.evicted.keys.put(ref, e)
}

// evict evicts a breaker that has no evidence, and reports whether it did:
// evidence may have come just now. The shard's lock is held. A walk through the
// shard must not be under way, unless the breaker is refreshed afterwards.
func (s *Set[K]) evict(sh *shard[K], k K, b *Breaker) bool {
	w := b.load()
	// flagHeld: a transition is being recorded, so evidence is about to come.
	if sh.by.m[k] != b || w&(evidenceMask|flagHeld) != 0 {
		return false
	}
	// Register the weak pointer first, so that evidence that comes right after
	// the swap finds the key and can put the breaker back (I8).
	s.evictLocked(sh, k, b)
	// If evidence came since the load, the swap fails and the breaker stays.
	if !b.swapWord(w, w|flagEvicted) {
		s.forgetEvictionLocked(sh, k, b)
		return false
	}
	s.removeLocked(sh, k)
	s.total.Add(-1)
	b.forgetShadows()
	return true
}

// forgetEvictionLocked undoes evictLocked. The shard's lock is held.
func (s *Set[K]) forgetEvictionLocked(sh *shard[K], k K, b *Breaker) {
	ref := weak.Make(b)
	sh.evicted.remove(k)
	s.evicted.mu.Lock()
	defer s.evicted.mu.Unlock()
	// A cleanup left running would release the key's text while it is in use.
	s.evicted.keys.m[ref].cleanup.Stop()
	s.evicted.keys.remove(ref)
}

// restore returns the evicted breaker of k, kept again if there is room, or nil.
// No lock is held.
func (s *Set[K]) restore(sh *shard[K], k K) *Breaker {
	kept := s.reserve()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := s.existingLocked(sh, k, kept)
	// The reservation was not used.
	if b == nil && kept {
		s.total.Add(-1)
	}
	return b
}

// existingLocked returns the breaker that k has, or nil. If a place has been
// reserved, an evicted breaker is kept again and uses it; a breaker that is kept
// already gives the place back. The shard's lock is held.
func (s *Set[K]) existingLocked(sh *shard[K], k K, reserved bool) *Breaker {
	if b := sh.by.m[k]; b != nil {
		if reserved {
			s.total.Add(-1)
		}
		return b
	}
	ref, ok := sh.evicted.m[k]
	if !ok {
		return nil
	}
	b := ref.Value()
	switch {
	case b == nil:
		sh.evicted.remove(k) // collected; its cleanup is still to run
	case reserved:
		s.restoreLocked(sh, k, b)
	}
	return b
}

// restoreLocked ends the eviction of b, for which a place is counted already.
// The shard's lock is held.
func (s *Set[K]) restoreLocked(sh *shard[K], k K, b *Breaker) {
	s.forgetEvictionLocked(sh, k, b)
	s.putLocked(sh, k, b)
	b.used.Store(s.tick.Add(1)) // as if just inserted, so that it is not evicted again at once
	// Last: as long as the flag is set, evidence looks for the breaker here, and
	// finds that it is back.
	b.clearEvicted()
}

// clearEvicted clears flagEvicted when the breaker is in the map again. It does
// not use swapWord, which would take the shard's lock that is held here.
func (b *Breaker) clearEvicted() {
	for {
		w := b.load()
		if w&flagEvicted == 0 || atomic.CompareAndSwapUint64(&b.word, w, w&^flagEvicted) {
			return
		}
	}
}

// noteWord counts the keys that have evidence, and restores an evicted breaker
// that now has some; see owner. A Breaker.mu may be held. No shard's lock may
// be held if the change adds evidence.
func (s *Set[K]) noteWord(b *Breaker, was, is uint64) {
	s.use(b)
	from, to := was&evidenceMask != 0, is&evidenceMask != 0
	switch {
	case to && !from:
		s.evidence.Add(1)
		// Evidence lapses after Retention, which takes a sweep.
		s.sweeper.schedule(s)
	case from && !to:
		s.evidence.Add(-1)
		// One more healthy key: there may be too many now.
		s.trim()
	}
	// Keys with a history only have a budget of their own.
	if d := btoi(is&evidenceMask == flagKept) - btoi(was&evidenceMask == flagKept); d != 0 {
		if s.historyOnly.Add(int64(d)) > int64(s.limits.MaxHistory) {
			s.sweeper.runSoon(s)
		}
	}
	// swapWord has cleared the flag together with recording the evidence (I8).
	if was&flagEvicted != 0 && is&flagEvicted == 0 {
		s.restoreWithEvidence(b)
	}
}

// restoreWithEvidence puts an evicted breaker that has evidence back into the
// map, unless a look-up has done so already. A Breaker.mu may be held, so it
// does not make room itself: if the set is full, the sweeper does that.
func (s *Set[K]) restoreWithEvidence(b *Breaker) {
	s.evicted.mu.Lock()
	e, ok := s.evicted.keys.m[weak.Make(b)]
	s.evicted.mu.Unlock()
	if !ok {
		return
	}
	// evicted.mu is released first: it is taken after a shard's lock, not
	// before.
	sh := s.shard(e.key)
	sh.mu.Lock()
	// Not if the key has been restored meanwhile: it must be counted once.
	if sh.evicted.m[e.key].Value() == b {
		s.total.Add(1)
		s.restoreLocked(sh, e.key, b)
	}
	sh.mu.Unlock()
	if s.total.Load() > s.most() {
		s.sweeper.runSoon(s)
	}
}

// collected runs after the garbage collector has taken an evicted breaker. It
// is a cleanup, on a goroutine of the runtime, with no lock held.
func (s *Set[K]) collected(c collected[K]) {
	sh := s.shard(c.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// The key may have a new breaker by now, which may be evicted, too.
	if sh.evicted.m[c.key] == c.ref {
		sh.evicted.remove(c.key)
	}
	// The text stays reserved while any breaker of the key exists.
	_, again := sh.evicted.m[c.key]
	if s.texts != nil && !again && sh.by.m[c.key] == nil {
		s.texts.release(c.text)
	}
	s.evicted.mu.Lock()
	defer s.evicted.mu.Unlock()
	s.evicted.keys.remove(c.ref)
}
