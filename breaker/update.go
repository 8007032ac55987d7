package breaker

import "time"

// Update changes the settings while calls run. If s is invalid, it changes
// nothing. State and evidence are kept, except that a window of a different
// kind or length starts empty. Update never closes an open breaker, and does
// not change an open time that has begun. After Update a keyed breaker has
// settings of its own, even if they equal those of its set, and Set.Update no
// longer changes them.
func (b *Breaker) Update(s Settings) error {
	_, err := b.UpdateIf(s, 0)
	return err
}

// UpdateIf is like Update, but changes the settings only if the breaker's
// version is version; 0 means any version. Otherwise the error matches
// ErrVersion. The receipt holds the versions before and after, which are equal
// if nothing changed.
func (b *Breaker) UpdateIf(s Settings, version uint64) (Receipt, error) {
	if err := s.Validate(); err != nil {
		return Receipt{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.updateLocked(s, version)
}

// updateLocked is UpdateIf for valid settings. mu is held.
func (b *Breaker) updateLocked(s Settings, version uint64) (Receipt, error) {
	// Compared under the lock that the change is made under, so that of two
	// updates for the same version one fails (I12).
	found := b.versionLocked()
	if version != 0 && version != found {
		return Receipt{}, b.staleLocked(found, version)
	}
	state := effective(b.load())
	receipt := Receipt{ID: b.ID(), Before: state, After: state, From: found, Version: found}
	old := b.settings()
	r := b.cfg.compile(s, old.version+1)
	keyed := b.cfg.owner != nil
	// Nothing to change, and no new version. But a key without settings of its own
	// gets them even if they are equal, so that Set.Update leaves it alone.
	if r.Settings == old.Settings && (!keyed || b.cold.Load() != nil && b.cold.Load().own.Load() != nil) {
		return receipt, nil
	}
	if keyed {
		b.coldLocked().own.Store(r)
		b.keepLocked() // a key with settings of its own is not evicted (I8)
	} else {
		b.cfg.settings.Store(r)
	}
	// The settings are stored before the word is changed: a call that sees the new
	// bits finds the settings that they belong to.
	b.refreshLocked()
	b.changedLocked()
	r.recordUpdated(b)
	receipt.Version = b.versionLocked()
	return receipt, nil
}

// refresh brings a breaker up to date with its set's settings, listeners and
// observers. It takes no lock if nothing changes for this breaker. mu is not
// held.
func (b *Breaker) refresh() {
	r := b.settings()
	w, flags := b.load(), b.flags(r)
	// flagCheckCtx is never cleared here, since a call may have set it, but the
	// settings may ask for it.
	same := w&refreshedMask == flags&refreshedMask && flags&^w&flagCheckCtx == 0
	if same && b.spans(r) && b.unit() == r.failUnit && b.cold.Load() == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refreshLocked()
}

// flags returns the bits of the word that settings, listeners and observers
// decide.
func (b *Breaker) flags(r *compiled) uint64 {
	f := r.flags | b.cfg.listenerFlags()
	if n := b.cfg.calls.Load(); n != nil && n.on.Load() {
		f |= flagObserved
	}
	if c := b.cold.Load(); c != nil {
		if c.calls.Load() != nil {
			f |= flagObserved
		}
		if ls := c.listeners.Load(); ls != nil {
			for _, l := range *ls {
				f |= l.flags()
			}
		}
	}
	return f
}

// spans reports whether the window is the one that the settings ask for.
func (b *Breaker) spans(r *compiled) bool {
	win := b.win.Load()
	if r.flags&flagCounted == 0 {
		return win == nil
	}
	return win != nil && win.spans(r)
}

// refreshLocked brings window, failure count and flags up to date with settings
// and listeners. It reads the current ones, under mu. So if several goroutines
// change something at once, the last refresh has seen all of it. mu is held.
func (b *Breaker) refreshLocked() {
	r := b.settings()
	w := b.load()
	flags := b.flags(r)
	switch {
	case !b.spans(r) && r.flags&flagCounted == 0:
		b.win.Store(nil)
	case !b.spans(r):
		// Of the current generation: calls in flight count in it (I1).
		b.win.Store(newWindow(genOf(w), r))
	// A clean window stays clean: successes need not be counted in it.
	case b.win.Load() != nil && b.win.Load().clean():
		flags &^= flagCounted
	}
	// After the window is stored, so that a success that sees flagCounted finds
	// it.
	b.edit(refreshedMask, flags)
	if c := b.cold.Load(); c != nil {
		// From here on failures are no longer dated.
		if !r.dated {
			c.rowBegan, c.rowLast = time.Time{}, time.Time{}
		}
		// There may be more places for probes now.
		c.reject.Store(nil)
		c.signalLocked()
	}
	b.rescaleLocked(r)
	// A listener that is new may want to know when this open time is over.
	if w = b.load(); stateOf(w) == Open && !b.probeDueLocked(w, b.cfg.clock.Now()) && b.cfg.wantsReady(b.cold.Load()) {
		b.startTimerLocked(w)
	}
}

// unitsLocked returns the failure count of w in the units of the settings,
// rounded up so that no failure is lost (I11). mu is held.
func (b *Breaker) unitsLocked(w uint64, r *compiled) int {
	was := b.unit()
	return (unitsOf(w)*r.failUnit + was - 1) / was
}

// rescaleLocked converts the failure count to the units of the settings. mu is
// held.
func (b *Breaker) rescaleLocked(r *compiled) {
	// A failure without the lock may come between the load and the swap. Then the
	// swap fails, and the count is converted again with it (I11).
	for b.unit() != r.failUnit {
		w := b.load()
		if b.swapWord(w, w&^failMask|withUnits(b.unitsLocked(w, r))) {
			b.extra.Add(uint32(r.failUnit) - uint32(b.unit())) // the number beside it stays
		}
	}
}
