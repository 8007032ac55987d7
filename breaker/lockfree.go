package breaker

import "sync/atomic"

// This file is how the word is written. Most outcomes that change it decide
// nothing: a failure that is far from opening, and the success that ends a row
// of them. They are one compare-and-swap, so that callers of a dependency that
// fails now and then do not wait for each other. All else is written under
// Breaker.mu, by whoever holds it:
//
//   - flags with edit, which keeps the failures that come in meanwhile;
//   - a decision with decideLocked, which takes it anew when the failures that
//     it was taken on have changed, and holds the word while a move is recorded;
//   - a forgetting with swapWord, once: a failure that comes first forbids it;
//   - a word that is held, forgotten or not closed with setWord or start: nobody
//     else writes it.
//
// A failure that comes while Update changes settings may be judged by those from
// before.

// aloneMask is what a word must be without for its failures to be counted
// without the lock: closed, not held, no window, in its set.
const aloneMask = stateMask | flagForcedOpen | flagForcedClosed | flagDue | flagRamp | flagCounted | flagGone

// countedAlone counts an outcome that decides nothing. It reports false, having
// counted nothing, when that takes the lock.
func (b *Breaker) countedAlone(p *Permit, o Outcome) bool {
	for {
		w, r := b.load(), b.rules()
		// The word lacks flagCounted while a window is clean, or about to come.
		if w&aloneMask != 0 || r.flags&flagCounted != 0 || !p.belongs(w) { // (I1)
			return false
		}
		is := w // as it stays where there is no evidence (I4)
		switch o {
		case Success:
			is &^= failMask
		case Failure:
			if failsOf(w)+1+keptErrors > r.FailMax {
				return false // the record of the trip may name this one, or the rule is off
			}
			is += 1 << failShift
		}
		if b.swapWord(w, is) {
			return true
		}
	}
}

// swapWord writes the word unless it has changed. It tells the set of a keyed
// breaker when evidence appears or is gone.
func (b *Breaker) swapWord(was, is uint64) bool {
	if was != is && !atomic.CompareAndSwapUint64(&b.word, was, is) {
		return false
	}
	if b.cfg.home != nil {
		if from, to := was&evidenceMask != 0, is&evidenceMask != 0; from != to {
			b.cfg.home.noteEvidence(int64(btoi(to) - btoi(from)))
		}
	}
	return true
}

// edit clears bits of the word and sets others. mu is held.
func (b *Breaker) edit(cleared, set uint64) {
	for {
		if w := b.load(); b.swapWord(w, w&^cleared|set) {
			return
		}
	}
}

// setWord writes a word that nobody else writes. mu is held.
func (b *Breaker) setWord(w uint64) {
	for !b.swapWord(b.load(), w) { // at the first try, unless that is no longer so
	}
}
