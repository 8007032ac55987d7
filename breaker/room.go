package breaker

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// This file is how a set makes room for a key, and which key gives way: a
// healthy one that has been idle for long, or, if all have evidence, one whose
// evidence is the least. How the breaker of that key is evicted is in evict.go,
// and how its evidence lapses in forget.go.
//
// Keys are chosen from a sample, so the cost does not grow with the set. Several
// callers may make room at once, and a Breaker.mu may be held by a caller whose
// breaker has just become healthy. So no function waits for a shard that is
// busy: another key will do as well.

// most returns the largest number of breakers that the set keeps.
func (s *Set[K]) most() int64 { return int64(s.limits.MaxKeys + s.limits.MaxEvidence) }

// reserve takes a place for a key that is about to be inserted, and makes room
// if necessary. It returns false if there is no room, and no key may be
// dropped: all are overridden or have settings, listeners or matchers of their
// own. No lock is held.
func (s *Set[K]) reserve() bool {
	// Count first and look afterwards, so that the limit also holds when many
	// callers insert at the same time.
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
	sampleCount = 32   // keys that are compared to find the one that has been idle longest
	mostLooked  = 1024 // keys that are looked at to find them where a place is needed: some 100 µs, while a call waits
	trimLooked  = 64   // the same where the sweeper could evict as well
	mostTries   = 8    // attempts at a place that other callers take first
)

// trim evicts healthy keys beyond MaxKeys, at most two at a time, so that the
// set catches up if other callers have kept it from evicting. A Breaker.mu may
// be held.
func (s *Set[K]) trim() {
	for range 2 {
		if s.healthy() > int64(s.limits.MaxKeys) && !s.evictOne(trimLooked) {
			// They are few among many with evidence, as when an outage ends. A
			// million calls that succeed again must not look for them any longer.
			s.sweeper.runSoon(s)
			return
		}
	}
}

// evictOne evicts one healthy key: of a sample, the one that has been idle
// longest. It looks at so many keys at most. A Breaker.mu may be held.
func (s *Set[K]) evictOne(most int) bool {
	for _, c := range s.sample(most, isHealthy) {
		if s.tryEvict(c) {
			return true
		}
	}
	return false
}

// isHealthy reports whether the breaker can be evicted.
func isHealthy(b *Breaker) bool { return b.load()&(evidenceMask|flagHeld) == 0 }

// evictBeyond evicts all healthy keys beyond MaxKeys, the longest idle first. It
// looks at every key, so only the sweeper calls it. No lock is held.
func (s *Set[K]) evictBeyond() {
	if s.healthy() <= int64(s.limits.MaxKeys) {
		return
	}
	var all []candidate[K]
	now := s.tick.Load()
	for i := range s.shards {
		sh := &s.shards[i]
		for k, b := range batches(&sh.mu, &sh.by.m) {
			if isHealthy(b) {
				all = append(all, candidate[K]{sh, k, b, now - b.used.Load()})
			}
		}
	}
	sortByIdle(all)
	for _, c := range all {
		// Calls insert and evict meanwhile, so the number is read each time.
		if s.healthy() <= int64(s.limits.MaxKeys) {
			return
		}
		s.tryEvict(c)
	}
}

// tryEvict evicts a candidate unless its shard is busy. It does not wait,
// because the caller may hold a Breaker.mu, and another key will do as well.
func (s *Set[K]) tryEvict(c candidate[K]) bool {
	if !c.in.mu.TryLock() {
		return false
	}
	defer c.in.mu.Unlock()
	// A walk visits evicted keys first and kept ones afterwards, so it would miss a
	// key that is evicted in between.
	return c.in.walks.Load() == 0 && s.evict(c.in, c.key, c.b)
}

// dropOne makes room for one key. It evicts a healthy key; or if there is none,
// it forgets the evidence of a key that has been idle for long, and evicts
// that. It returns false if no key may be dropped. No lock is held.
//
// Keys that clients invent come in great numbers, fail once and are never
// called again. So among the keys that have been idle longest, those with a
// single failure go first. A key that fails again and again keeps its evidence.
func (s *Set[K]) dropOne() bool {
	if s.healthy() > 0 && s.evictOne(mostLooked) {
		return true
	}
	// What people or the program have set never gives way (I5). forget checks it
	// again, under the lock.
	found := s.sample(mostLooked, func(b *Breaker) bool { return b.load()&overrideMask == 0 && !b.pinned() })
	older := found[:(len(found)+1)/2]
	slices.SortStableFunc(older, func(a, b candidate[K]) int {
		return btoi(a.b.failedOften()) - btoi(b.b.failedOften())
	})
	// All of found, not only the older half, in case that half is busy.
	for _, c := range found {
		healthy := c.b.load()&evidenceMask == 0
		if !c.b.forget(lapseNow) {
			continue
		}
		if !healthy {
			s.overflow.Add(1)
			s.logOverflow()
		}
		// If c cannot be evicted now, noteWord has evicted it already, or its
		// shard is busy. The caller looks again whether there is room. No other
		// key must lose its evidence before that.
		s.tryEvict(c)
		return true
	}
	return false
}

// failedOften reports whether the breaker is not closed, or has more than one
// counted failure.
func (b *Breaker) failedOften() bool {
	w := b.load()
	return stateOf(w) != Closed || unitsOf(w) > b.unit()
}

// candidate is a key that may be evicted.
type candidate[K comparable] struct {
	in   *shard[K]
	key  K
	b    *Breaker
	idle uint32 // ticks since its last use
}

// sample returns up to sampleCount keys that fit, the longest idle first, and
// looks at no more than most keys to find them. It takes a few from each shard, starting at a random one. Go iterates over a map
// from a random position, so a large set yields other keys each time. Shards
// that are busy are skipped, since a Breaker.mu may be held.
func (s *Set[K]) sample(most int, fits func(*Breaker) bool) []candidate[K] {
	found := make([]candidate[K], 0, sampleCount)
	now := s.tick.Load()
	first := rand.IntN(shardCount)
	looked := 0
	for i := range shardCount {
		sh := &s.shards[(first+i)%shardCount]
		if len(found) == sampleCount || looked == most {
			break
		}
		if sh.walks.Load() > 0 || !sh.mu.TryRLock() {
			continue
		}
		enough := min(sampleCount, len(found)+sampleCount/8)
		for k, b := range sh.by.m {
			// It loads only. b.mu must not be taken under the shard's lock.
			if fits(b) {
				found = append(found, candidate[K]{sh, k, b, now - b.used.Load()})
			}
			if looked++; len(found) == enough || looked == most {
				break
			}
		}
		sh.mu.RUnlock()
	}
	sortByIdle(found)
	return found
}

// sortByIdle sorts keys by how long they have been idle, the longest first.
func sortByIdle[K comparable](all []candidate[K]) {
	slices.SortFunc(all, func(a, b candidate[K]) int { return cmp.Compare(b.idle, a.idle) })
}
