package breaker

import (
	"sync"
	"sync/atomic"
)

// flights holds the calls in flight that shadows judge: a Permit has no room for
// the permits of up to four shadows, so it holds the number of a place here.
// Places are taken and given back without a lock. Their memory grows with the
// number of calls in flight, up to a limit, and does not shrink.
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

const (
	flightChunk  = 64
	flightChunks = 255 // so that the number of a place fits into placeBits

	placeBits   = 14
	turnBits    = 10
	flightShift = 40 // of a place and its turn in a permitTag
)

// at returns a place by its number, which begins at 1.
func (f *flights) at(n uint32) *flight {
	return &f.chunks[(n-1)/flightChunk].Load()[(n-1)%flightChunk]
}

// take takes a free place. It returns nil if all of them are taken.
func (f *flights) take() (*flight, permitTag) {
	for {
		head := f.free.Load()
		n := uint32(head)
		if n == 0 {
			if !f.grow() {
				return nil, 0
			}
			continue
		}
		x := f.at(n)
		if f.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(x.next.Load())) {
			turn := permitTag(x.turn.Load() & (1<<turnBits - 1))
			return x, (permitTag(n) | turn<<placeBits) << flightShift
		}
	}
}

// grow adds places if none is free. It returns false at the limit.
func (f *flights) grow() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if uint32(f.free.Load()) != 0 {
		return true // another goroutine has added some
	}
	if f.made == flightChunks {
		return false
	}
	f.chunks[f.made].Store(new([flightChunk]flight))
	f.made++
	for i := range flightChunk {
		f.push(uint32((f.made-1)*flightChunk + i + 1))
	}
	return true
}

// of returns the place that a permit holds, or nil if it has given it back.
func (f *flights) of(tag permitTag) *flight {
	n, turn := uint32(tag>>flightShift)&(1<<placeBits-1), uint32(tag>>(flightShift+placeBits))
	if x := f.at(n); x.turn.Load()&(1<<turnBits-1) == turn {
		return x
	}
	return nil
}

// end is like of, and returns the place to one caller only. That caller gives it
// back with release.
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

// release makes a place free.
func (f *flights) release(x *flight, tag permitTag) {
	x.of = nil
	for i := range x.calls {
		x.calls[i].runs = false
	}
	f.push(uint32(tag>>flightShift) & (1<<placeBits - 1))
}

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
