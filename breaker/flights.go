package breaker

import (
	"sync"
	"sync/atomic"
)

// flights holds the calls in flight that shadows judge: a Permit has no room for
// the permits of up to four shadows, so it holds the number of a place here.
// Places are taken and given back without a lock. Their memory grows with the
// number of calls in flight, up to a limit, and does not shrink.
//
// A place belongs to the goroutine that took it until end gives it to the one that
// ends the call. Its fields of, p and runs are written by that goroutine only, so
// they need neither a lock nor atomics. What could go wrong is a permit that is used
// after its end, or twice: turn detects that.
type flights struct {
	// free is a stack of the free places. The low half is the number of the first
	// one, 0 if there is none. The high half counts the changes, so that a place
	// that was taken and given back meanwhile is noticed.
	free   atomic.Uint64
	mu     sync.Mutex // held while chunks grow
	chunks [flightChunks]atomic.Pointer[[flightChunk]flight]
	made   int // chunks, guarded by mu
}

// flight is one call.
type flight struct {
	next atomic.Uint32 // of the stack of free places
	// turn counts how often the place was used. A permit holds its low bits, so
	// that a copy of a permit that has ended finds that it is too late.
	turn  atomic.Uint32
	of    *watching
	calls [MaxShadows]struct {
		p    Permit
		runs bool // the shadow lets the call run, and p has not ended
	}
}

// A permitTag has 24 bits for a place and its turn. With fewer bits for the turn, a
// stale permit would more often be taken for the current one.
const (
	flightChunk  = 64
	flightChunks = 255 // so that the number of a place fits into placeBits

	placeBits   = 14
	turnBits    = 10
	flightShift = 40 // of a place and its turn in a permitTag
)

// at returns a place by its number, which begins at 1. No lock is needed: a chunk
// is stored before a number in it is pushed, and is never replaced.
func (f *flights) at(n uint32) *flight {
	return &f.chunks[(n-1)/flightChunk].Load()[(n-1)%flightChunk]
}

// take takes a free place, which is then the caller's alone. It returns nil if all
// of them are taken: the shadows miss the call, and count it. No lock is held.
func (f *flights) take() (*flight, permitTag) {
	for {
		head := f.free.Load()
		n := uint32(head)
		if n == 0 {
			if !f.grow() {
				return nil, 0
			}
			// Others may take the new places first, so look again.
			continue
		}
		x := f.at(n)
		// x may be taken and given back between these loads, and x.next be another
		// place. Then the count in the high half differs, and the swap fails.
		if f.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(x.next.Load())) {
			// Of this use of the place: only end, with this turn, changes it.
			turn := permitTag(x.turn.Load() & (1<<turnBits - 1))
			return x, (permitTag(n) | turn<<placeBits) << flightShift
		}
	}
}

// grow adds places if none is free. It returns false at the limit. It takes mu,
// under which nothing waits and no other lock is taken.
func (f *flights) grow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Checked again under mu: of several goroutines that find none, one adds places.
	if uint32(f.free.Load()) != 0 {
		return true // another goroutine has added some
	}
	if f.made == flightChunks {
		return false
	}
	// The chunk first: take looks for a place in it as soon as its number is free.
	f.chunks[f.made].Store(new([flightChunk]flight))
	f.made++
	for i := range flightChunk {
		f.push(uint32((f.made-1)*flightChunk + i + 1))
	}
	return true
}

// of returns the place that a permit holds, or nil if it has given it back: the
// place is then free, or another call's, with another turn. A permit that is kept
// for exactly 1,024 uses of its place would be taken for its holder.
func (f *flights) of(tag permitTag) *flight {
	n, turn := uint32(tag>>flightShift)&(1<<placeBits-1), uint32(tag>>(flightShift+placeBits))
	if x := f.at(n); x.turn.Load()&(1<<turnBits-1) == turn {
		return x
	}
	return nil
}

// end is like of, and returns the place to one caller only. That caller gives it
// back with release. Copies of a permit, and a probe that is answered and settled at
// once, may end it at the same time; the swap of the turn lets one of them win, so
// that no shadow counts a call twice.
func (f *flights) end(tag permitTag) *flight {
	x := f.of(tag)
	if x == nil {
		return nil
	}
	if turn := x.turn.Load(); turn&(1<<turnBits-1) != uint32(tag>>(flightShift+placeBits)) || !x.turn.CompareAndSwap(turn, turn+1) {
		return nil
	}
	return x
}

// release makes a place free. The caller has it from end, so it is still alone with
// it, and may write to it without a lock.
func (f *flights) release(x *flight, tag permitTag) {
	// Else a place that is free would keep a key's shadows in memory.
	x.of = nil
	for i := range x.calls {
		x.calls[i].runs = false
	}
	f.push(uint32(tag>>flightShift) & (1<<placeBits - 1))
}

// push adds a place to the stack of free ones. Everything written to the place
// before is visible to the next one who takes it, because both swap the same word.
func (f *flights) push(n uint32) {
	x := f.at(n)
	for {
		head := f.free.Load()
		x.next.Store(uint32(head))
		if f.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(n)) {
			return
		}
	}
}
