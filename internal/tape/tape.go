// Package tape is the memory of a flight recorder: the newest calls of a
// manager's breakers, in a fixed number of bytes. Package breaker writes it, and
// package replay reads it.
//
// A tape is striped, so that calls that end on several cores at the same time
// seldom meet. A writer claims a stripe for the few nanoseconds of its write. If
// the stripe is claimed already, it tries the next one, and if several are, it
// counts its call as lost. A writer never waits.
package tape

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// Call is the record of a call, or of another event that Kind names. Times are
// since the base of the tape.
type Call struct {
	Began time.Duration // 0 if it began before the recording
	Ended time.Duration
	What  What
}

// What describes a call in one word:
//
//	bits  0-1   Outcome
//	bits  2-3   Kind
//	bits  4-7   flags, below
//	bits  8-23  the failure count after it, in units, at most 65,535
//	bits 24-39  the low bits of the generation that admitted it
//	bits 40-63  the breaker's number
//
// A record of rejected calls holds their number in bits 8 to 31.
type What uint64

// The flags.
const (
	Late     What = 1 << (4 + iota) // it ended in another period than it began in, so it did not count
	Slow                            // it was slow
	Beside                          // it was not evidence: marked to bypass, nested in another call, or its context was over before it began
	Unjudged                        // an override admitted it, and the automatic state ignored it
)

// Kind is what a record is about.
type Kind uint8

// The kinds.
const (
	Whole    Kind = iota // a call that began and ended
	Answered             // the answer to a probe began at Ended, and counted; its Tail follows
	Tail                 // the answer to such a probe ended
	Rejected             // calls were rejected between Began and Ended; in a ramp, both are the time of one call
)

const (
	kindShift   = 2
	unitsShift  = 8
	genShift    = 24
	numberShift = 40

	unitsMask = 1<<16 - 1
	countMask = 1<<24 - 1

	// MaxNumber is the largest number of a breaker. 0 is none.
	MaxNumber = 1<<24 - 1
)

// Is returns the outcome, kind and flags of a call.
func Is(outcome uint8, k Kind, flags What) What {
	return What(outcome&3) | What(k)<<kindShift | flags
}

// Of returns w with the breaker's number.
func (w What) Of(number uint32) What { return w | What(number)<<numberShift }

// Renumbered returns w with another breaker's number.
func (w What) Renumbered(number uint32) What { return (w & (1<<numberShift - 1)).Of(number) }

// In returns w with the generation.
func (w What) In(gen uint32) What { return w | What(gen&0xffff)<<genShift }

// After returns w with the failure count.
func (w What) After(units int) What { return w | What(min(units, unitsMask))<<unitsShift }

// Many returns the record of n rejected calls.
func Many(n uint64) What {
	return Is(0, Rejected, 0) | What(min(n, countMask))<<unitsShift
}

// Outcome returns the breaker.Outcome.
func (w What) Outcome() uint8 { return uint8(w & 3) }

// Kind returns what the record is about.
func (w What) Kind() Kind { return Kind(w >> kindShift & 3) }

// Has reports whether any of these flags is set.
func (w What) Has(flags What) bool { return w&flags != 0 }

// Flags returns the flags alone.
func (w What) Flags() What { return w & (Late | Slow | Beside | Unjudged) }

// Units returns the failure count after the call.
func (w What) Units() int { return int(w >> unitsShift & unitsMask) }

// Gen returns the low bits of the generation.
func (w What) Gen() uint16 { return uint16(w >> genShift) }

// Count returns the number of rejected calls.
func (w What) Count() int { return int(w >> unitsShift & countMask) }

// Number returns the breaker's number.
func (w What) Number() uint32 { return uint32(w >> numberShift) }

// Hooks are called for rare events. Breaker.mu is held, or for Updated that of
// the set; in Enroll it may be. So they must be quick, and must not call the
// breaker.
type Hooks struct {
	// Enroll returns the number of a *breaker.Breaker, always the same for the
	// same one until it forgets its evidence; or 0 if there are no more numbers.
	// It is called before anything else about the breaker is reported. stepBase is when
	// the clock of its window began, or zero if it has none.
	Enroll func(breaker any, stepBase time.Time) (number uint32)
	// Forgot reports that a *breaker.Breaker has forgotten its evidence: its next
	// call is recorded as that of another breaker.
	Forgot func(breaker any)
	// Moved reports a transition and HeldBack a trip that the cap prevented, as a
	// *breaker.Transition, which is not modified any more.
	Moved    func(breaker, transition any, how Trace)
	HeldBack func(breaker, transition any)
	// Updated reports that a *breaker.Breaker or a *breaker.Set has new settings,
	// with stepBase as above.
	Updated func(breakerOrSet any, stepBase time.Time)
}

