package breaker

import "sync/atomic"

// The word holds everything that the common path of a call reads: one atomic
// load before the call and one after it.
//
//	bits  0-1   automatic state
//	bits  2-16  flags, listed below
//	bits 17-35  failure count
//	bits 36-63  generation: one period of one automatic state (I1)
//
// State, flags and count share one word so that they change together: no reader
// can see the state of one period with the count of another (I11).
//
// The failure count is in units. A failure adds compiled.failUnit units, so that
// a success can take back a fraction of a failure.
//
// The generation wraps around after 2^28 transitions of one breaker. A result
// could be mistaken for a result of the current period only if its call had been
// running for exactly a multiple of that many transitions.
const (
	stateMask uint64 = 0b11

	flagForcedOpen   uint64 = 1 << 2  // override: reject every call
	flagForcedClosed uint64 = 1 << 3  // override: admit every call
	flagDue          uint64 = 1 << 4  // open, and the open time is over: the next call is a probe
	flagRamp         uint64 = 1 << 5  // closed again, and admitting a growing share of the calls
	flagWatched      uint64 = 1 << 6  // a listener wants to see every call
	flagTimed        uint64 = 1 << 7  // calls are timed, because SlowCall is set
	flagCounted      uint64 = 1 << 8  // successes must be counted in the window
	flagObserved     uint64 = 1 << 9  // calls are counted for Manager.Observe or Peer.Watch
	flagReject       uint64 = 1 << 10 // reject without reading the clock: forced open, or open with its timer set
	flagCheckCtx     uint64 = 1 << 11 // check the context before each call, see deadline.go
	flagBypass       uint64 = 1 << 12 // WithBypassAllowed is set: look for marks in contexts
	flagHeld         uint64 = 1 << 13 // closed, and a transition is being recorded: see decideLocked
	flagKept         uint64 = 1 << 14 // keyed breaker with state that the word does not show: see evict.go
	flagEvicted      uint64 = 1 << 15 // keyed breaker that its set holds by a weak pointer only: see evict.go
	// permitSlow marks the word stored in a permit, never a breaker's word. It
	// makes the comparison in Done fail, so that Done takes the slow path.
	permitSlow uint64 = 1 << 16

	failShift           = 17
	maxFailCount        = 1<<19 - 1
	failMask     uint64 = maxFailCount << failShift
	genShift            = 36
	genMask      uint32 = 1<<(64-genShift) - 1

	overrideMask = flagForcedOpen | flagForcedClosed
	// admitMask: a call is admitted by one load when none of these bits is set.
	admitMask = stateMask | overrideMask | flagDue | flagRamp | flagWatched | flagTimed | flagCheckCtx | flagBypass
	// countMask: a success has to be counted when one of these bits is set.
	countMask = flagCounted | flagObserved | failMask
	// settleMask: a success has nothing to write when none of these bits is set
	// and the word is still the one that the call was admitted under.
	settleMask = admitMask | countMask
	// aloneMask: an outcome that decides nothing may be counted without the lock
	// when none of these bits is set. The breaker is then closed, has no window,
	// and no transition is under way.
	aloneMask = stateMask | overrideMask | flagRamp | flagCounted | flagHeld
	// evidenceMask: a key has evidence when one of these bits is set, and must
	// not be evicted (I8).
	evidenceMask = stateMask | overrideMask | flagRamp | flagKept | failMask
	// refreshedMask: the bits that follow from settings, listeners and
	// observers. refreshLocked keeps them up to date.
	refreshedMask = flagWatched | flagTimed | flagCounted | flagObserved | flagBypass
)

func stateOf(w uint64) State   { return State(w & stateMask) }
func unitsOf(w uint64) int     { return int(w & failMask >> failShift) }
func genOf(w uint64) uint32    { return uint32(w >> genShift) }
func withState(s State) uint64 { return uint64(s) }

// withUnits saturates at what 19 bits hold. Settings.Validate keeps FailMax
// below that, so a limit is always reached before the count saturates.
func withUnits(n int) uint64    { return uint64(min(n, maxFailCount)) << failShift }
func withGen(gen uint32) uint64 { return uint64(gen&genMask) << genShift }

// effective returns the state that the next call sees: the override if there is
// one, else the automatic state.
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

// The rest of this file writes the word. Three kinds of write do not need
// Breaker.mu, and each is a single compare-and-swap: an outcome that decides
// nothing (lockfree.go), the eviction of a key, and its return (evict.go).
// Everything else is written by the holder of Breaker.mu:
//
//   - edit changes flags, and keeps failures that are counted at the same time;
//   - decideLocked stores a decision. It decides again if the failure count has
//     changed meanwhile, and it sets flagHeld on a closed breaker while the
//     transition is recorded;
//   - setWord replaces a word that is held or not closed. Lock-free counting is
//     excluded then (see aloneMask), so only the flags of an evicted key can
//     change at the same time.

func (b *Breaker) load() uint64 { return atomic.LoadUint64(&b.word) }

// swapWord writes the word unless it has changed since the caller read it. For a
// keyed breaker it also does the set's bookkeeping: it counts the keys that have
// evidence, and brings back an evicted key that now has some.
//
// mu may be held or not. When an evicted key comes back, swapWord takes a
// shard's lock. A goroutine that holds a shard's lock must therefore never wait
// for a Breaker.mu.
func (b *Breaker) swapWord(was, is uint64) bool {
	// The flag goes in the same compare-and-swap that records the evidence, so a
	// breaker with evidence is never evicted, not even for a moment (I8).
	if is&evidenceMask != 0 {
		is &^= flagEvicted
	}
	// Skip the write: it would only take the cache line from other cores.
	if was == is {
		return true
	}
	if beforeSwap != nil {
		beforeSwap(b)
	}
	if !atomic.CompareAndSwapUint64(&b.word, was, is) {
		return false
	}
	// After the write, so that the set never counts a change that did not
	// happen.
	if b.cfg.owner != nil {
		b.cfg.owner.noteWord(b, was, is)
	}
	return true
}

// beforeSwap is set by tests only. It changes the word between the look at it and
// the swap, as another goroutine may.
var beforeSwap func(b *Breaker)

// edit clears some bits of the word and sets others. It keeps failures that are
// counted without the lock at the same time (I11). mu is held.
func (b *Breaker) edit(cleared, set uint64) {
	for {
		if w := b.load(); b.swapWord(w, w&^cleared|set) {
			return
		}
	}
}

// setWord replaces a word that is held or not closed. mu is held.
func (b *Breaker) setWord(w uint64) {
	for {
		// Only the return of an evicted key can change the word here. Its flags
		// belong to the set, so they are kept.
		if was := b.load(); b.swapWord(was, w|was&(flagEvicted|flagKept)) {
			return
		}
	}
}
