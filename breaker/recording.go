package breaker

import (
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// This file is what a recording of calls asks of the engine, see package replay.
// While no one records, no call comes here.
//
// What is recorded must lead to the same transitions when it is replayed, so
// the time of an outcome that changes something is read while it does: under
// the lock, or between the load and the compare-and-swap of the word.

func init() {
	tape.Engine.Attach = func(m any, t *tape.Tape) (time.Time, func(), bool) { return m.(*Manager).attach(t) }
	tape.Engine.Inspect = func(b any) tape.Inspection { return b.(*Breaker).inspect() }
	tape.Engine.Impose = func(b, t any, attempt int) { b.(*Breaker).impose(*t.(*Transition), attempt) }
}

// attach makes all members record, those to come included, until detach is
// called. It reports false if they record already.
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

// setTapeLocked is called with m.changing held.
func (m *Manager) setTapeLocked(t *tape.Tape) {
	m.tape = t
	for _, x := range m.all() {
		x.setTape(t)
	}
}

func (b *Breaker) setTape(t *tape.Tape) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cfg.tape.Store(t)
	b.cfg.settings.Store(b.cfg.withTape(b.cfg.settings.Load()))
	b.setNumber(0)
	b.refreshLocked()
}

func (s *Set[K]) setTape(t *tape.Tape) {
	s.cfg.mu.Lock()
	defer s.cfg.mu.Unlock()
	s.cfg.tape.Store(t)
	s.cfg.settings.Store(s.cfg.withTape(s.cfg.settings.Load()))
	for _, b := range s.alive() {
		b.mu.Lock()
		if c := b.cold.Load(); c != nil && c.own.Load() != nil {
			c.own.Store(s.cfg.withTape(c.own.Load()))
		}
		b.setNumber(0)
		b.refreshLocked()
		b.mu.Unlock()
	}
}

// withTape is r for calls that are recorded, or not recorded any more. It has
// the same clocks, so that windows go on.
func (c *config) withTape(r *compiled) *compiled {
	n := *r
	n.setTimer(c)
	return &n
}

// flagsTaped are what recording adds to the word: calls are timed, and rejected
// calls are told.
const flagsTaped = flagTimed | flagObserved

// enroll asks for the breaker's number on t.
func (b *Breaker) enroll(t *tape.Tape) uint32 {
	n := t.Enroll(b)
	if n != 0 && b.cfg.tape.Load() == t {
		b.setNumber(n)
	}
	return n
}

func (b *Breaker) setNumber(n uint32) {
	for {
		old := b.extra.Load()
		if b.extra.CompareAndSwap(old, old&extraUnit|n<<extraNumber) {
			return
		}
	}
}

// record enters a call on the tape.
func (b *Breaker) record(t *tape.Tape, c tape.Call) {
	n := b.extra.Load() >> extraNumber
	if n == 0 {
		if n = b.enroll(t); n == 0 {
			t.Lose()
			return
		}
	}
	t.Add(goroutineHash(), c.Began, c.Ended, c.What.Of(n))
}

// recordPlain enters a success that changed nothing, admitted under word w.
func (b *Breaker) recordPlain(r *compiled, w uint64, began, ended time.Duration) {
	b.record(r.tape, tape.Call{Began: began, Ended: ended, What: tape.Is(uint8(Success), tape.Whole, 0).In(genOf(w))})
}

