package breaker

// Update changes the settings while calls run: all of them or, when s is
// invalid, none. State and evidence are kept; only a window whose span changes
// starts again. It never closes an open breaker, and an open time under way
// stays as it was chosen. A keyed breaker has settings of its own from then on,
// even if they are its set's, and Set.Update leaves it out.
func (b *Breaker) Update(s Settings) error {
	_, err := b.UpdateIf(s, 0)
	return err
}

// UpdateIf is Update on condition that the breaker's version is still this one
// (0: whatever it is); else the error matches ErrVersion. The receipt tells the
// versions before and after, which are the same when nothing had to change.
func (b *Breaker) UpdateIf(s Settings, version uint64) (Receipt, error) {
	if err := s.Validate(); err != nil {
		return Receipt{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.versionLocked()
	if version != 0 && version != found {
		return Receipt{}, b.staleLocked(found, version)
	}
	state := effective(b.load())
	receipt := Receipt{ID: b.ID(), Before: state, After: state, From: found, Version: found}
	old := b.settings()
	r := b.cfg.compile(s, old.version+1)
	keyed := b.cfg.home != nil
	if r.Settings == old.Settings && (!keyed || b.cold.Load() != nil && b.cold.Load().own.Load() != nil) {
		return receipt, nil
	}
	if keyed {
		b.coldLocked().own.Store(r)
		b.keepLocked()
	} else {
		b.cfg.settings.Store(r)
	}
	b.refreshLocked()
	b.changedLocked()
	r.recordUpdated(b)
	receipt.Version = b.versionLocked()
	return receipt, nil
}

// refresh follows a change of a set's settings, listeners or observers. Nothing
// is locked for a breaker that it does not concern.
func (b *Breaker) refresh() {
	r := b.settings()
	if b.load()&refreshedMask == b.flags(r)&refreshedMask && b.spans(r) && r.SuccessesToForgive <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refreshLocked()
}

// flags are the bits of the word that settings, listeners and observers decide.
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

// refreshLocked brings window, failure count and flags in line with the
// settings and listeners. It reads those of now, under mu: of several that
// change something at once, the last to refresh has seen all of it. mu is held.
func (b *Breaker) refreshLocked() {
	r := b.settings()
	w := b.load()
	flags := b.flags(r)
	switch {
	case !b.spans(r) && r.flags&flagCounted == 0:
		b.win.Store(nil)
	case !b.spans(r):
		b.win.Store(newWindow(genOf(w), r))
	case b.win.Load() != nil && b.win.Load().clean():
		flags &^= flagCounted
	}
	b.edit(refreshedMask, flags)
	b.rescaleLocked(r)
}

// rescaleLocked turns the failure count into the settings' units. mu is held.
func (b *Breaker) rescaleLocked(r *compiled) {
	was, is := int(b.extra.Load()&extraUnit), r.failUnit
	for was != is {
		w := b.load()
		units := (unitsOf(w)*is + was - 1) / was
		if b.swapWord(w, w&^failMask|withUnits(units)) {
			break
		}
	}
	b.extra.Add(uint32(is) - uint32(was)) // the rest of it stays
}
