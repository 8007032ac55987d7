// Package tape is the memory of a flight recorder: the newest calls of a
// manager's breakers, in a fixed number of bytes. Package breaker writes it,
// package replay reads it.
//
// A tape is striped, so that calls that end on several cores at once seldom
// meet. A stripe is claimed for the few nanoseconds that a write takes. A writer
// that finds one claimed takes the next, and one that finds several claimed
// counts its call as lost: nobody waits.
package tape

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// Call is one call, or what else there is to record of calls, see Kind. Times
// are those since the tape's base.
type Call struct {
	Began time.Duration // 0: unknown, it began before the recording
	Ended time.Duration
	What  What
}

// What is what a call was, packed:
//
//	bits  0-1   Outcome
//	bits  2-3   Kind
//	bits  4-7   flags, below
//	bits  8-15  the step of the window's clock, when a failure was counted
//	bits 16-23  the failure count after it, in units, at most 255
//	bits 24-39  the generation that admitted it
//	bits 40-63  the breaker's number
//
// Rejected has the number of calls in place of the generation and the count.
type What uint64

// The flags.
const (
	Late     What = 1 << (4 + iota) // it ended in another period than it began in: no evidence
	Slow                            // it was judged slow
	Beside                          // it ran beside the breaker: marked to bypass, within another call, or begun too late
	Unjudged                        // it ran behind an override, as no evidence
)

// Kind is what a record says of a call.
type Kind uint8

// The kinds.
const (
	Whole    Kind = iota // a call that began and ended
	Answered             // the answer of a call has begun, at Ended; its Tail follows
	Tail                 // how such a call ended. Began is how long its answer took
	Rejected             // so many calls were turned away between Began and Ended; one at Ended if both are the same
)

const (
	kindShift   = 2
	stepShift   = 8
	unitsShift  = 16
	genShift    = 24
	numberShift = 40

	countShift = unitsShift
	countMask  = 1<<24 - 1

	// MaxNumber is the largest number of a breaker. 0 is none.
	MaxNumber = 1<<24 - 1
)

// Is is the outcome, kind and flags of a call.
func Is(outcome uint8, k Kind, flags What) What {
	return What(outcome&3) | What(k)<<kindShift | flags
}

// Of adds the breaker's number.
func (w What) Of(number uint32) What { return w | What(number)<<numberShift }

// In adds the generation.
func (w What) In(gen uint32) What { return w | What(gen&0xffff)<<genShift }

// After adds the failure count.
func (w What) After(units int) What { return w | What(min(units, 255))<<unitsShift }

// At is the step of the window's clock.
func At(step uint64) What { return What(step&0xff) << stepShift }

// Many is n calls that were turned away.
func Many(n uint64) What {
	return Is(0, Rejected, 0) | What(min(n, countMask))<<countShift
}

// Outcome is a breaker.Outcome.
func (w What) Outcome() uint8 { return uint8(w & 3) }

// Kind is what the record says.
func (w What) Kind() Kind { return Kind(w >> kindShift & 3) }

// Has reports whether any of these flags is set.
func (w What) Has(flags What) bool { return w&flags != 0 }

// Step is the low bits of the step of the window's clock.
func (w What) Step() uint8 { return uint8(w >> stepShift) }

// Units is the failure count after the call.
func (w What) Units() int { return int(w >> unitsShift & 0xff) }

// Gen is the low bits of the generation.
func (w What) Gen() uint16 { return uint16(w >> genShift) }

// Count is the number of calls turned away.
func (w What) Count() int { return int(w >> countShift & countMask) }

// Number is the breaker's.
func (w What) Number() uint32 { return uint32(w >> numberShift) }

// Hooks hear of what is rare. All but Enroll are called with the breaker's lock
// held, and Enroll may be; Updated with its set's.
type Hooks struct {
	// Enroll gives a *breaker.Breaker its number, when its first call is recorded;
	// 0: there is none left, and its calls are lost.
	Enroll func(breaker any) (number uint32)
	// Moved hears of a transition, HeldBack of one that the cap kept from taking
	// place: a *breaker.Transition, which is not changed any more.
	Moved    func(breaker, transition any, how Trace)
	HeldBack func(breaker, transition any)
	// Updated hears that a *breaker.Breaker or a breaker.AnySet has new settings.
	Updated func(breakerOrSet any)
}

// Tape holds the newest calls.
type Tape struct {
	Hooks

	stripes []stripe
	lost    atomic.Uint64
	unkept  atomic.Uint64
}

// stripe is a ring of calls. claimed guards the rest.
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

	// CallBytes is what a call takes.
	CallBytes = 24
)

// New is a tape of about so many bytes, at least some kilobytes.
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

// Len is the number of calls that the tape holds when it is full.
func (t *Tape) Len() int { return len(t.stripes) * len(t.stripes[0].ring) }

// Add records a call. hash differs between goroutines that run at once, and is
// the same for one as long as it can be.
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

// Lose counts a call that is not recorded for another reason.
func (t *Tape) Lose() { t.lost.Add(1) }

// Unkept counts a call of a key that its set does not keep: it ran without a
// breaker, as one without evidence lets it run.
func (t *Tape) Unkept() { t.unkept.Add(1) }

// Losses is how many calls were not recorded so far, and how many ran without a
// breaker.
func (t *Tape) Losses() (lost, unkept uint64) { return t.lost.Load(), t.unkept.Load() }

// Cursor is how far a reader has come.
type Cursor []uint64

// Now is a cursor behind everything that has been recorded.
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

// Read appends to buf what was recorded since the cursor, in no order, and moves
// the cursor on. lost is how many calls had been written over.
func (t *Tape) Read(c Cursor, buf []Call) (calls []Call, lost uint64) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.claim()
		end := s.written // what comes later is for the next time
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
			s.claim() // others write between two batches
		}
	}
	return buf, lost
}

// Oldest is the end of the oldest call that the tape may still hold.
func (t *Tape) Oldest() time.Duration {
	oldest := time.Duration(-1)
	for i := range t.stripes {
		s := &t.stripes[i]
		s.claim()
		if s.written > 0 {
			first := s.ring[0].Ended
			if s.written >= uint64(len(s.ring)) {
				first = s.ring[s.next%len(s.ring)].Ended
			}
			if oldest < 0 || first < oldest {
				oldest = first
			}
		}
		s.claimed.Store(0)
	}
	return max(0, oldest)
}

// claim is for readers, who may wait.
func (s *stripe) claim() {
	for !s.claimed.CompareAndSwap(0, 1) {
		runtime.Gosched()
	}
}
