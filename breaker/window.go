package breaker

import (
	"math"
	"sync/atomic"
	"time"
)

// window holds the calls that rates are computed from: those of a span of time,
// or the last N calls. Successes are many, so they are counted without a lock.
// Failures and slow calls are counted under Breaker.mu, because each of them
// may decide.
//
// A window belongs to one generation. A success of another generation is not
// counted in it (I1).
type window struct {
	gen  uint32
	last *callWindow // the last N calls; nil if the window is a span of time
	time timeWindow  // the calls of a span of time, unless last is set
}

// newWindow returns the window that the settings r ask for.
func newWindow(gen uint32, r *compiled) *window {
	w := &window{gen: gen}
	if r.WindowCalls > 0 {
		w.last = newCallWindow(r.WindowCalls)
	} else {
		w.time.clock = r.step
	}
	return w
}

// spans reports whether the window is of the kind and size that the settings ask
// for.
func (w *window) spans(r *compiled) bool {
	if r.WindowCalls > 0 {
		return w.last != nil && w.last.size == int64(r.WindowCalls)
	}
	return w.last == nil && w.time.clock.width == r.step.width
}

// step returns the step that a call counts in which ends now.
func (w *window) step() uint64 {
	if w.time.clock == nil {
		return 0
	}
	return w.time.clock.step()
}

// stepAt is step for a call that is recorded, and ended at this time of the fine
// clock. Its step follows from the time in the record: the coarse clock may be late,
// and a replay could not know that.
func (w *window) stepAt(fine *clock, at time.Duration) uint64 {
	step, c := w.step(), w.time.clock
	if c == nil {
		return step
	}
	since := fine.base.Sub(c.base) + at
	into := since - time.Duration(step)*c.width
	// Most often the coarse clock is right, and a division costs more.
	if into >= 0 && into < c.width {
		return step
	}
	if into > deadAfter+2*c.width {
		c.check() // its timer may be dead
	}
	return uint64(max(0, since) / c.width)
}

// success counts a call in this step that neither failed nor was slow. It reports
// whether the window is clean, so that further successes need not be counted. No
// lock is needed.
func (w *window) success(step uint64) (clean bool) {
	if w.last != nil {
		return w.last.success()
	}
	w.time.success(step)
	return false
}

// clean reports what success returns. A window of time is never clean: its calls
// leave it as time passes, so it always needs its denominator.
func (w *window) clean() bool { return w.last != nil && w.last.clean() }

// bad counts a call in this step that failed, was slow, or both, and returns what
// the window then holds: the rules judge the call by these counts. Breaker.mu is
// held.
func (w *window) bad(step uint64, failed, slow bool) Counts {
	if w.last != nil {
		return w.last.bad(failed, slow)
	}
	w.time.bad(step, failed, slow)
	return w.time.counts(step, windowSteps)
}

// counts returns what the window holds. Breaker.mu is held.
func (w *window) counts() Counts {
	if w.last != nil {
		return w.last.counts()
	}
	return w.time.counts(w.step(), windowSteps)
}

// surelyOver returns the part of the window for which SurelyOver holds, or nil
// if it holds for none. all is what the whole window holds at this step. Breaker.mu
// is held.
//
// A window of time is tested in parts: the newest tenth, the newest two tenths,
// and so on up to the whole, so that old successes do not hide that a
// dependency is failing now. Each test may be wrong, so each gets a tenth of
// the permitted error.
func (w *window) surelyOver(step uint64, all Counts, rate, sure float64) *recent {
	if w.last != nil {
		if !SurelyOver(all.Failures, all.Calls, rate, sure) {
			return nil
		}
		return &recent{Counts: all}
	}
	doubt := (1 - sure) / windowSteps
	for steps := 1; steps <= windowSteps; steps++ {
		c := w.time.counts(step, steps)
		if SurelyOver(c.Failures, c.Calls, rate, 1-doubt) {
			return &recent{Counts: c, span: time.Duration(steps) * w.time.clock.width}
		}
	}
	return nil
}

// timeWindow counts the calls of the last ten steps of its clock. The current
// step is one of the ten, so the window holds between nine tenths of
// Settings.Window and all of it.
//
// Successes and failures are dated by the same clock. If the clock is late, it
// is late for both, and calls that ended together leave the window together.
type timeWindow struct {
	clock *clock
	good  striped                // successes by step, in slot step%windowSteps: step<<32 | count
	marks *[windowSteps]stepMark // bad calls by step; guarded by Breaker.mu; nil until the first one
}

// stepMark is the bad calls of a step.
type stepMark struct {
	step                uint64
	bad, failures, slow uint32
}

// success counts a success. Each lost race makes the cells spread, so that it loses
// fewer.
func (w *timeWindow) success(step uint64) {
	for !w.good.own().countStep(step) {
		w.good.contended()
	}
}

// bad counts a bad call. Breaker.mu is held.
func (w *timeWindow) bad(step uint64, failed, slow bool) {
	if w.marks == nil {
		w.marks = new([windowSteps]stepMark)
	}
	m := &w.marks[step%windowSteps]
	// The slot still holds a step that has left the window.
	if m.step != step {
		*m = stepMark{step: step}
	}
	m.bad++
	m.failures += uint32(btoi(failed))
	m.slow += uint32(btoi(slow))
}

