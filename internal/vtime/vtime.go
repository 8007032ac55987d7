// Package vtime provides a virtual clock with timers, which stands still until
// it is advanced. Package replay runs breakers on one, so that a day is
// replayed in seconds. A virtual clock must be used by one goroutine at a time.
// A nil *Source is the real time, and may be used by many.
package vtime

import (
	"math"
	"slices"
	"time"
)

// Option is set by package breaker. It returns the breaker.Option that gives a
// breaker this clock. It is not part of the public API.
var Option func(*Source) any

// Source is a virtual clock, or the real time if it is nil.
type Source struct {
	base   time.Time
	now    time.Duration  // since base
	next   time.Duration  // when the first of timers is due, since base
	timers []*Timer       // set timers; the first to be due is the last element
	draw   func() float64 // returns random numbers, or nil
}

// never is a time that the clock does not reach.
const never time.Duration = math.MaxInt64

// New returns a clock that shows base. draw returns random numbers in [0, 1);
// nil means that breakers use real random numbers.
func New(base time.Time, draw func() float64) *Source {
	return &Source{base: base, next: never, draw: draw}
}

// Rand returns the function that draws random numbers, or nil.
func (s *Source) Rand() func() float64 {
	if s == nil {
		return nil
	}
	return s.draw
}

// Now returns the current time.
func (s *Source) Now() time.Time {
	if s == nil {
		return time.Now()
	}
	return s.base.Add(s.now)
}

// Since returns the time that has passed since t.
func (s *Source) Since(t time.Time) time.Duration {
	if s == nil {
		return time.Since(t)
	}
	return s.now - t.Sub(s.base)
}

// Until returns the time until t.
func (s *Source) Until(t time.Time) time.Duration {
	if s == nil {
		return time.Until(t)
	}
	return -s.Since(t)
}

// Timer runs a function when its time has come, unless it is stopped before.
type Timer struct {
	real *time.Timer // nil under a virtual clock
	s    *Source
	at   time.Duration
	f    func()
}

// AfterFunc runs f after d: in real time on a separate goroutine, else within
// the Advance that reaches it.
func (s *Source) AfterFunc(d time.Duration, f func()) *Timer {
	if s == nil {
		return &Timer{real: time.AfterFunc(d, f)}
	}
	t := &Timer{s: s, at: s.now + max(0, d), f: f}
	if t.at < s.now {
		t.at = never // the sum has overflowed
	}
	// Timers with the same time run in the order in which they were set. The
	// last element runs first, so this timer goes before them.
	i, _ := slices.BinarySearchFunc(s.timers, t.at, func(x *Timer, at time.Duration) int {
		if x.at > at {
			return -1
		}
		return 1
	})
	s.timers = slices.Insert(s.timers, i, t)
	s.setNext()
	return t
}

// Stop cancels the timer. It returns false if the function has already run or
// begun.
func (t *Timer) Stop() bool {
	if t.real != nil {
		return t.real.Stop()
	}
	i := slices.Index(t.s.timers, t)
	if i < 0 {
		return false
	}
	t.s.timers = slices.Delete(t.s.timers, i, i+1)
	t.s.setNext()
	return true
}

// setNext updates next after a change of timers.
func (s *Source) setNext() {
	s.next = never
	if n := len(s.timers); n > 0 {
		s.next = s.timers[n-1].at
	}
}

// Advance moves the clock to the given time since its base. Timers that are due
// on the way run at their own times, in order. Advance is small enough to be
// inlined for the common case that no timer is due.
func (s *Source) Advance(to time.Duration) {
	if to >= s.next {
		s.fire(to)
	}
	s.now = to
}

// fire runs the timers that are due until then.
func (s *Source) fire(to time.Duration) {
	for to >= s.next && len(s.timers) > 0 {
		last := len(s.timers) - 1
		t := s.timers[last]
		s.timers[last] = nil
		s.timers = s.timers[:last]
		s.setNext()
		s.now = t.at
		t.f()
	}
}
