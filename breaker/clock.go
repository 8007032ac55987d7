package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock is a coarse clock: the number of steps of a fixed width since its
// base, kept in one word that a timer advances. Reading it costs a load of a
// line that changes once a step; a real clock costs some thirty times that.
//
// The timer runs only while somebody reads: a step without a reader stops it,
// and the next reader reads the real time and starts it again. So an idle
// breaker costs nothing, and a reading is late by no more than a step and what
// the scheduler adds.
//
// A clock belongs to a breaker, a set or a manager, never to the package, so
// that a testing/synctest bubble has its own (I10).
type clock struct {
	word   atomic.Uint64 // step<<2 | clockUsed | clockRuns
	base   time.Time     // monotonic (I9)
	width  time.Duration
	next   atomic.Pointer[clock] // see clocks
	mu     sync.Mutex            // serialises starting and advancing
	serial uint64                // of the newest start: an older timer that still fires is deaf
}

const (
	clockRuns uint64 = 1 << 0 // the timer is armed
	clockUsed uint64 = 1 << 1 // somebody has read this step
	clockBits        = 2
)

func newClock(base time.Time, width time.Duration) *clock {
	return &clock{base: base, width: width}
}

// step is the current step, possibly a little late.
func (c *clock) step() uint64 {
	n, ok := c.glance()
	if !ok {
		n = c.touch()
	}
	return n
}

// glance is step where that is no more than a load: somebody has read this step
// before, so the clock runs. It is small enough to be inlined.
func (c *clock) glance() (step uint64, ok bool) {
	w := c.word.Load()
	return w >> clockBits, w&clockUsed != 0
}

// exact is the current step by the real time. Where the word lags by more than
// a late timer explains (its timer died with a synctest bubble), it is set
// right.
func (c *clock) exact() uint64 {
	n := uint64(max(0, time.Since(c.base)) / c.width)
	if w := c.word.Load(); w&clockRuns != 0 && n > w>>clockBits+2 {
		c.start()
	}
	return n
}

// touch notes that the step has a reader, and starts a clock that stands. It
// returns the step.
func (c *clock) touch() uint64 {
	w := c.word.Load()
	if w&clockRuns == 0 {
		return c.start()
	}
	// One try: who loses lost to another reader's mark or to a new step, and
	// the mark is then there or the next reader's to set.
	c.word.CompareAndSwap(w, w|clockUsed)
	return w >> clockBits
}

func (c *clock) start() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := max(0, time.Since(c.base))
	n := uint64(since / c.width)
	w := c.word.Load()
	if w&clockRuns != 0 && n <= w>>clockBits+2 {
		return w >> clockBits // another reader was faster
	}
	c.word.Store(n<<clockBits | clockUsed | clockRuns)
	c.serial++
	serial := c.serial
	time.AfterFunc(c.width-since%c.width, func() { c.advance(serial) })
	return n
}

// advance is the timer: it moves the word on, or stops when nobody has read
// the step that ends.
func (c *clock) advance(serial uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if serial != c.serial {
		return
	}
	if c.word.Load()&clockUsed == 0 {
		c.word.Store(0)
		return
	}
	since := max(0, time.Since(c.base))
	c.word.Store(uint64(since/c.width)<<clockBits | clockRuns)
	time.AfterFunc(c.width-since%c.width, func() { c.advance(serial) })
}

// now is the time since the base: exact, or as of the current step.
func (c *clock) now(exact bool) time.Duration {
	if exact {
		return time.Since(c.base)
	}
	return time.Duration(c.step()) * c.width
}

const (
	fineStep = 10 * time.Millisecond // of the clock that times calls, see Settings.SlowCall
	// exactBelow is where the steps of the fine clock would be a twentieth of what
	// is measured, and a late timer more: shorter limits read the real clock.
	exactBelow = 20 * fineStep
)

// clocks are the clocks of one owner, a list of one for each width. They are
// made when a rule needs them: most breakers need none.
type clocks struct{ first atomic.Pointer[clock] }

func (cs *clocks) of(width time.Duration) *clock {
	link := &cs.first
	for {
		c := link.Load()
		if c == nil && link.CompareAndSwap(nil, newClock(time.Now(), width)) {
			return link.Load()
		}
		if c = link.Load(); c.width == width {
			return c
		}
		link = &c.next
	}
}
