package breaker

// Most outcomes that change the word decide nothing: a failure that is far from
// opening the breaker, or a success that takes failures back. Each of them is
// one compare-and-swap, so that callers of a dependency that fails now and then
// do not wait for each other. All other outcomes take Breaker.mu.
//
// A failure that ends while Update changes the settings may be judged by the
// old settings.

// countedAlone counts an outcome that decides nothing, without the lock. It
// returns false, and has counted nothing, if the outcome needs the lock.
func (b *Breaker) countedAlone(p *Permit, o Outcome) bool {
	for {
		// Read both again on each try: the swap below succeeds only if no
		// transition, order or other outcome came between.
		w, r := b.load(), b.settings()
		// r.flags is checked as well as the word, because the word lacks
		// flagCounted while a window of calls is clean, and before refreshLocked
		// has set it. A failure must not bypass the window then. For the same
		// reason the unit must be that of the settings.
		if w&aloneMask != 0 || r.flags&flagCounted != 0 || b.unit() != r.failUnit || !p.belongs(w) { // (I1)
			return false
		}
		units := unitsOf(w)
		switch o {
		case Success:
			units = r.forgiven(units)
		case Failure:
			// The failure needs the lock if the rule needs its time, if the
			// rule is off, or if the breaker is this close to opening: then the
			// record of the trip may name this error, and only the locked path
			// keeps errors.
			if r.dated || units+(1+keptErrors)*r.failUnit > r.failLimit {
				return false
			}
			units += r.failUnit
		case Ignored, Canceled: // not evidence (I4)
		}
		// The generation is part of the word. If the breaker has moved since it
		// was read, this swap fails, and the next try finds out that the permit
		// belongs to an old period (I1).
		if b.swapWord(w, w&^failMask|withUnits(units)) {
			return true
		}
	}
}
