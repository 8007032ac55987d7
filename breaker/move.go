package breaker

import (
	"math/rand/v2"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// This file carries out what next decides. All of it runs with mu held.

// stepLocked puts an event to next and stores what comes of it. t becomes the
// record; it holds what is known so far, or is nil. now may be zero: most
// outcomes move nothing, and the clock is then not read. It reports whether an
// open period begins.
func (b *Breaker) stepLocked(e *event, now time.Time, t *Transition) (opened bool) {
	if b.load()&flagRamp != 0 {
		now = b.orNow(now)
		b.rampOverLocked(now)
	}
	r := b.settings()
	if r.ResetJitter > 0 {
		e.draw = b.cfg.draw()
	}
	from, to, d := b.decideLocked(r, e)
	if !d.moved {
		return false
	}
	now = b.orNow(now)
	if t == nil {
		t = new(Transition)
	}
	t.Cause, t.Fails, t.Threshold, t.Counts, t.Rule = d.cause, d.fails, d.threshold, e.counts, e.rule
	t.OpenFor, t.HintedFor = d.openFor, d.hinted
	b.coldLocked().trace.Draw = e.draw
	t.Slow = d.cause == CauseProbeFailed && e.kind != evFailure
	if d.cause == CauseConsecutive {
		t.Forgiven = max(0, r.SuccessesToForgive)
	}
	if d.cause == CauseConfidence {
		t.Counts, t.Window = e.recent.Counts, e.recent.span
	}
	if to.state == Open && from.state == Closed && d.cause != CauseOrder && !b.cfg.cap.admits(b, now, now.Add(d.openFor)) {
		b.heldBackLocked(from, to, t, now)
		return false
	}
	b.moveLocked(from, to, t, now)
	return to.state == Open
}

// decideLocked asks next. What moves nothing is stored. On a move from closed
// the word is held until the caller has written the next one, which keeps those
// away who count without the lock.
func (b *Breaker) decideLocked(r *compiled, e *event) (from, to auto, d decision) {
	for {
		w := b.load()
		from = auto{state: stateOf(w), units: unitsOf(w)}
		if c := b.cold.Load(); c != nil {
			from.oks, from.attempt = c.oks, c.attempt
		}
		to, d = next(from, r, e)
		is := w | flagHeld
		if !d.moved {
			is = to.in(w)
		}
		if !b.swapWord(w, is) {
			continue // a failure was counted meanwhile: decide with it (I11)
		}
		if !d.moved {
			b.storeLocked(to)
		}
		return from, to, d
	}
}

func (c *config) draw() float64 {
	if r := c.clock.Rand(); r != nil {
		return r()
	}
	return rand.Float64()
}

func (b *Breaker) orNow(t time.Time) time.Time {
	if t.IsZero() {
		return b.cfg.clock.Now()
	}
	return t
}

// in is w with what the word has of a.
func (a auto) in(w uint64) uint64 {
	return w&^(stateMask|failMask) | withState(a.state) | withUnits(a.units)
}

// storeLocked keeps what the word does not have of a.
func (b *Breaker) storeLocked(a auto) {
	if c := b.cold.Load(); c != nil {
		c.oks, c.attempt = a.oks, a.attempt
	}
}

// moveLocked begins a new period: a new generation with its window and record.
// What an open one needs for rejecting is made when a call comes, see
// reject.go.
func (b *Breaker) moveLocked(from, to auto, t *Transition, now time.Time) {
	c := b.coldLocked()
	r := b.settings()
	old := b.load()
	gen := (genOf(old) + 1) & genMask
	w := old&(flagWatched|flagTimed|flagObserved|flagBypass) | r.flags&flagCheckCtx | c.overrideFlags() |
		withState(to.state) | withUnits(to.units) | withGen(gen)

	c.trace.Gen, c.trace.Move = gen, true
	b.flushRejected()
	b.storeLocked(to)
	c.probes.clear()
	c.ramp = nil
	c.openUntil = time.Time{}
	stopTimer(&c.dueTimer)
	switch to.state {
	case Open:
		c.openUntil = now.Add(t.OpenFor)
		t.Attempt = to.attempt
		if c.failing.IsZero() && t.Cause != CauseOrder {
			c.failing = now
		}
		t.FailingSince = c.failing
	case Closed:
		if r.flags&flagCounted != 0 {
			w |= flagCounted
			b.win.Store(newWindow(gen, r))
		}
		if r.Ramp > 0 && t.Cause == CauseProbesPassed { // an ordered close admits all
			w |= flagRamp
			c.ramp = &ramp{began: now, over: r.Ramp}
		}
		c.failing, c.errors, c.opened, c.heldBack = time.Time{}, errorRing{}, nil, heldBack{count: c.heldBack.count}
		c.rowBegan, c.rowLast = time.Time{}, time.Time{}
	}
	if t.Cause != CauseOrder && t.Cause != CauseExpired {
		t.From, t.To = from.state, to.state
		t.Shadow = w&overrideMask != 0
	}
	b.describeLocked(r, to, t)
	b.cfg.cap.moved(b, to.state, c.openUntil)
	b.recordLocked(t, now)
	if to.state == Open {
		c.opened = t
		if b.cfg.wantsReady(c) {
			b.setDueLocked(w)
		}
	}
	b.setWord(w)
}

// describeLocked adds what a record says of the evidence.
func (b *Breaker) describeLocked(r *compiled, to auto, t *Transition) {
	if t.Cause != CauseConfidence && r.windowed(len(b.cfg.rules) > 0) && r.WindowCalls <= 0 {
		t.Window = r.Window
	}
	if to.state == Open && t.Cause != CauseOrder {
		t.Errors = b.cold.Load().errors.take()
	}
}

// recordLocked enters a transition into the history and the listeners' queue,
// once (I7). From here on the record is shared and is not changed any more.
func (b *Breaker) recordLocked(t *Transition, now time.Time) {
	c := b.cold.Load()
	b.changedLocked()
	t.Version, t.At, t.SettingsVersion = b.versionLocked(), now, b.settings().version
	b.keepRecordLocked(t)
	c.tally.moved(t)
	b.recordMoved(c, t)
	if !t.Shadow {
		c.since, c.last = now, t
	}
	c.reject.Store(nil)
	if b.cfg.hears(c) {
		c.queue.add(note{t: t})
	}
	c.signalLocked()
}

// rampOverLocked ends the ramp when its time is over.
func (b *Breaker) rampOverLocked(now time.Time) bool {
	c := b.cold.Load()
	if c.ramp.share(now) < 1 {
		return false
	}
	c.ramp = nil
	b.edit(flagRamp, 0)
	b.stepLocked(&event{kind: evRampOver}, now, nil)
	return true
}

func stopTimer(t **vtime.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}
