package breaker

import "time"

// This file is how the evidence of a key lapses: when the key has been idle for
// Retention, when the set is full, and when the key is removed. Afterwards the
// breaker is healthy and evict.go can evict it.
//
// This is the only exception to I8: keys that have not been used for long, and
// keys that make room for others, lose their evidence. What people or the
// program have set is forgotten only by Remove.

// keepLocked sets flagKept on a key with evidence that its word does not show,
// so that the key is not evicted (I8). mu is held.
func (b *Breaker) keepLocked() {
	if b.cfg.owner != nil && b.load()&flagKept == 0 {
		b.edit(0, flagKept)
	}
}

// unkeepLocked clears flagKept if no such evidence is left. mu is held.
func (b *Breaker) unkeepLocked() {
	if b.cfg.owner == nil || b.load()&flagKept == 0 || b.pinned() || len(b.cold.Load().past.ring) > 0 {
		return
	}
	// Bad calls in the window are evidence, too.
	if win := b.win.Load(); win == nil || win.counts().Bad == 0 {
		b.edit(flagKept, 0)
	}
}

// lapse says how much of a key to forget, and under which condition.
type lapse uint8

const (
	lapseNow     lapse = iota // the evidence, unless people or the program have set something
	lapseIfIdle               // the same, unless the key is open and its open time ended less than Retention ago
	lapseHistory              // only the history, and bad calls that have left the window
	lapseAll                  // everything: the key is being removed
)

// forget makes the breaker healthy, so that it can be evicted. It returns false,
// and has changed nothing, if the breaker must not forget or another goroutine
// holds its lock. No lock is held.
func (b *Breaker) forget(how lapse) bool {
	// A breaker whose lock is held is in use. Another key will do as well, and
	// sweeping must not wait for it.
	if !b.mu.TryLock() {
		return false
	}
	// The set checked the key without the lock. forgetLocked checks it again,
	// because a call or an order may have come in between.
	done := b.forgetLocked(how)
	b.mu.Unlock()
	// A breaker that was open has closed, and listeners must know (I7).
	b.deliver()
	return done
}

// forgetLocked does the work of forget. mu is held.
func (b *Breaker) forgetLocked(how lapse) bool {
	c := b.cold.Load()
	w := b.load()
	switch {
	case how == lapseAll:
		// First, so that the rest finds a breaker that follows its set alone.
		b.unpinLocked()
	case w&overrideMask != 0 || b.pinned():
		// Set by people or the program: it does not lapse (I5).
		return false
	case how == lapseHistory:
		return b.forgetHistoryLocked(w)
	case how == lapseIfIdle && b.openRecentlyLocked(w):
		return false
	}
	// Closing an open key is a transition like any other, with a record.
	b.stepLocked(&event{kind: evLapse}, time.Time{}, nil)
	// stepLocked leaves the ramp alone if the breaker is closed already.
	if c != nil {
		c.ramp = nil
	}
	// A new window, since bad calls in the old one are evidence.
	if r := b.settings(); r.flags&flagCounted != 0 {
		b.win.Store(newWindow(genOf(b.load()), r))
	}
	// flagCounted may be off because the old window was clean.
	b.edit(flagRamp, b.flags(b.settings()))
	// After the transition above, whose record goes as well: listeners have it in
	// their queue already (I7).
	b.dropRecordsLocked()
	b.recordForgot()
	b.forgetShadows() // they see: the breaker is closed
	return true
}

// pinned reports whether the program has given the key settings, matchers,
// listeners or counters of its own. mu need not be held.
func (b *Breaker) pinned() bool {
	c := b.cold.Load()
	return c != nil && (c.own.Load() != nil || c.matchers.Load() != nil || c.calls.Load() != nil || len(b.ownListeners()) > 0)
}

// unpinLocked removes what people and the program have set. mu is held.
func (b *Breaker) unpinLocked() {
	c := b.cold.Load()
	if c == nil {
		return
	}
	// With a record: listeners learn that the override is gone (I7).
	if c.override != nil {
		b.liftLocked(&Transition{Cause: CauseLapsed}, b.cfg.clock.Now())
	}
	c.own.Store(nil)
	c.matchers.Store(nil)
	c.listeners.Store(nil)
	c.calls.Store(nil)
	// The bits that they set in the word go now: a call that still sees one of
	// them takes the slow path, and finds nothing there.
	b.refreshLocked()
}

