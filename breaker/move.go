package breaker

import (
	"math/rand/v2"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// This file carries out what next decides. All of it runs with Breaker.mu held,
// so that transitions happen one after the other. Listeners are not called
// here: records go into a queue, which deliver.go empties after mu is released
// (I10).

// stepLocked passes an event to next and stores the result. t becomes the record
// of a transition; it holds what the caller knows already, or is nil. now may be
// zero: most outcomes do not move the breaker, and then the clock is not read.
// stepLocked reports whether an open period begins.
func (b *Breaker) stepLocked(e *event, now time.Time, t *Transition) (opened bool) {
	// A ramp has no timer. Its end is noticed here, before the event is judged,
	// because it resets the backoff.
	if b.load()&flagRamp != 0 {
		now = b.orNow(now, e)
		b.rampOverLocked(now)
	}
	r := b.settings()
	// Set.Update may not have come to this key yet.
	b.rescaleLocked(r)
	// next draws no random numbers itself.
	if r.ResetJitter > 0 {
		e.draw = b.cfg.draw()
	}
	// From here until the next word is written, flagHeld may be set.
	from, to, d := b.decideLocked(r, e)
	if !d.moved {
		return false
	}
	now = b.orNow(now, e)
	if t == nil {
		t = new(Transition)
	}
	// Copy the evidence for the decision into the record.
	t.Cause, t.Fails, t.Threshold, t.Counts, t.Rule = d.cause, d.fails, d.threshold, e.counts, e.rule
	t.OpenFor, t.HintedFor = d.openFor, d.hinted
	b.coldLocked().trace.Draw = e.draw
	t.Slow = d.cause == CauseProbeFailed && e.kind != evFailure
	if d.cause == CauseConsecutive {
		t.Forgiven = max(0, r.SuccessesToForgive)
	}
	// The record shows the part of the window that decided, not all of it.
	if d.cause == CauseConfidence {
		t.Counts, t.Window = e.recent.Counts, e.recent.span
	}
	// The cap limits automatic trips only, never orders (I5), and not behind an
	// override, where they reject nothing. It is asked last, because a positive
	// answer takes a place.
	if to.state == Open && from.state == Closed && d.cause != CauseOrder && b.load()&overrideMask == 0 && !b.cfg.cap.admits(b, now, now.Add(d.openFor)) {
		b.heldBackLocked(from, to, t, now)
		return false
	}
	b.moveLocked(from, to, t, now)
	return to.state == Open
}

// decideLocked asks next, and stores the decision if the breaker does not move.
// If it moves, decideLocked sets flagHeld on a closed breaker: until the caller
// has written the next word, no outcome can be counted without the lock. mu is
// held.
func (b *Breaker) decideLocked(r *compiled, e *event) (from, to auto, d decision) {
	for {
		w := b.load()
		// The word and the cold part together are the automatic layer.
		from = auto{state: stateOf(w), units: unitsOf(w)}
		if c := b.cold.Load(); c != nil {
			from.successes, from.attempt = c.successes, c.attempt
		}
		// Without the flag a failure could be counted between the decision and
		// the move, and be lost with the old word (I11).
		to, d = next(from, r, e)
		is := w | flagHeld
		if !d.moved {
			is = to.in(w)
		}
		// A failure was counted meanwhile without the lock: decide again, with
		// it.
		if !b.swapWord(w, is) {
			continue
		}
		if !d.moved {
			b.storeLocked(to)
		}
		return from, to, d
	}
}

// draw returns a random number in [0, 1): a scripted one under a virtual clock.
func (c *config) draw() float64 {
	if r := c.clock.Rand(); r != nil {
		return r()
	}
	return rand.Float64()
}

// orNow returns t, or if t is zero the time of the event, which is now unless a
// recording has read the clock for it.
func (b *Breaker) orNow(t time.Time, e *event) time.Time {
	if !t.IsZero() {
		return t
	}
	now := b.cfg.clock.Now()
	if e.at > 0 {
		return now.Add(e.at - now.Sub(b.cfg.fine.get(b.cfg.clock).base)) // to the nanosecond
	}
	return now
}

// in returns w with the parts of a that the word holds.
func (a auto) in(w uint64) uint64 {
	return w&^(stateMask|failMask) | withState(a.state) | withUnits(a.units)
}

// storeLocked stores the parts of a that the word does not hold. mu is held.
func (b *Breaker) storeLocked(a auto) {
	// Without a cold part, both have been zero so far and still are: only
	// moveLocked makes them anything else, and it makes the cold part first.
	if c := b.cold.Load(); c != nil {
		c.successes, c.attempt = a.successes, a.attempt
	}
}

// moveLocked begins a new period, with a new generation, window and record. The
// next call that is rejected prepares what an open breaker needs, see reject.go.
// The word is held or not closed; mu is held.
func (b *Breaker) moveLocked(from, to auto, t *Transition, now time.Time) {
	c := b.coldLocked()
	r := b.settings()
	old := b.load()
	// A new generation: calls in flight no longer count (I1).
	gen := (genOf(old) + 1) & genMask
	// Everything else about the old period is dropped. That includes
	// flagCheckCtx, unless the settings ask for it, and flagHeld.
	w := old&(flagWatched|flagTimed|flagObserved|flagBypass) | r.flags&flagCheckCtx | c.overrideFlags() |
		withState(to.state) | withUnits(to.units) | withGen(gen)

	c.trace.Move, c.trace.Gen, c.trace.Units, c.trace.Attempt = true, gen, to.units, to.attempt
	b.flushRejected(now.Sub(b.cfg.fine.get(b.cfg.clock).base) - 1) // they came before the move
	// The word is written last. Until then calls see the old one.
	b.storeLocked(to)
	// Leases of the old period must not take places in the new one (I2, I3).
	c.probes.clear()
	c.ramp = nil
	c.openUntil = time.Time{}
	// If it is too late to stop it, due finds a new generation.
	stopTimer(&c.dueTimer)
	switch to.state {
	case Open:
		c.openUntil = now.Add(t.OpenFor)
		t.Attempt = to.attempt
		// FailingSince covers all open periods until the breaker closes, but an
		// order does not mean that the dependency fails.
		if c.failing.IsZero() && t.Cause != CauseOrder {
			c.failing = now
		}
		t.FailingSince = c.failing
	case Closed:
		// A window belongs to one generation (I1). It is stored before the
		// word, so that a success under the new word finds it.
		if r.flags&flagCounted != 0 {
			w |= flagCounted
			b.win.Store(newWindow(gen, r))
		}
		if r.Ramp > 0 && t.Cause == CauseProbesPassed { // a close by order admits all calls at once
			w |= flagRamp
			c.ramp = &ramp{began: now, over: r.Ramp}
		}
		// The breaker works again: forget what was wrong.
		c.failing, c.errors, c.opened, c.heldBack = time.Time{}, errorRing{}, nil, heldBack{count: c.heldBack.count}
		c.rowBegan, c.rowLast = time.Time{}, time.Time{}
	}
	// For an order and for the end of an override, the caller has filled in the
	// effective states. Behind an override they have not changed.
	if t.Cause != CauseOrder && t.From != ForcedOpen && t.From != ForcedClosed {
		t.From, t.To = from.state, to.state
		t.Shadow = w&overrideMask != 0
	}
	b.describeLocked(r, to, t)
	// Give up the place under the cap, or extend it.
	b.cfg.cap.moved(b, c.rejectsUntil(w))
	b.recordLocked(t, now)
	if to.state == Open {
		c.opened = t
		// Someone waits for the end of the open time. Otherwise the first
		// rejected call sets the timer.
		if b.cfg.wantsReady(c) {
			b.startTimerLocked(w)
		}
	}
	// State, count and generation change at once (I11). This also ends flagHeld.
	b.setWord(w)
}

// describeLocked adds the evidence to a record: the span of the window, and the
// last errors. mu is held.
func (b *Breaker) describeLocked(r *compiled, to auto, t *Transition) {
	if t.Cause != CauseConfidence && r.windowed(len(b.cfg.rules) > 0) && r.WindowCalls <= 0 {
		t.Window = r.Window
	}
	if to.state == Open && t.Cause != CauseOrder {
		t.Errors = b.cold.Load().errors.take()
	}
}

// recordLocked numbers and dates a transition, and adds it to the history and
// to the listeners' queue, once (I7). From here on the record is shared and
// must not be modified. mu is held.
func (b *Breaker) recordLocked(t *Transition, now time.Time) {
	c := b.cold.Load()
	// The version grows first, so that the record carries the version after the
	// transition (I12).
	b.changedLocked()
	t.Version, t.At, t.SettingsVersion = b.versionLocked(), now, b.settings().version
	b.keepRecordLocked(t)
	c.tally.moved(t)
	b.recordMoved(c, t)
	c.shadowsMovedLocked(t)
	// Behind an override the effective state has not changed.
	if !t.Shadow {
		c.since, c.last = now, t
	}
	// The prepared rejection belongs to the old state.
	c.reject.Store(nil)
	// Queued under mu, so that listeners receive transitions in this order (I7).
	if b.cfg.hasListeners(c) {
		c.queue.add(note{t: t})
	}
	// Goroutines in WaitReady look again.
	c.signalLocked()
}

// rampOverLocked ends the ramp if its time is over, and reports whether it did.
// mu is held.
func (b *Breaker) rampOverLocked(now time.Time) bool {
	c := b.cold.Load()
	if c.ramp.share(now) < 1 {
		return false
	}
	// The flag is cleared first: stepLocked would otherwise come back here.
	c.ramp = nil
	b.edit(flagRamp, 0)
	b.stepLocked(&event{kind: evRampOver}, now, nil)
	return true
}

// stopTimer stops a timer, if there is one. Its function may still run once,
// and must check whether it is too late.
func stopTimer(t **vtime.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}
