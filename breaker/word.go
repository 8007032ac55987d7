package breaker

// The word is all that the common path of a call reads: one atomic load before
// the call, one after it.
//
//	bits  0-1   automatic state
//	bits  2-12  flags, below
//	bits 13-31  consecutive failures
//	bits 32-63  generation: one stretch of one automatic state (I1)
//
// It is written whole, so state and failures move together (I11), by the rules
// of lockfree.go. A generation could be mistaken for an older one only by a call
// in flight during 2^32 transitions.
const (
	stateMask uint64 = 0b11

	flagForcedOpen   uint64 = 1 << 2 // override: reject
	flagForcedClosed uint64 = 1 << 3 // override: admit
	flagDue          uint64 = 1 << 4 // open: the open time is over, the next call probes; closed: held, see decideLocked
	flagRamp         uint64 = 1 << 5 // closed again, admitting a growing share
	flagWatched      uint64 = 1 << 6 // some listener wants to hear of calls
	flagTimed        uint64 = 1 << 7 // calls are timed
	flagCounted      uint64 = 1 << 8 // successes must be counted
	flagGone         uint64 = 1 << 9 // its set has forgotten it, see Set.adopt
	// 1 << 10 is permitSlow: no word has it
	flagShut     uint64 = 1 << 11 // forced open, or open with a timer set: reject without asking the time
	flagObserved uint64 = 1 << 12 // calls are counted, see Manager.Observe

	failShift        = 13
	failMask  uint64 = maxFailCount << failShift
	genShift         = 32

	maxFailCount = 1<<19 - 1

	// A call is admitted by one load when none of these bits is set.
	admitMask = stateMask | flagForcedOpen | flagForcedClosed | flagDue | flagRamp | flagWatched | flagTimed | flagGone
	// A success counts somewhere when one of these bits is set.
	countMask = flagCounted | flagObserved | failMask
	// A success needs to write nothing when none of these bits is set and the
	// word is the one it was admitted under.
	settleMask = admitMask | countMask
	// A key may be forgotten when none of these bits is set (I8).
	evidenceMask = stateMask | flagForcedOpen | flagForcedClosed | flagRamp | failMask
	// What an override says in the word.
	overrideMask = flagForcedOpen | flagForcedClosed | flagShut
)

func stateOf(w uint64) State   { return State(w & stateMask) }
func failsOf(w uint64) int     { return int(w & failMask >> failShift) }
func genOf(w uint64) uint32    { return uint32(w >> genShift) }
func withState(s State) uint64 { return uint64(s) }

// withFails counts up to what 19 bits hold, which no FailMax reaches.
func withFails(n int) uint64    { return uint64(min(n, maxFailCount)) << failShift }
func withGen(gen uint32) uint64 { return uint64(gen) << genShift }

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