// openRecentlyLocked reports whether the breaker is open or half-open, and has
// been able to admit a probe for less than Retention. mu is held.
func (b *Breaker) openRecentlyLocked(w uint64) bool {
	if stateOf(w) == Closed {
		return false
	}
	c := b.cold.Load()
	// The end of the open time, or in half-open the move that began it: from
	// then on only a call was missing.
	since := c.openUntil
	if stateOf(w) == HalfOpen {
		since = c.last.At
	}
	return b.cfg.clock.Since(since) < b.cfg.owner.retention()
}

// forgetHistoryLocked forgets the history of a key that has no other evidence.
// It also clears flagKept if bad calls have left the window. mu is held.
func (b *Breaker) forgetHistoryLocked(w uint64) bool {
	// The word shows other evidence (I8).
	if w&evidenceMask != flagKept {
		return false
	}
	// Bad calls in the window are evidence that counts still (I8).
	if win := b.win.Load(); win != nil && win.counts().Bad > 0 {
		return false
	}
	b.dropRecordsLocked()
	return true
}

// hasHistory reports whether the key has transitions on record. No lock is held.
func (b *Breaker) hasHistory() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.cold.Load()
	return c != nil && len(c.past.ring) > 0
}

// dropRecordsLocked forgets everything kept for people to read, and clears
// flagKept. mu is held.
func (b *Breaker) dropRecordsLocked() {
	if c := b.cold.Load(); c != nil {
		// First, so that a new breaker of this key does not reuse a version: an
		// order with IfVersion must not apply to another history (I12). A key
		// without a change has none to give up, and must not make those of other
		// keys grow.
		b.cfg.owner.forgotten(c.version, max(0, len(c.past.ring)-1))
		// 0: versions continue above the floor, see ownVersionLocked.
		c.version = 0
		c.since, c.last, c.opened, c.failing = time.Time{}, nil, nil, time.Time{}
		c.past, c.tally, c.errors, c.heldBack = history{}, tally{}, errorRing{}, heldBack{}
		c.bypassed, c.bypass = 0, ""
		// Its error shows the transition that is forgotten.
		c.reject.Store(nil)
	}
	// Last: from here on the set may evict the key.
	b.edit(flagKept, 0)
}

// Remove forgets k with everything known about it: its failures and history,
// its override, and its own settings and listeners. An open key closes. Remove
// returns false if the set does not remember k.
func (s *Set[K]) Remove(k K) bool {
	b := s.kept(k)
	if b == nil {
		return false
	}
	b.mu.Lock()
	// Waits for the lock, unlike forget: the caller asked for this key.
	b.forgetLocked(lapseAll)
	b.mu.Unlock()
	b.deliver()
	if s.hasNaN && k != k { //nolint:gocritic // a NaN
		return true
	}
	// b.mu is released: a holder of a shard's lock must not wait for it.
	sh := s.shard(k)
	sh.mu.Lock()
	// Not evicted if a failure came meanwhile: that is new evidence (I8).
	s.evict(sh, k, b)
	sh.mu.Unlock()
	// A walk that is under way may have missed it.
	b.refresh()
	return true
}

// forgotten raises the floor of versions, and returns records to the budget; see
// owner. A Breaker.mu is held.
func (s *Set[K]) forgotten(version uint64, records int) {
	s.records.Add(-int64(records))
	// The floor only rises, so that no version comes twice (I12).
	for {
		floor := s.floor.Load()
		if version <= floor || s.floor.CompareAndSwap(floor, version) {
			return
		}
	}
}

// versionFloor returns the highest version that was forgotten; see owner.
func (s *Set[K]) versionFloor() uint64 { return s.floor.Load() }

// retention returns how long a key may be idle; see owner.
func (s *Set[K]) retention() time.Duration { return s.limits.Retention }

// noteRecord counts one more record of a key, if the budget has room for it; see
// owner. Keys that trip at the same time may exceed the budget by a few records.
func (s *Set[K]) noteRecord() bool {
	if s.records.Load() >= int64(s.limits.MaxHistory) {
		return false
	}
	s.records.Add(1)
	return true
}

// logOverflow logs the first time that a full set forgets evidence. Later ones
// only count in Overflowed. No lock is held.
func (s *Set[K]) logOverflow() {
	if s.cfg.logger == nil || s.overflow.Load() != 1 {
		return
	}
	defer s.cfg.loggerPanics()
	s.cfg.logger.Warn("circuit breaker set is full: failing keys replace the keys that have been idle longest",
		"set", s.cfg.name, "keys", s.limits.MaxKeys+s.limits.MaxEvidence)
}
