package breaker

import "github.com/switchgear-go/switchgear/internal/tape"

// Most outcomes that change the word decide nothing: a failure that is far from
// opening, and a success that takes failures back. They are one
// compare-and-swap, so that callers of a dependency that fails now and then do
// not wait for each other. What cannot be counted here takes the lock.
//
// A failure that comes while Update changes settings may be judged by those
// from before.

// countedAlone counts an outcome that decides nothing. It reports false, having
// counted nothing, when that takes the lock.
func (b *Breaker) countedAlone(p *Permit, o Outcome, rec *tape.Call) bool {
	for {
		w, r := b.load(), b.settings()
		// The word lacks flagCounted while a window is clean, or about to come.
		if w&aloneMask != 0 || r.flags&flagCounted != 0 || !p.belongs(w) { // (I1)
			return false
		}
		units := unitsOf(w)
		switch o {
		case Success:
			units = r.forgiven(units)
		case Failure:
			if r.dated || units+(1+keptErrors)*r.failUnit > r.failLimit {
				return false // it needs the time, the record of the trip may name it, or the rule is off
			}
			units += r.failUnit
		case Ignored, Canceled: // no evidence (I4)
		}
		if rec != nil { // after the load and before the swap
			b.recordCounts(rec, b.cfg.clock.Now(), p)
			rec.What = rec.What.After(units)
		}
		if b.swapWord(w, w&^failMask|withUnits(units)) {
			return true
		}
	}
}
