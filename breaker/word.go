package breaker

import "sync/atomic"

// The word is all that the common path of a call reads: one atomic load before
// the call, one after it.
//
//	bits  0-1   automatic state
//	bits  2-16  flags, below
//	bits 17-35  failure count
//	bits 36-63  generation: one period of one automatic state (I1)
//
// The failure count is in units: a failure adds Settings.failUnit, so that a
// success can take back a fraction of a failure.
//
// The generation wraps after 2^28 transitions of one breaker. A result would be
// mistaken for one of the current period only if its call had been running for
// exactly a multiple of that many.
const (
	stateMask uint64 = 0b11

	flagForcedOpen   uint64 = 1 << 2  // override: reject
	flagForcedClosed uint64 = 1 << 3  // override: admit
	flagDue          uint64 = 1 << 4  // open, and the open time is over: the next call probes
	flagRamp         uint64 = 1 << 5  // closed again, admitting a growing share
	flagWatched      uint64 = 1 << 6  // some listener wants to hear of calls
	flagTimed        uint64 = 1 << 7  // calls are timed
	flagCounted      uint64 = 1 << 8  // successes must be counted
	flagObserved     uint64 = 1 << 9  // calls are counted for Manager.Observe
	flagReject       uint64 = 1 << 10 // reject without asking the time: forced open, or open with its timer set
	flagCheckCtx     uint64 = 1 << 11 // a context is checked before its call begins, see deadline.go
	flagBypass       uint64 = 1 << 12 // WithBypassAllowed: contexts may be marked
	flagHeld         uint64 = 1 << 13 // closed, and a transition is being recorded, see decideLocked
	flagKept         uint64 = 1 << 14 // keyed: more to remember than this word says, see evict.go
	flagEvicted      uint64 = 1 << 15 // keyed: its set does not keep it, see evict.go
	// permitSlow is set in the word of a permit that Done must not settle by
	// comparing words. No breaker's word has it.
	permitSlow uint64 = 1 << 16

	failShift           = 17
	maxFailCount        = 1<<19 - 1
	failMask     uint64 = maxFailCount << failShift
	genShift            = 36
	genMask      uint32 = 1<<(64-genShift) - 1

	overrideMask = flagForcedOpen | flagForcedClosed
	// A call is admitted by one load when none of these bits is set.
	admitMask = stateMask | overrideMask | flagDue | flagRamp | flagWatched | flagTimed | flagCheckCtx | flagBypass
	// A success is counted somewhere when one of these bits is set.
	countMask = flagCounted | flagObserved | failMask
	// A success has nothing to write when none of these bits is set and the word
	// is the one it was admitted under.
	settleMask = admitMask | countMask
	// An outcome that decides nothing may be counted without the lock when none
	// of these bits is set: plainly closed, no window, no transition under way.
	aloneMask = stateMask | overrideMask | flagRamp | flagCounted | flagHeld
	// A key may be forgotten when none of these bits is set (I8).
	evidenceMask = stateMask | overrideMask | flagRamp | flagKept | failMask
	// What settings and listeners decide, and refreshLocked brings up to date.
	refreshedMask = flagWatched | flagTimed | flagCounted | flagObserved | flagBypass
)

func stateOf(w uint64) State   { return State(w & stateMask) }
func unitsOf(w uint64) int     { return int(w & failMask >> failShift) }
func genOf(w uint64) uint32    { return uint32(w >> genShift) }
func withState(s State) uint64 { return uint64(s) }

// withUnits counts up to what 19 bits hold, which no FailMax reaches.
func withUnits(n int) uint64    { return uint64(min(n, maxFailCount)) << failShift }
func withGen(gen uint32) uint64 { return uint64(gen&genMask) << genShift }

// effective is what the next call meets: the override if there is one.
func effective(w uint64) State {
	switch {
	case w&flagForcedOpen != 0:
		return ForcedOpen
	case w&flagForcedClosed != 0:
		return ForcedClosed
	default:
		return stateOf(w)
	}
}

// The rest of this file is how the word is written. An outcome that decides
// nothing is one compare-and-swap, see lockfree.go, and so is the eviction of a
// key. Everything else is written under Breaker.mu, by its holder:
//
//   - flags with edit, which keeps the failures that come in meanwhile;
//   - a decision with decideLocked, which decides again when the failures it
//     was based on have changed, and holds a closed breaker's word with flagHeld
//     while the transition is recorded;
//   - a word that is held or not closed with setWord: nobody else changes what
//     it says then, but for the flags of an evicted key.

func (b *Breaker) load() uint64 { return atomic.LoadUint64(&b.word) }

// swapWord writes the word unless it has changed. For a keyed breaker it keeps
// the set's books: how many keys have evidence, and that one which has evidence
// is not evicted.
//
// It may be called with mu held or without. It takes a shard's lock when an
// evicted key comes back, so a holder of a shard's lock must not wait for mu.
func (b *Breaker) swapWord(was, is uint64) bool {
	if is&evidenceMask != 0 {
		is &^= flagEvicted
	}
	if was == is {
		return true
	}
	if !atomic.CompareAndSwapUint64(&b.word, was, is) {
		return false
	}
	if b.cfg.owner != nil {
		b.cfg.owner.noteWord(b, was, is)
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

// setWord writes a word that is held or not closed. mu is held.
func (b *Breaker) setWord(w uint64) {
	for {
		// Only an evicted key's return can come between.
		if was := b.load(); b.swapWord(was, w|was&(flagEvicted|flagKept)) {
			return
		}
	}
}
