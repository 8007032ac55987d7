package breaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// clock is a coarse clock: the number of steps of a fixed width since its
// base, kept in one word that a timer advances. Reading it costs a load of a
// line that changes once a step; a real clock costs some thirty times that.
//
// The timer runs only while someone reads: a step without a reader stops it, and
// the next reader reads the real time and starts it again. So an idle breaker
// costs nothing, and a reading is late by no more than a step and what the
// scheduler adds.
//
// A clock belongs to settings in effect or to a manager, never to the package,
// so that a testing/synctest bubble has its own (I10).
type clock struct {
	word   atomic.Uint64 // step<<2 | clockUsed | clockRuns
	source *vtime.Source
	base   time.Time // monotonic (I9)
	width  time.Duration
	mu     sync.Mutex // serialises starting and advancing
	serial uint64     // of the newest start: an older timer that still fires does nothing
}

const (
	clockRuns uint64 = 1 << 0 // the timer is armed
	clockUsed uint64 = 1 << 1 // this step has been read
	clockBits        = 2
)

func newClock(source *vtime.Source, width time.Duration) *clock {
	return &clock{source: source, base: source.Now(), width: width}
}

// now is the time since the base: exact, or as of the current step.
func (c *clock) now(exact bool) time.Duration {
	if exact && c.source == nil {
		return time.Since(c.base)
	}
	if exact {
		return c.source.Since(c.base)
	}
	return time.Duration(c.step()) * c.width
}

// step is the current step, possibly a little late.
func (c *clock) step() uint64 {
	n, ok := c.cached()
	if !ok {
		n = c.read()
	}
	return n
}

// cached is step where that is no more than a load: this step has been read
// before, so the clock runs. It is small enough to be inlined.
func (c *clock) cached() (step uint64, ok bool) {
	w := c.word.Load()
	return w >> clockBits, w&clockUsed != 0
}

// read notes that the step has a reader, and starts a clock that stands.
func (c *clock) read() uint64 {
	w := c.word.Load()
	if w&clockRuns == 0 {
		return c.start(w)
	}
	// One try: where it is lost, it is lost to another reader's mark or to a new
	// step, and the mark is then there or the next reader's to set.
	c.word.CompareAndSwap(w, w|clockUsed)
	return w >> clockBits
}

// deadAfter is how far a clock may lag behind the real time before its timer is
// given up. Timers are late on a busy machine, and it does no harm: all readers
// are late together. But a timer that was set in a synctest bubble dies with it.
const deadAfter = time.Second

// check sets the clock right if its timer is dead. It reads the real time, so it
// is for failures. What has been counted by the late clock keeps its steps.
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

// start sets the clock by the real time and arms the timer, unless another
// goroutine was faster: found is the word that the caller found wanting.
func (c *clock) start(found uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.word.Load(); (w^found)&^clockUsed != 0 {
		return w >> clockBits
	}
	c.serial++
	return c.armLocked(clockUsed)
}

// armLocked sets the word by the real time, and the timer to the next step.
func (c *clock) armLocked(used uint64) uint64 {
	since := max(0, c.source.Since(c.base))
	n := uint64(since / c.width)
	c.word.Store(n<<clockBits | used | clockRuns)
	serial := c.serial
	c.source.AfterFunc(c.width-since%c.width, func() { c.advance(serial) })
	return n
}

// advance is the timer: it moves the word on, or stops when the step that ends
// has had no reader.
func (c *clock) advance(serial uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case serial != c.serial: // started anew meanwhile
	case c.word.Load()&clockUsed == 0:
		c.word.Store(0)
	default:
		c.armLocked(0)
	}
}
