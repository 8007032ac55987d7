package breaker

import (
	"math"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// This file is what the engine does for a recording of its calls, see package
// replay. A recording sets flagTimed and flagObserved in the words of its
// breakers, so that calls leave the fast paths; while nothing records, no call
// comes here.
//
// A recording must lead to the same transitions when it is replayed. So the time
// of an outcome that changes something is read under Breaker.mu, and the time of
// a success that changes nothing before the look at the word which shows that.

func init() {
	tape.Engine.Attach = func(m any, t *tape.Tape) (time.Time, func(), bool) { return m.(*Manager).attach(t) }
	tape.Engine.Flush = func(b any) { b.(*Breaker).flushRejected(time.Duration(math.MaxInt64)) }
	tape.Engine.Quiet = func(b any) bool { return b.(*Breaker).load()&(settleMask&^flagCounted) == 0 }
	tape.Engine.Succeed = func(b any, n int) { b.(*Breaker).succeed(n) }
	tape.Engine.Impose = func(b, t any, how tape.Trace) { b.(*Breaker).impose(*t.(*Transition), how) }
}

// attach makes all members record on t, including those that are created later,
// until detach is called. It returns false if they record already.
func (m *Manager) attach(t *tape.Tape) (base time.Time, detach func(), ok bool) {
	m.changing.Lock()
	defer m.changing.Unlock()
	if m.tape != nil {
		return time.Time{}, nil, false
	}
	clock := newConfig("", m.defaults, m.opts, nil).clock
	m.setTapeLocked(t)
	return m.fine.get(clock).base, func() {
		m.changing.Lock()
		defer m.changing.Unlock()
		m.setTapeLocked(nil)
	}, true
}

// setTapeLocked makes all members record on t, or stop if it is nil. m.changing
// is held.
func (m *Manager) setTapeLocked(t *tape.Tape) {
	m.mu.Lock()
	m.tape = t
	m.mu.Unlock()
	for _, x := range m.all() {
		x.setTape(t)
	}
}

func (b *Breaker) setTape(t *tape.Tape) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cfg.tape.Store(t)
	b.cfg.settings.Store(b.cfg.observed(b.cfg.settings.Load()))
	b.setNumber(0)
	b.refreshLocked()
}

func (s *Set[K]) setTape(t *tape.Tape) {
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	s.cfg.tape.Store(t)
	s.observeAllLocked()
	for b := range s.walk(true) {
		b.setNumber(0)
	}
}

// observeAllLocked makes all keys follow the tape and the shadows of their set.
// s.cfg.mu is held.
func (s *Set[K]) observeAllLocked() {
	s.cfg.settings.Store(s.cfg.observed(s.cfg.settings.Load()))
	for b := range s.walk(true) {
		b.mu.Lock()
		if c := b.cold.Load(); c != nil {
			if own := c.own.Load(); own != nil {
				c.own.Store(s.cfg.observed(own))
			}
			if c.shadows.Load() != nil {
				b.watchLocked(s.cfg.shadows.Load())
			}
		}
		b.refreshLocked()
		b.mu.Unlock()
	}
}

// observed returns r for calls that are recorded on the tape of c and judged by
// its shadows, or no longer. It has the same clocks, so that windows are kept.
func (c *config) observed(r *compiled) *compiled {
	n := *r
	n.setObservers(c)
	return &n
}

// flagsTaped are the flags that a recording or a shadow adds to the word: calls
// are timed, and rejected calls are counted.
const flagsTaped = flagTimed | flagObserved

// setNumber sets the breaker's number on the tape; 0 means that its next call
// asks for one.
func (b *Breaker) setNumber(n uint32) {
	for {
		old := b.extra.Load()
		if b.extra.CompareAndSwap(old, old&extraUnit|n<<extraNumber) {
			return
		}
	}
}

// record writes a call on the tape. Breaker.mu may be held.
func (b *Breaker) record(t *tape.Tape, c tape.Call) {
	if n := b.number(t); n != 0 {
		t.Add(goroutineHash(), c.Began, c.Ended, c.What.Of(n))
	}
}

// number returns the breaker's number on the tape, or 0 if there are no more
// numbers: then the call is lost. It is small enough to be inlined.
func (b *Breaker) number(t *tape.Tape) (n uint32) {
	if n = b.extra.Load() >> extraNumber; n == 0 {
		n = b.enroll(t) // the first call of this breaker
	}
	return
}

// enroll asks the tape for a number. If several goroutines ask at the same time,
// all get the same one.
func (b *Breaker) enroll(t *tape.Tape) uint32 {
	n := t.Enroll(b, b.settings().stepBase())
	switch {
	case n == 0:
		t.Lose()
	case b.cfg.tape.Load() == t:
		b.setNumber(n)
	}
	return n
}

// recordMoved tells the tape about a transition. mu is held.
func (b *Breaker) recordMoved(c *cold, t *Transition) {
	trace := c.trace
	c.trace = tape.Trace{}
	if r := b.settings(); r.tape != nil {
		r.tape.Enroll(b, r.stepBase())
		r.tape.Moved(b, t, trace)
	}
}

// recordHeldBack tells the tape about a trip that the cap prevented. mu is held.
func (b *Breaker) recordHeldBack(t *Transition) {
	if r := b.settings(); r.tape != nil {
		r.tape.Enroll(b, r.stepBase())
		r.tape.HeldBack(b, t)
	}
}

// recordUpdated tells the tape that a breaker or a set has new settings. Its lock
// is held.
func (r *compiled) recordUpdated(of any) {
	if r.tape != nil {
		r.tape.Updated(of, r.stepBase())
	}
}

// stepBase returns when the clock of the window began, or zero if there is none.
// A replay must begin its steps at the same time.
func (r *compiled) stepBase() (t time.Time) {
	if r.step != nil {
		t = r.step.base
	}
	return t
}

// recordForgot tells the tape that the breaker has forgotten its evidence. mu is
// held.
func (b *Breaker) recordForgot() {
	if r := b.settings(); r.tape != nil {
		r.tape.Forgot(b)
		b.setNumber(0)
	}
}

// impose moves the automatic state as a recorded transition says, whatever the
// rules would decide. mu is not held.
func (b *Breaker) impose(t Transition, how tape.Trace) {
	b.mu.Lock()
	w := b.load()
	from := auto{state: stateOf(w), units: unitsOf(w)}
	to := auto{state: t.To, units: how.Units, attempt: how.Attempt}
	b.moveLocked(from, to, &t, b.cfg.clock.Now())
	b.mu.Unlock()
	b.deliver()
}

// succeed counts n calls that succeed now, of a breaker that is quiet in the sense
// of tape.Engine.Quiet, as n calls would.
func (b *Breaker) succeed(n int) {
	for range n {
		w := b.load()
		if w&flagCounted == 0 {
			return // no window, or a clean one
		}
		b.counted(w, false)
	}
}
