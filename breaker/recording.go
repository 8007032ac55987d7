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
	n := b.extra.Load() >> extraNumber
	if n == 0 {
		// The first call of this breaker. If another goroutine asks at the same
		// time, both get the same number.
		if n = t.Enroll(b, b.settings().stepBase()); n == 0 {
			t.Lose()
			return
		}
		if b.cfg.tape.Load() == t {
			b.setNumber(n)
		}
	}
	t.Add(goroutineHash(), c.Began, c.Ended, c.What.Of(n))
}

// recordPlain records a success that changed no count, admitted under word w.
func (b *Breaker) recordPlain(r *compiled, w uint64, began, ended time.Duration) {
	b.record(r.tape, tape.Call{Began: began, Ended: ended, What: tape.Is(uint8(Success), tape.Whole, 0).In(genOf(w))})
}

// recordSettled records a call that settle has judged. c holds what counting
// found out; c.Ended is zero if the outcome counted nowhere.
func (p *Permit) recordSettled(r *compiled, c tape.Call, o Outcome, took time.Duration, slow bool) {
	if c.Ended == 0 {
		c.Ended = p.began + took
		// began is not the beginning, or not on the real clock: recording began
		// while the call ran.
		if p.tag&(tagExact|tagAnswered) != tagExact {
			c.Ended = r.timer.now(true)
		}
	}
	kind := tape.Whole
	c.Began = p.began
	if p.tag&tagAnswered != 0 {
		// The call counts as long as its answer took to begin.
		c.Began = c.Ended - took
		switch {
		case p.tag.probe() != 0: // Answered itself settles the probe
			kind = tape.Answered
		case p.tag&tagProbed != 0:
			kind = tape.Tail
		}
	}
	var flags tape.What
	if slow {
		flags |= tape.Slow
	}
	if p.tag&tagIgnored != 0 {
		flags |= tape.Beside
	}
	if p.tag&tagUnjudged != 0 {
		flags |= tape.Unjudged
	}
	c.What |= tape.Is(uint8(o), kind, flags).In(genOf(p.word))
	p.b.record(r.tape, c)
}

// countedRecorded is countedAlone for a call that is recorded. It takes mu, so
// that the recorded times are in the order of the changes: otherwise the word
// could change and change back between a reading of the clock and the
// compare-and-swap. The clock is read after the change: a success that saw the
// word before it was timed earlier.
func (b *Breaker) countedRecorded(p *Permit, o Outcome, rec *tape.Call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.countedAlone(p, o) {
		return false
	}
	rec.Ended = b.cfg.fine.get(b.cfg.clock).now(true) // the cheaper half of the clock
	rec.What = tape.What(0).After(unitsOf(b.load()))
	return true
}

// recordCountsLocked notes in the record of a call that its outcome counts now,
// or comes too late to count, and returns that time. mu is held.
func (b *Breaker) recordCountsLocked(rec *tape.Call, p *Permit) time.Time {
	w := b.load()
	// Change the word before reading the clock: then a success that is timed
	// later sees that, and waits for mu.
	if stateOf(w) == Closed {
		b.edit(0, flagHeld)
	}
	now := b.cfg.clock.Now()
	b.recordTime(rec, now, !p.belongs(w))
	return now
}

// recordCountedLocked follows recordCountsLocked after the outcome has been
// judged. mu is held.
func (b *Breaker) recordCountedLocked(rec *tape.Call) {
	b.edit(flagHeld, 0)
	rec.What = rec.What.After(unitsOf(b.load()))
}

// recordTime notes when an outcome counted, or that it was late.
func (b *Breaker) recordTime(rec *tape.Call, now time.Time, late bool) {
	rec.Ended = now.Sub(b.cfg.fine.get(b.cfg.clock).base)
	if late {
		rec.What = tape.Late
	}
}

// Rejected calls are many and all alike, so they are counted, and a record is
// made for each rejectSpan in which there were some. A ramp's are recorded one
// by one, because they decide which call it admits next.
const (
	rejectSpan   = 100 * time.Millisecond
	rejectedBits = 24 // of cold.rejected: the number of calls; above it the span that they were in
	rejectedMask = 1<<rejectedBits - 1
)

// recordRejected counts a call that was rejected under word w. No lock is held.
func (b *Breaker) recordRejected(w uint64) {
	r, c := b.settings(), b.cold.Load()
	if r.tape == nil || c == nil || w&flagForcedOpen == 0 && w&(stateMask|flagRamp) == withState(Closed)|flagRamp {
		return
	}
	span := uint64(r.timer.now(false) / rejectSpan)
	for {
		was := c.rejected.Load()
		same := was>>rejectedBits == span
		is := was + 1
		if !same {
			is = span<<rejectedBits | 1
		}
		if !c.rejected.CompareAndSwap(was, is) {
			continue
		}
		if !same {
			b.recordRejections(r, was, math.MaxInt64)
		}
		return
	}
}

// recordRejections records the rejected calls of a span, of which none came after
// last.
func (b *Breaker) recordRejections(r *compiled, counted uint64, last time.Duration) {
	n := counted & rejectedMask
	if n == 0 || r.tape == nil {
		return
	}
	began := time.Duration(counted>>rejectedBits) * rejectSpan
	last = min(last, began+rejectSpan)
	b.record(r.tape, tape.Call{Began: min(began, last-1), Ended: last, What: tape.Many(n)})
}

// flushRejected records what recordRejected has counted so far, all of it before
// or at last.
func (b *Breaker) flushRejected(last time.Duration) {
	c := b.cold.Load()
	if c == nil {
		return
	}
	for {
		was := c.rejected.Load()
		if was&rejectedMask == 0 {
			return
		}
		if c.rejected.CompareAndSwap(was, was&^rejectedMask) {
			b.recordRejections(b.settings(), was, last)
			return
		}
	}
}

// recordRampRejected records a call that a ramp rejected. mu is held.
func (b *Breaker) recordRampRejected(now time.Time) {
	if r := b.settings(); r.tape != nil {
		at := now.Sub(r.timer.base)
		b.record(r.tape, tape.Call{Began: at, Ended: at, What: tape.Many(1)})
	}
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
