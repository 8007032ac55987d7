package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// clock is a coarse clock. It counts steps of a fixed width since its base, in
// one word that a timer advances. Reading it costs one load of a cache line
// that changes once a step; reading a real clock costs about thirty times as
// much.
//
// The timer runs only while the clock is read. A step in which nothing reads it
// stops it, and the next reader takes the real time and starts it again. So an
// idle breaker costs nothing, and a reading is late by at most one step and the
// delay of the scheduler.
//
// A clock belongs to settings in effect or to a manager, never to the package,
// so that a testing/synctest bubble has its own (I10).
type clock struct {
	word   atomic.Uint64 // step<<2 | clockUsed | clockRuns
	source *vtime.Source
	base   time.Time // has a monotonic reading: steps of the wall clock change nothing (I9)
	width  time.Duration
	mu     sync.Mutex // serialises starting and advancing; takes no other lock
	serial uint64     // number of the newest start: an older timer that still fires does nothing
}

const (
	clockRuns uint64 = 1 << 0 // the timer is set
	clockUsed uint64 = 1 << 1 // this step has been read
	clockBits        = 2
)

// newClock returns a clock that stands still until it is read.
func newClock(source *vtime.Source, width time.Duration) *clock {
	return &clock{source: source, base: source.Now(), width: width}
}

// now returns the time since the base: exactly, or as of the current step.
func (c *clock) now(exact bool) time.Duration {
	if exact && c.source == nil {
		return time.Since(c.base) // the compiler knows this call, and reads the clock half
	}
	if exact {
		return c.source.Since(c.base)
	}
	return time.Duration(c.step()) * c.width
}

// real returns the time since the base, exactly. The clock must not be virtual: no
// recording is made of one. It is small enough to be inlined, and so takes a
// nanosecond less than now.
func (c *clock) real() time.Duration { return time.Since(c.base) }

// step returns the current step. It may be a little late.
func (c *clock) step() uint64 {
	n, ok := c.cached()
	if !ok {
		n = c.read()
	}
	return n
}

// cached returns the step if one load is enough to know it: the step has been
// read before, so the clock is running. It is small enough to be inlined.
func (c *clock) cached() (step uint64, ok bool) {
	w := c.word.Load()
	return w >> clockBits, w&clockUsed != 0
}

// read marks the step as read, and starts the clock if it stands still.
func (c *clock) read() uint64 {
	w := c.word.Load()
	if w&clockRuns == 0 {
		return c.start(w)
	}
	// One attempt is enough. If it fails, another reader has set the mark, or a
	// new step has begun, which its next reader marks.
	c.word.CompareAndSwap(w, w|clockUsed)
	return w >> clockBits
}

// deadAfter is how far a clock may lag behind the real time before its timer is
// given up. A timer may be late on a busy machine, which does no harm, because
// all readers see the same time. But a timer that was set in a synctest bubble
// never fires after the bubble has ended.
const deadAfter = time.Second

// check corrects the clock if its timer is dead. It reads the real time, so it
// is called for failures only. Counts made by the late clock stay in their
// steps.
func (c *clock) check() {
	w := c.word.Load()
	if w&clockRuns == 0 {
		return
	}
	behind := c.source.Since(c.base) - time.Duration(w>>clockBits+1)*c.width
	if behind > deadAfter+c.width {
		c.start(w)
	}
}

// start sets the clock by the real time and sets the timer, unless another
// goroutine has done so. found is the word that made the caller start it.
func (c *clock) start(found uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.word.Load(); (w^found)&^clockUsed != 0 {
		return w >> clockBits
	}
	// Disown an old timer that may still fire.
	c.serial++
	return c.armLocked(clockUsed)
}

// armLocked sets the word by the real time, and the timer to the beginning of
// the next step. mu is held.
func (c *clock) armLocked(used uint64) uint64 {
	since := max(0, c.source.Since(c.base))
	n := uint64(since / c.width)
	c.word.Store(n<<clockBits | used | clockRuns)
	serial := c.serial
	c.source.AfterFunc(c.width-since%c.width, func() { c.advance(serial) })
	return n
}

// advance is the function of the timer. It moves the word on, or stops the
// clock if nothing has read it in the step that ends.
func (c *clock) advance(serial uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case serial != c.serial: // the clock has been started again since
	case c.word.Load()&clockUsed == 0:
		c.word.Store(0)
	default:
		c.armLocked(0)
	}
}
