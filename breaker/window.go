package breaker

import (
	"math"
	"sync/atomic"
	"time"
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

func newWindow(gen uint32, r *compiled) *window {
	w := &window{gen: gen}
	if r.WindowCalls > 0 {
		w.last = newCallWindow(r.WindowCalls)
	} else {
		w.time.clock = r.step
	}
	return w
}

// spans reports whether it holds the calls that the settings ask for.
func (w *window) spans(r *compiled) bool {
	if r.WindowCalls > 0 {
		return w.last != nil && w.last.size == int64(r.WindowCalls)
	}
	return w.last == nil && w.time.clock.width == r.step.width
}

// countedFast is success for what is common: a window of time, no other
// goroutine in the cell, and a step that has been counted in.
func (w *window) countedFast() bool {
	t := &w.time
	if t.clock == nil {
		return false
	}
	step, ok := t.clock.cached()
	slot := &t.good.own()[step%windowSteps]
	old := slot.Load()
	return ok && old>>32 == step && uint32(old) < math.MaxUint32 && slot.CompareAndSwap(old, old+1)
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

// bad counts a failure or a slow call, or both, and returns what the window
// then holds, which is what decides. Breaker.mu is held.
func (w *window) bad(failed, slow bool) Counts {
	if w.last != nil {
		return w.last.bad(failed, slow)
	}
	w.time.bad(failed, slow)
	return w.counts()
}

// counts is what the window holds. Breaker.mu is held.
func (w *window) counts() Counts {
	if w.last != nil {
		return w.last.counts()
	}
	return w.time.counts(w.time.clock.step(), windowSteps)
}

// surelyOver is the part of the window that makes it this sure that the failure
// rate is over rate, or nil. A window of time is looked at by parts:
// the newest tenth, the newest two tenths, and so on to the whole, so that old
// successes do not hide that a dependency fails now. Each look may be wrong, so
// each gets a tenth of the doubt. all is what the whole holds. Breaker.mu is held.
func (w *window) surelyOver(all Counts, rate, sure float64) *recent {
	if w.last != nil {
		if !SurelyOver(all.Failures, all.Calls, rate, sure) {
			return nil
		}
		return &recent{Counts: all}
	}
	step := w.time.clock.step()
	doubt := (1 - sure) / windowSteps
	for steps := 1; steps <= windowSteps; steps++ {
		c := w.time.counts(step, steps)
		if SurelyOver(c.Failures, c.Calls, rate, 1-doubt) {
			return &recent{Counts: c, span: time.Duration(steps) * w.time.clock.width}
		}
	}
	return nil
}

// timeWindow counts the calls of the last ten steps of its clock. The step
// under way is one of them, so what it holds is between nine tenths of
// Settings.Window and all of it.
//
// Successes and failures are dated by the same clock, late as it may be: calls
// that came together leave together.
type timeWindow struct {
	clock *clock
	good  striped                // of each step, in the slot step%windowSteps: step<<32 | successes
	marks *[windowSteps]stepMark // guarded by Breaker.mu; nil until the first bad call
}

// stepMark is a step's bad calls: those that failed, were slow, or both.
type stepMark struct {
	step                uint64
	bad, failures, slow uint32
}

func (w *timeWindow) success() {
	for step := w.clock.step(); !w.good.own().countStep(step); {
		w.good.contended()
	}
}

func (w *timeWindow) bad(failed, slow bool) {
	step := w.clock.step()
	if w.marks == nil {
		w.marks = new([windowSteps]stepMark)
	}
	m := &w.marks[step%windowSteps]
	if m.step != step {
		*m = stepMark{step: step}
	}
	m.bad++
	m.failures += uint32(btoi(failed))
	m.slow += uint32(btoi(slow))
	w.clock.check()
}

// counts is what the steps that end with step hold.
func (w *timeWindow) counts(step uint64, steps int) Counts {
	c := Counts{}
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

// countStep counts one success in step; it reports false, having counted
// nothing, when another goroutine was faster, which is what contention looks
// like.
func (c *cell) countStep(step uint64) bool {
	slot := &c[step%windowSteps]
	old := slot.Load()
	tag := step << 32
	switch {
	case old&^math.MaxUint32 != tag:
		if age := int32(uint32(step) - uint32(old>>32)); old != 0 && age < 0 && age >= -windowSteps {
			return true // the slot is in use for a later step: this one has left the window
		}
		return slot.CompareAndSwap(old, tag|1)
	case uint32(old) == math.MaxUint32:
		return true // saturated
	default:
		return slot.CompareAndSwap(old, old+1)
	}
}

// sumSteps is the successes of the steps that end with step. A slot whose step
// has left the window is cleared, lest its tag be mistaken for a new step 2^32
// steps on.
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

// bad returns what the window holds at this call. A success that takes the next
// position meanwhile comes after it, and is not in the counts: else the call
// would be judged by another order of calls than the one that is kept.
func (w *callWindow) bad(failed, slow bool) Counts {
	pos := w.pos.Add(1)
	w.cleanAt.Store(pos + w.size)
	if w.n == len(w.list) {
		w.grow()
	}
	w.list[(w.head+w.n)%len(w.list)] = badCall{pos, failed, slow}
	w.n++
	w.failures += btoi(failed)
	w.slow += btoi(slow)
	return w.countsAt(pos)
}

func (w *callWindow) counts() Counts { return w.countsAt(w.pos.Load()) }

// countsAt is what the window holds at a position that is not before the last
// bad call.
func (w *callWindow) countsAt(pos int64) Counts {
	w.forget(pos)
	return Counts{Calls: int(min(pos, w.size)), Failures: w.failures, Slow: w.slow, Bad: w.n}
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