// counts returns what the given number of steps hold, of which step is the
// last. Breaker.mu is held. A success that is counted at the same time may be
// missed; a failure never is (I11).
func (w *timeWindow) counts(step uint64, steps int) Counts {
	c := Counts{}
	// Successes of all cells, then the bad calls.
	w.good.each(func(x *cell) { c.Calls += x.sumSteps(step, steps) })
	if w.marks == nil {
		return c
	}
	for i := range w.marks {
		if m := &w.marks[i]; m.step+uint64(steps) > step && m.bad > 0 {
			c.Calls += int(m.bad)
			c.Bad += int(m.bad)
			c.Failures += int(m.failures)
			c.Slow += int(m.slow)
		}
	}
	return c
}

// countStep counts one success in step. It returns false, and has counted
// nothing, if another goroutine wrote to the slot at the same time: that is
// contention.
func (c *cell) countStep(step uint64) bool {
	slot := &c[step%windowSteps]
	old := slot.Load()
	tag := step << 32
	switch {
	case old&^math.MaxUint32 != tag:
		// A goroutine that was delayed may come with a step that has left the
		// window. It must not overwrite the newer step in the slot.
		if age := int32(uint32(step) - uint32(old>>32)); old != 0 && age < 0 && age >= -windowSteps {
			return true
		}
		// The first success of this step.
		return slot.CompareAndSwap(old, tag|1)
	case uint32(old) == math.MaxUint32:
		return true // the count is at its maximum: stay there
	default:
		return slot.CompareAndSwap(old, old+1)
	}
}

// countAgain is countStep for a step that has a success already. It returns
// false, and has counted nothing, if this is the first. It is small enough to be
// inlined.
func (c *cell) countAgain(step uint64) bool {
	slot := &c[step%windowSteps]
	old := slot.Load()
	// The step and its count are one word, so the count cannot go to another
	// step.
	return old>>32 == step && uint32(old) < math.MaxUint32 && slot.CompareAndSwap(old, old+1)
}

// sumSteps returns the successes of the given number of steps, of which step is
// the last. It clears slots whose step has left the window: otherwise the same
// tag would count again after 2^32 steps.
func (c *cell) sumSteps(step uint64, steps int) (n int) {
	for i := range c {
		old := c[i].Load()
		age := int32(uint32(step) - uint32(old>>32))
		switch {
		case old == 0:
		case age >= windowSteps || age < -windowSteps:
			c[i].CompareAndSwap(old, 0)
		case age < int32(steps):
			n += int(uint32(old))
		}
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// callWindow holds the last size calls. Each call has a position. Only bad
// calls are stored; every other position is a success. Once size calls in a row
// have succeeded, the window is clean: another success would not change it.
// Until the next failure, successes then write nothing at all (flagCounted is
// off).
type callWindow struct {
	size    int64
	pos     atomic.Int64 // calls so far, except those that were not counted because the window was clean
	cleanAt atomic.Int64 // the position at which the window is clean

	// Guarded by Breaker.mu.
	list           []badCall // a ring of the bad calls in the window, oldest at head
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

// success takes a position. Several goroutines may do so at once; the order
// does not matter, because successes are not stored.
func (w *callWindow) success() bool { return w.pos.Add(1) >= w.cleanAt.Load() }
func (w *callWindow) clean() bool   { return w.pos.Load() >= w.cleanAt.Load() }

// bad adds a bad call and returns what the window holds at this call. A success
// that takes the next position meanwhile comes after it and is not in the counts;
// otherwise the call would be judged by another order of calls than the one that
// is kept. Breaker.mu is held.
func (w *callWindow) bad(failed, slow bool) Counts {
	pos := w.pos.Add(1)
	// Before anything else: from here on the window is not clean, and size
	// further successes are needed (I11).
	w.cleanAt.Store(pos + w.size)
	// Drop what has left the window before growing the ring for the new call.
	w.forget(pos)
	if w.n == len(w.list) {
		w.grow()
	}
	w.list[(w.head+w.n)%len(w.list)] = badCall{pos, failed, slow}
	w.n++
	w.failures += btoi(failed)
	w.slow += btoi(slow)
	return w.countsAt(pos)
}

// counts returns what the window holds. Breaker.mu is held.
func (w *callWindow) counts() Counts { return w.countsAt(w.pos.Load()) }

// countsAt returns what the window holds at a position that is not before the
// last bad call. Breaker.mu is held.
func (w *callWindow) countsAt(pos int64) Counts {
	w.forget(pos)
	// Until size calls have ended, the window holds fewer.
	return Counts{Calls: int(min(pos, w.size)), Failures: w.failures, Slow: w.slow, Bad: w.n}
}

// forget drops the bad calls that are no longer among the last size. Breaker.mu
// is held.
func (w *callWindow) forget(pos int64) {
	for w.n > 0 && w.list[w.head].pos <= pos-w.size {
		w.failures -= btoi(w.list[w.head].failed)
		w.slow -= btoi(w.list[w.head].slow)
		w.head = (w.head + 1) % len(w.list)
		w.n--
	}
}

// grow doubles the ring. Breaker.mu is held.
func (w *callWindow) grow() {
	list := make([]badCall, max(8, 2*len(w.list)))
	for i := range w.n {
		list[i] = w.list[(w.head+i)%len(w.list)]
	}
	w.list, w.head = list, 0
}