// recordSettled enters a call that settle has judged. c.Ended is when its
// outcome counted; 0: it counted nowhere.
func (p *Permit) recordSettled(r *compiled, c *tape.Call, o Outcome, took time.Duration, slow bool) {
	if c.Ended == 0 {
		c.Ended = p.began + took
		if p.tag&(tagExact|tagAnswered) != tagExact {
			c.Ended = r.timer.now(true)
		}
	}
	kind := tape.Whole
	switch {
	case p.tag&tagAnswered == 0:
		c.Began = p.began
	case p.tag.probe() != 0: // by Answered itself
		kind, c.Began = tape.Answered, c.Ended-took
	default:
		kind, c.Began = tape.Tail, took
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
	p.b.record(r.tape, *c)
}

// recordCounts notes in the record of a call that its outcome counts now, or is
// late.
func (b *Breaker) recordCounts(rec *tape.Call, now time.Time, p *Permit) {
	rec.Ended = now.Sub(b.cfg.fine.get(b.cfg.clock).base)
	rec.What = 0
	if !p.belongs(b.load()) {
		rec.What = tape.Late
	}
	if win := b.win.Load(); win != nil && win.last == nil {
		rec.What |= tape.At(win.time.clock.word.Load() >> clockBits)
	}
}

// recordAnswered notes when the answer of a call began that is no probe.
func (p *Permit) recordAnswered(began, took time.Duration) {
	r := p.b.settings()
	if r.tape == nil || began == 0 {
		return
	}
	p.b.record(r.tape, tape.Call{Began: began, Ended: began + took, What: tape.Is(0, tape.Answered, 0).In(genOf(p.word))})
}

// rejectSteps is how many steps of the fine clock the rejections are counted
// over that make one record.
const rejectSteps = 10

// recordRejected counts a call that was turned away. A ramp's are recorded one by
// one, as its share goes by their number.
func (b *Breaker) recordRejected() {
	r, c := b.settings(), b.cold.Load()
	if r.tape == nil || c == nil {
		return
	}
	const one = 1
	span := r.timer.step() / rejectSteps
	for {
		was := c.rejected.Load()
		is := span<<rejectedBits | one
		if was>>rejectedBits == span {
			is = was + one
		}
		if !c.rejected.CompareAndSwap(was, is) {
			continue
		}
		if was>>rejectedBits != span {
			b.recordRejections(r, was)
		}
		return
	}
}

const rejectedBits = 24 // of the number, below those of the time

// recordRejections enters rejections that have been counted.
func (b *Breaker) recordRejections(r *compiled, n uint64) {
	if n&(1<<rejectedBits-1) == 0 || r.tape == nil {
		return
	}
	began := time.Duration(n>>rejectedBits) * rejectSteps * fineStep
	b.record(r.tape, tape.Call{Began: began, Ended: began + rejectSteps*fineStep, What: tape.Many(n & (1<<rejectedBits - 1))})
}

// flushRejected enters what recordRejected has counted so far.
func (b *Breaker) flushRejected() {
	c := b.cold.Load()
	if c == nil || c.rejected.Load() == 0 {
		return
	}
	for {
		was := c.rejected.Load()
		if c.rejected.CompareAndSwap(was, was&^(1<<rejectedBits-1)) {
			b.recordRejections(b.settings(), was)
			return
		}
	}
}

// recordRampRejected records a call that a ramp turned away. mu is held.
func (b *Breaker) recordRampRejected(now time.Time) {
	if r := b.settings(); r.tape != nil {
		at := now.Sub(r.timer.base)
		b.record(r.tape, tape.Call{Began: at, Ended: at, What: tape.Many(1)})
	}
}

// recordMoved tells of a transition. Its record is not changed any more. mu is
// held.
func (b *Breaker) recordMoved(c *cold, t *Transition) {
	trace := c.trace
	c.trace = tape.Trace{}
	if r := b.settings(); r.tape != nil {
		r.tape.Moved(b, t, trace)
	}
}

// recordHeldBack tells of a trip that the cap did not allow. mu is held.
func (b *Breaker) recordHeldBack(t *Transition) {
	if r := b.settings(); r.tape != nil {
		r.tape.HeldBack(b, t)
	}
}

// recordUpdated tells of new settings of a breaker or a set.
func (r *compiled) recordUpdated(of any) {
	if r.tape != nil {
		r.tape.Updated(of)
	}
}

func (b *Breaker) inspect() tape.Inspection {
	b.flushRejected()
	i := tape.Inspection{Gen: genOf(b.load()), Clock: b.cfg.clock}
	if step := b.settings().step; step != nil {
		i.StepBase = step.base
	}
	return i
}

// impose moves the automatic state as t says.
func (b *Breaker) impose(t Transition, attempt int) {
	b.mu.Lock()
	r := b.settings()
	w := b.load()
	from := auto{state: stateOf(w), units: unitsOf(w)}
	to := auto{state: t.To, attempt: attempt}
	if t.To != Closed {
		to.units = t.Fails * r.failUnit
	}
	b.moveLocked(from, to, &t, b.cfg.clock.Now())
	b.mu.Unlock()
	b.deliver()
}
