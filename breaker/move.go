package breaker

import (
	"math/rand/v2"
	"time"
)

// stepLocked puts an event to next and stores what comes of it. t becomes the
// record; it holds what is known so far, or is nil. now may be zero: most
// outcomes move nothing, and the clock is then not read. It reports whether an
// open period begins. mu is held.
func (b *Breaker) stepLocked(e *event, now time.Time, t *Transition) (opened bool) {
	if b.load()&flagRamp != 0 {
		now = orNow(now)
		b.rampOverLocked(now)
	}
	r := b.rules()
	if r.ResetJitter > 0 {
		e.draw = rand.Float64()
	}
	a, to, d := b.decideLocked(&r.Settings, e)
	if !d.moved {
		return false
	}
	if !b.cfg.crowd.moves(b.cfg, a.state, to.state, d.cause == CauseOrder) {
		to.state, to.attempt = a.state, a.attempt // the cap holds: go on counting
		b.setWord(to.in(b.load() &^ flagDue))
		return false
	}
	now = orNow(now)
	if t == nil {
		t = new(Transition)
	}
	t.Cause, t.Fails, t.Threshold, t.Counts, t.Rule = d.cause, d.fails, d.threshold, e.counts, e.rule
	t.OpenFor, t.HintedFor = d.openFor, d.hinted
	t.Slow = d.cause == CauseProbeFailed && e.kind == evSuccess
	b.moveLocked(a, to, t, now)
	return to.state == Open
}

// decideLocked asks next. What moves nothing is stored. On a move the word is
// held until the caller has written the next one: flagDue, of no meaning while
// closed, keeps those away who count without the lock. mu is held.
func (b *Breaker) decideLocked(s *Settings, e *event) (from, to auto, d decision) {
	for {
		w := b.load()
		from = auto{state: stateOf(w), fails: failsOf(w)}
		if c := b.cold.Load(); c != nil {
			from.oks, from.attempt = c.oks, c.attempt
		}
		to, d = next(from, s, e)
		is := w | flagDue
		if !d.moved {
			is = to.in(w)
		}
		if !b.swapWord(w, is) {
			continue
		}
		if !d.moved {
			b.keepLocked(to)
		}
		return from, to, d
	}
}

func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// in is w with what the word has of a.
func (a auto) in(w uint64) uint64 {
	return w&^(stateMask|failMask) | withState(a.state) | withFails(a.fails)
}

// keepLocked keeps the rest of a. mu is held.
func (b *Breaker) keepLocked(a auto) {
	if c := b.cold.Load(); c != nil {
		c.oks, c.attempt = a.oks, a.attempt
	}
}

// moveLocked begins a new stretch: a new generation with its window and record.
// What an open one needs for rejecting is made when a call comes, see
// reject.go. mu is held.
func (b *Breaker) moveLocked(from, to auto, t *Transition, now time.Time) {
	c := b.coldLocked()
	r := b.rules()
	old := b.load()
	gen := b.cfg.gens.Add(1)
	w := old&(flagWatched|flagTimed|flagObserved) | c.overrideFlag() |
		withState(to.state) | withFails(to.fails) | withGen(gen)

	b.keepLocked(to)
	c.probes.clear()
	c.ramp = nil
	c.openUntil = time.Time{}
	stopTimer(&c.dueTimer)
	switch to.state {
	case Open:
		c.openUntil = now.Add(t.OpenFor)
		t.Attempt = to.attempt
	case Closed:
		if r.flags&flagCounted != 0 {
			w |= flagCounted
			b.win.Store(newWindow(gen, &r.Settings, b.cfg.clocks))
		}
		if r.Ramp > 0 && t.Cause == CauseProbesPassed { // an ordered close admits all
			w |= flagRamp
			c.ramp = &ramp{began: now, over: r.Ramp}
		}
	}
	if t.Cause != CauseOrder && t.Cause != CauseExpired {
		t.From, t.To = from.state, to.state
		t.Shadow = w&(flagForcedOpen|flagForcedClosed) != 0
	}
	if r.windowed(len(b.cfg.custom) > 0) && r.WindowCalls <= 0 {
		t.Window = r.Window
	}
	if to.state == Open && t.Cause != CauseOrder {
		t.Errors = c.errors.take()
	}
	if to.state == Closed {
		c.errors = errorRing{}
	}
	if from.state == Closed && to.state == Open && t.Cause != CauseOrder {
		t.SuspectLocal = b.cfg.crowd.notes(b, b.versionLocked()+1, now)
	}
	b.recordLocked(t, now)
	b.setWord(w)
}

// recordLocked enters a transition into the history and the listeners' queue,
// once (I7). mu is held.
func (b *Breaker) recordLocked(t *Transition, now time.Time) {
	c := b.cold.Load()
	c.changes++
	t.Version, t.At, t.Settings = b.versionLocked(), now, b.rules().version
	c.past.add(t, b.cfg.noHistory)
	c.tally.moved(t)
	if !t.Shadow {
		c.since, c.last, c.why = now, *t, nil
	}
	c.reject.Store(nil)
	if b.cfg.hears(c) {
		told := *t
		c.queue.add(note{t: &told})
	}
}

// rampOverLocked ends the ramp when its time is over. mu is held.
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

func stopTimer(t **time.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}
