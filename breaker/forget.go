package breaker

import "time"

// This file is how what is known of a key lapses: when the key has been idle for
// a long time, when the set is full, and when it is removed.

// keepLocked marks a key of which more is known than its word says. mu is held.
func (b *Breaker) keepLocked() {
	if b.cfg.owner != nil && b.load()&flagKept == 0 {
		b.edit(0, flagKept)
	}
}

// unkeepLocked takes the mark back where nothing more is known any longer. mu is
// held.
func (b *Breaker) unkeepLocked() {
	if b.cfg.owner == nil || b.load()&flagKept == 0 || b.pinnedLocked() || len(b.cold.Load().past.ring) > 0 {
		return
	}
	if win := b.win.Load(); win == nil || win.counts().Bad == 0 {
		b.edit(flagKept, 0)
	}
}

// lapse says how much of a key is forgotten.
type lapse uint8

const (
	lapseNow     lapse = iota // unless a person or the program holds on to it
	lapseIfIdle               // also unless it is open, and its open time ended less than Retention ago
	lapseHistory              // its history alone, and what has left its window
	lapseAll                  // everything: the key is removed
)

// forget makes the breaker plainly healthy, so that it can be evicted. It
// reports false, having done nothing, where that may not be, or another
// goroutine is at it. No lock is held.
func (b *Breaker) forget(how lapse) bool {
	if !b.mu.TryLock() {
		return false
	}
	done := b.forgetLocked(how)
	b.mu.Unlock()
	b.deliver()
	return done
}

func (b *Breaker) forgetLocked(how lapse) bool {
	c := b.cold.Load()
	w := b.load()
	switch {
	case how == lapseAll:
		b.unpinLocked()
	case w&overrideMask != 0 || b.pinnedLocked():
		return false
	case how == lapseHistory:
		return b.forgetHistoryLocked(w)
	case how == lapseIfIdle && b.openRecentlyLocked(w):
		return false
	}
	b.stepLocked(&event{kind: evLapse}, time.Time{}, nil)
	if c != nil {
		c.ramp, c.attempt = nil, 0
	}
	if r := b.settings(); r.flags&flagCounted != 0 {
		b.win.Store(newWindow(genOf(b.load()), r))
	}
	b.edit(flagRamp, b.flags(b.settings()))
	b.dropRecordsLocked()
	return true
}

// pinnedLocked reports whether the program holds on to the key. mu is held.
func (b *Breaker) pinnedLocked() bool {
	c := b.cold.Load()
	return c != nil && (c.own.Load() != nil || c.matchers.Load() != nil || c.calls.Load() != nil || len(b.ownListeners()) > 0)
}

// unpinLocked takes back what people and the program have set. mu is held.
func (b *Breaker) unpinLocked() {
	c := b.cold.Load()
	if c == nil {
		return
	}
	if c.override != nil {
		b.liftLocked(&Transition{Cause: CauseLapsed}, b.cfg.clock.Now())
	}
	c.own.Store(nil)
	c.matchers.Store(nil)
	c.listeners.Store(nil)
	c.calls.Store(nil)
	b.refreshLocked()
}

// openRecentlyLocked reports whether the breaker is not closed, and has no call to make
// it so, but not for long enough. mu is held.
func (b *Breaker) openRecentlyLocked(w uint64) bool {
	if stateOf(w) == Closed {
		return false
	}
	c := b.cold.Load()
	since := c.openUntil
	if stateOf(w) == HalfOpen {
		since = c.last.At
	}
	return b.cfg.clock.Since(since) < b.cfg.owner.retention()
}

// forgetHistoryLocked forgets a history, and bad calls that the window has
// forgotten too, of a key of which no more is known. mu is held.
func (b *Breaker) forgetHistoryLocked(w uint64) bool {
	if w&evidenceMask != flagKept {
		return false
	}
	if win := b.win.Load(); win != nil && win.counts().Bad > 0 {
		return false
	}
	b.dropRecordsLocked()
	return true
}

// hasHistory reports whether transitions are kept of a key.
func (b *Breaker) hasHistory() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.cold.Load()
	return c != nil && len(c.past.ring) > 0
}

// dropRecordsLocked forgets what is kept for people, and that anything was kept.
// mu is held.
func (b *Breaker) dropRecordsLocked() {
	if c := b.cold.Load(); c != nil {
		b.cfg.owner.forgotten(b.ownVersionLocked(), max(0, len(c.past.ring)-1))
		c.version = 0
		c.since, c.last, c.opened, c.failing = time.Time{}, nil, nil, time.Time{}
		c.past, c.tally, c.errors, c.heldBack = history{}, tally{}, errorRing{}, heldBack{}
		c.bypassed, c.bypass = 0, ""
		c.reject.Store(nil)
	}
	b.edit(flagKept, 0)
}

// Remove forgets a key, whatever is known of it: failures and history, that it is
// open or overridden, settings and listeners of its own. It reports false when
// the key was not remembered.
func (s *Set[K]) Remove(k K) bool {
	b := s.find(k)
	if b == nil {
		return false
	}
	b.mu.Lock()
	b.forgetLocked(lapseAll)
	b.mu.Unlock()
	b.deliver()
	if s.hasNaN && k != k { //nolint:gocritic // a NaN
		return true
	}
	sh := s.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.evict(sh, k, b)
	return true
}

// forgotten raises the floor of versions, and gives records back: see owner.
func (s *Set[K]) forgotten(version uint64, records int) {
	s.records.Add(-int64(records))
	for {
		floor := s.floor.Load()
		if version <= floor || s.floor.CompareAndSwap(floor, version) {
			return
		}
	}
}

// versionFloor is the highest version that was forgotten: see owner.
func (s *Set[K]) versionFloor() uint64 { return s.floor.Load() }

// retention is how long a key may be idle: see owner.
func (s *Set[K]) retention() time.Duration { return s.limits.Retention }

// noteRecord counts a further record of a key, if the budget has room for it: see
// owner.
func (s *Set[K]) noteRecord() bool {
	if s.records.Load() >= int64(s.limits.MaxHistory) {
		return false
	}
	s.records.Add(1)
	return true
}

func (s *Set[K]) logOverflow() {
	if s.cfg.logger == nil || s.overflow.Load() != 1 {
		return
	}
	defer s.cfg.loggerPanics()
	s.cfg.logger.Warn("circuit breaker set is full: keys that fail take the place of those that have been idle longest",
		"set", s.cfg.name, "keys", s.limits.MaxKeys+s.limits.MaxEvidence)
}
