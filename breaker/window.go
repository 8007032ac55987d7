package breaker

import (
	"math"
	"sync/atomic"
)

// window holds the calls that the rates are taken over: those of the last
// stretch of time, or the last so many. Successes come without a lock, as they
// are many; failures and slow calls under Breaker.mu, as each may decide.
//
// A window serves one generation: a success that arrives with another one
// belongs to another window (I1).
type window struct {
	gen  uint32
	last *callWindow // the last so many calls; nil: those of the time below
	time timeWindow
}

func newWindow(gen uint32, s *Settings, cs *clocks) *window {
	w := &window{gen: gen}
	if s.WindowCalls > 0 {
		w.last = newCallWindow(s.WindowCalls)
	} else {
		w.time.clock = cs.of(s.Window / windowBuckets)
	}
	return w
}

// spans reports whether it holds the stretch of calls that s asks for.
func (w *window) spans(s *Settings) bool {
	if s.WindowCalls > 0 {
		return w.last != nil && w.last.size == int64(s.WindowCalls)
	}
	return w.last == nil && w.time.clock.width == s.Window/windowBuckets
}

// success counts a call that was neither a failure nor slow. It reports
// whether the window is clean, so that further successes need not be counted.
func (w *window) success() (clean bool) {
	if w.last != nil {
		return w.last.success()
	}
	w.time.success()
	return false
}

// clean reports what success does. A window of time never is: forgetting on
// time, it always needs its denominator.
func (w *window) clean() bool { return w.last != nil && w.last.clean() }

// bad counts a failure or a slow call, or both. Breaker.mu is held.
func (w *window) bad(failed, slow bool) {
	if w.last != nil {
		w.last.bad(failed, slow)
	} else {
		w.time.bad(failed, slow)
	}
}

// counts is what the window holds. Breaker.mu is held.
func (w *window) counts() Counts {
	if w.last != nil {
		return w.last.counts()
	}
	return w.time.counts()
}

// timeWindow counts the calls of the last ten steps of its clock. The step
// under way is one of them, so what it holds is between nine tenths of
// Settings.Window and all of it.
type timeWindow struct {
	clock *clock
	good  stripes
	marks *[windowBuckets]mark // guarded by Breaker.mu; nil until the first bad call
}

// mark is a step's failures and slow calls.
type mark struct {
	step                  uint64
	calls, failures, slow uint32
}

func (w *timeWindow) success() { w.good.add(w.clock.step()) }

func (w *timeWindow) bad(failed, slow bool) {
	step := w.clock.exact()
	if w.marks == nil {
		w.marks = new([windowBuckets]mark)
	}
	m := &w.marks[step%windowBuckets]
	if m.step != step {
		*m = mark{step: step}
	}
	m.calls++
	m.failures += uint32(btoi(failed))
	m.slow += uint32(btoi(slow))
}

func (w *timeWindow) counts() Counts {
	step := w.clock.exact()
	c := Counts{Calls: w.good.sum(step)}
	if w.marks == nil {
		return c
	}
	for i := range w.marks {
		if m := &w.marks[i]; holds(step, m.step) {
			c.Calls += int(m.calls)
			c.Failures += int(m.failures)
			c.Slow += int(m.slow)
		}
	}
	return c
}

// holds reports whether a window that ends with step now holds step s. A step
// ahead of now is one too: two goroutines read the clock at its edge.
func holds(now, s uint64) bool { return s+windowBuckets > now }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// callWindow judges the last size calls. Each call has a position; a success
// is implied by absence, only the bad ones are written down. Once size
// successes in a row have passed, the window is clean: all it could still
// learn from successes it knows, so until the next failure they write nothing
// at all (flagCounted is off).
type callWindow struct {
	size    int64
	pos     atomic.Int64 // calls since it was made, those in clean times left out
	cleanAt atomic.Int64 // the position at which it is clean

	// guarded by Breaker.mu
	list           []badCall // a ring of those in the window, oldest at head
	head, n        int
	failures, slow int
}

type badCall struct {
	pos          int64
	failed, slow bool
}

func newCallWindow(size int) *callWindow {
	w := &callWindow{size: int64(size)}
	w.cleanAt.Store(w.size)
	return w
}

func (w *callWindow) success() bool { return w.pos.Add(1) >= w.cleanAt.Load() }
func (w *callWindow) clean() bool   { return w.pos.Load() >= w.cleanAt.Load() }

func (w *callWindow) bad(failed, slow bool) {
	pos := w.pos.Add(1)
	w.cleanAt.Store(pos + w.size)
	w.forget(pos)
	if w.n == len(w.list) {
		w.grow()
	}
	w.list[(w.head+w.n)%len(w.list)] = badCall{pos, failed, slow}
	w.n++
	w.failures += btoi(failed)
	w.slow += btoi(slow)
}

func (w *callWindow) counts() Counts {
	pos := w.pos.Load()
	w.forget(pos)
	return Counts{Calls: int(min(pos, w.size)), Failures: w.failures, Slow: w.slow}
}

// forget drops the bad calls that are no longer among the last size.
func (w *callWindow) forget(pos int64) {
	for w.n > 0 && w.list[w.head].pos <= pos-w.size {
		w.failures -= btoi(w.list[w.head].failed)
		w.slow -= btoi(w.list[w.head].slow)
		w.head = (w.head + 1) % len(w.list)
		w.n--
	}
}

func (w *callWindow) grow() {
	list := make([]badCall, max(8, 2*len(w.list)))
	for i := range w.n {
		list[i] = w.list[(w.head+i)%len(w.list)]
	}
	w.list, w.head = list, 0
}

// cell counts the successes of ten steps: step<<32 | count, one word for each,
// so that a step's count and its end move together.
type cell struct {
	slots [windowBuckets]atomic.Uint64
}

// add counts one success in step; it reports false, having counted nothing,
// when another goroutine was faster, which is what contention looks like.
func (c *cell) add(step uint64) bool {
	slot := &c.slots[step%windowBuckets]
	old := slot.Load()
	tag := step << 32
	switch {
	case old&^math.MaxUint32 != tag:
		if age := int32(uint32(step) - uint32(old>>32)); old != 0 && age < 0 && age >= -windowBuckets {
			return true // the slot is in use for a later step: this one has left the window
		}
		return slot.CompareAndSwap(old, tag|1)
	case uint32(old) == math.MaxUint32:
		return true // saturated
	default:
		return slot.CompareAndSwap(old, old+1)
	}
}

// sum is the successes of the ten steps that end with step. A slot whose step
// has left the window is cleared, lest its tag be mistaken for a new step 2^32
// steps on.
func (c *cell) sum(step uint64) (n int) {
	for i := range c.slots {
		old := c.slots[i].Load()
		age := int32(uint32(step) - uint32(old>>32))
		switch {
		case old == 0:
		case age < windowBuckets && age >= -windowBuckets:
			n += int(uint32(old))
		default:
			c.slots[i].CompareAndSwap(old, 0)
		}
	}
	return n
}
