// Package vtime is a clock that stands still until it is moved, with timers.
// Package replay runs breakers on one, so that what took a day is replayed in
// seconds. A virtual clock is for one goroutine. A nil *Source is the real time,
// and may be used by many.
package vtime

import (
	"math"
	"slices"
	"time"
)

// Option is set by package breaker: it returns the breaker.Option that gives a
// breaker this clock. It is no part of the public API.
var Option func(*Source) any

// Source is a virtual clock, or the real time if it is nil.
type Source struct {
	base   time.Time
	now    time.Duration // since base
	next   time.Duration // when the first of timers is due
	timers []*Timer      // those set, the first to be due last
	draw   func() float64
}

const never time.Duration = math.MaxInt64

// New is a clock that shows base. Random numbers in [0, 1) come from draw; nil
// means real ones.
func New(base time.Time, draw func() float64) *Source {
	return &Source{base: base, next: never, draw: draw}
}

// Rand is what draws random numbers, or nil.
func (s *Source) Rand() func() float64 {
	if s == nil {
		return nil
	}
	return s.draw
}

// Now is the time.
func (s *Source) Now() time.Time {
	if s == nil {
		return time.Now()
	}
	return s.base.Add(s.now)
}

// Since is the time passed since t.
func (s *Source) Since(t time.Time) time.Duration {
	if s == nil {
		return time.Since(t)
	}
	return s.now - t.Sub(s.base)
}

// Until is the time until t.
func (s *Source) Until(t time.Time) time.Duration {
	if s == nil {
		return time.Until(t)
	}
	return -s.Since(t)
}

// Timer runs a function when its time has come, unless it is stopped before.
type Timer struct {
	real *time.Timer // of the real time
	s    *Source
	at   time.Duration
	f    func()
}

// AfterFunc runs f after d: on a goroutine of its own in real time, else within
// the Advance that reaches it.
func (s *Source) AfterFunc(d time.Duration, f func()) *Timer {
	if s == nil {
		return &Timer{real: time.AfterFunc(d, f)}
	}
	t := &Timer{s: s, at: s.now + max(0, d), f: f}
	if t.at < s.now {
		t.at = never // too far away to be reached
	}
	// Before those of the same time: they were set earlier and run earlier.
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

// Stop reports whether it came before the function began.
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

func (s *Source) setNext() {
	s.next = never
	if n := len(s.timers); n > 0 {
		s.next = s.timers[n-1].at
	}
}

// Advance moves the clock to so long after its base. What is due on the way runs
// at its own time, in order. It is small enough to be inlined where nothing is.
func (s *Source) Advance(to time.Duration) {
	if to >= s.next {
		s.fire(to)
	}
	s.now = to
}

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