// Tape holds the newest calls.
type Tape struct {
	Hooks

	stripes   []stripe
	lost      atomic.Uint64
	untracked atomic.Uint64
}

// stripe is a ring of calls. claimed guards the other fields. It fills two cache
// lines, so that stripes do not share one.
type stripe struct {
	claimed atomic.Uint32
	next    int
	written uint64
	ring    []Call
	_       [80]byte
}

const (
	fewestStripes, mostStripes = 4, 64 // powers of two
	tries                      = 4     // stripes that a writer tries
	batch                      = 256   // calls that a reader copies while it holds a stripe

	// CallBytes is the size of a call.
	CallBytes = 24
)

// New returns a tape of about this many bytes, at least a few kilobytes.
func New(bytes int, h Hooks) *Tape {
	procs := uint(runtime.GOMAXPROCS(0))
	n := min(max(fewestStripes, 1<<bits.Len(2*procs-1)), mostStripes)
	each := max(64, bytes/CallBytes/n)
	t := &Tape{Hooks: h, stripes: make([]stripe, n)}
	for i := range t.stripes {
		t.stripes[i].ring = make([]Call, each)
	}
	return t
}

// Len returns the number of calls that a full tape holds.
func (t *Tape) Len() int { return len(t.stripes) * len(t.stripes[0].ring) }

// Add records a call. hash should differ between goroutines that run at the same
// time, and stay the same for each of them. A call without a number is lost.
func (t *Tape) Add(hash uint32, began, ended time.Duration, what What) {
	for i := range uint32(tries) {
		s := &t.stripes[(hash+i)&uint32(len(t.stripes)-1)]
		if !s.claimed.CompareAndSwap(0, 1) {
			continue
		}
		s.ring[s.next] = Call{began, ended, what}
		if s.next++; s.next == len(s.ring) {
			s.next = 0
		}
		s.written++
		s.claimed.Store(0)
		return
	}
	t.lost.Add(1)
}

// Lose counts a call that cannot be recorded.
func (t *Tape) Lose() { t.lost.Add(1) }

// Untracked counts a call of a key that a full set does not remember. It ran
// without a breaker, and is not recorded.
func (t *Tape) Untracked() { t.untracked.Add(1) }

// Losses returns how many calls could not be recorded so far, and how many were
// untracked.
func (t *Tape) Losses() (lost, untracked uint64) { return t.lost.Load(), t.untracked.Load() }

// Cursor is how far a reader has read.
type Cursor []uint64

// Now returns a cursor after everything that has been recorded.
func (t *Tape) Now() Cursor {
	c := make(Cursor, len(t.stripes))
	for i := range t.stripes {
		s := &t.stripes[i]
		s.claim()
		c[i] = s.written
		s.claimed.Store(0)
	}
	return c
}

// Read appends to buf the calls that were recorded after the cursor, in no
// particular order, and moves the cursor. lost is the number of calls that had
// been overwritten.
func (t *Tape) Read(c Cursor, buf []Call) (calls []Call, lost uint64) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.claim()
		end := s.written // later calls are left for the next Read
		for {
			if over := s.written - min(s.written, uint64(len(s.ring))); c[i] < over {
				lost += over - c[i]
				c[i] = over
			}
			n := min(end-min(end, c[i]), batch)
			for range n {
				at := (s.next - int(s.written-c[i]) + len(s.ring)) % len(s.ring)
				buf = append(buf, s.ring[at])
				c[i]++
			}
			s.claimed.Store(0)
			if n == 0 {
				break
			}
			s.claim() // writers get a chance between two batches
		}
	}
	return buf, lost
}

// Oldest returns the time since when the tape holds all calls, or 0 if none was
// overwritten.
func (t *Tape) Oldest() (oldest time.Duration) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.claim()
		if s.written > uint64(len(s.ring)) {
			oldest = max(oldest, s.ring[s.next].Ended)
		}
		s.claimed.Store(0)
	}
	return oldest
}

// claim waits for the stripe. Only readers may wait.
func (s *stripe) claim() {
	for !s.claimed.CompareAndSwap(0, 1) {
		runtime.Gosched()
	}
}
