package breaker

import (
	"context"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// This file is what the end of a call does to its breaker, in three parts:
//
//   - settle decides whether the outcome counts, and tells listeners about it;
//   - countedFreely counts an outcome that decides nothing, without a lock: see
//     counted and countedAlone (lockfree.go);
//   - judge takes Breaker.mu, counts the outcome, and applies the rules.
//
// User code (the methods of errors, the program's own rules, listeners) runs
// before mu is taken or after it is released (I10).

// settle reports to the breaker how the call of this permit ended, and returns
// the error to give to the caller. It is called once for each permit, except for
// a probe that is answered first and settled again at its end. mu is not held.
func (p *Permit) settle(ctx context.Context, o Outcome, err error) error {
	b := p.b
	if b.cfg == nil {
		return err // the zero Breaker judges nothing
	}
	// Decided at admission: the call is not evidence, however it ended (I4).
	if p.tag&tagIgnored != 0 {
		o = Ignored
	}
	r := b.settings()
	// What counting finds out for the record of this call; nil: not recorded.
	var rec *tape.Call
	if r.tape != nil {
		rec = new(tape.Call)
	}
	var took time.Duration
	timed := true
	// Counting under the lock reads the clock for the record, and one reading is
	// enough.
	clockLater := rec != nil && p.tag&^tagChecked == tagExact && (o != Success || b.load()&failMask != 0)
	if !clockLater {
		took, timed = p.took()
		if rec != nil {
			rec.Ended = p.endedAt(r, took)
		}
	}
	// A canceled call can be slow. An ignored one cannot: it is not evidence.
	slow := o != Ignored && r.slow(took)
	// Behind an override the automatic state ignores calls that it did not admit
	// itself (I5).
	if p.tag&tagUnjudged == 0 && !b.countedFreely(p, o, slow, rec) {
		opened := b.judge(ctx, p, o, slow, took, err, rec)
		// WithErrorOnTrip: this call opened the breaker.
		if opened != nil && err != nil {
			err = &tripError{open: b.cfg.rejection(opened), own: err}
		}
	}
	if rec != nil && rec.Ended != 0 && p.exactly() {
		took = rec.Ended - p.began // as judge has seen it
		slow = o != Ignored && r.slow(took)
	}
	// Last, outside every lock: listeners may call back into the breaker (I10).
	w := b.load()
	if w&flagObserved != 0 {
		lasted := untimed
		if timed {
			lasted = atMost(took, p.tag&tagExact != 0)
		}
		b.observe(o, slow, lasted)
	}
	switch {
	case clockLater && !slow: // nothing more is to be said about this call
		b.record(r.tape, tape.Call{Began: p.began, Ended: rec.Ended, What: rec.What | tape.Is(uint8(o), tape.Whole, 0).In(genOf(p.word))})
	case rec != nil:
		p.recordSettled(r, *rec, o, took, slow)
	}
	if p.tag.flying() || r.shadows != nil {
		p.endShadows(o, err)
	}
	switch {
	case w&flagWatched != 0:
		b.notifySettled(o, err)
	case b.undelivered():
		b.deliver()
	}
	return err
}

// countedFreely counts an outcome that decides nothing, without judging it. It
// returns false, and has counted nothing, if the outcome must be judged.
func (b *Breaker) countedFreely(p *Permit, o Outcome, slow bool, rec *tape.Call) bool {
	switch {
	case slow: // it goes into the window as a bad call
		return false
	// A success that is recorded and whose time has not been read is timed under
	// the lock.
	case o == Success && (rec == nil || rec.Ended != 0) && b.countedPlain(p, rec):
		return true
	case rec != nil: // not for the window's outcomes: they take the lock anyway
		return b.settings().flags&flagCounted == 0 && b.countedRecorded(p, o, rec)
	}
	return b.countedAlone(p, o)
}

// countedPlain handles a success that was not slow if that needs no lock: the
// breaker is closed and has no failure to take back. It returns false, and has
// counted nothing, otherwise.
func (b *Breaker) countedPlain(p *Permit, rec *tape.Call) bool {
	w := b.load()
	if !p.belongs(w) {
		if rec != nil {
			rec.Ended, rec.What = b.cfg.fine.get(b.cfg.clock).real(), tape.Late // after the move that made it late
		}
		return true // of another period: it counts nowhere (I1)
	}
	// Of a recording, see recordCountsLocked.
	if rec != nil && w&flagHeld != 0 {
		return false
	}
	if rec != nil {
		return w&stateMask == 0 && b.countedAt(w, rec.Ended)
	}
	return w&stateMask == 0 && b.counted(w, false)
}

// countedFast is counted for the most common success that has something to
// write: it belongs to a window of time, no other goroutine uses its cell, and
// its step already has a success. It returns false, and has counted nothing, in
// all other cases; counted then decides. It calls nothing, so that it needs no
// stack frame.
func (b *Breaker) countedFast(w uint64) bool {
	win := b.win.Load()
	if w&countMask != flagCounted || win == nil || win.gen != genOf(w) || win.time.clock == nil {
		return false
	}
	step, ok := win.time.clock.cached()
	return ok && win.time.good.own().countAgain(step)
}

// counted handles a success, not slow, of a closed breaker whose word is w. It
// counts the success in the window, if there is one, and for Observe if observe
// is true; a caller that passes false does that itself. It returns false, and
// has counted nothing, if the success needs the lock.
func (b *Breaker) counted(w uint64, observe bool) bool {
	if w&failMask != 0 {
		return false // it takes failures back, which changes the word
	}
	if w&flagCounted != 0 {
		win := b.win.Load()
		// The window is being replaced, by a transition or by Update. The caller
		// takes the lock, and so waits until that is done (I1).
		if win == nil || win.gen != genOf(w) {
			return false
		}
		// success reports that the window is clean: stop counting successes.
		if win.success(win.step()) {
			b.noteClean(win)
		}
	}
	if observe && w&flagObserved != 0 {
		b.observe(Success, false, untimed)
	}
	return true
}

// noteClean stops the counting of successes: the window holds as many as it can
// and no bad call, so another success would not change it. mu is not held.
func (b *Breaker) noteClean(win *window) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Check again under mu: a failure may have been counted meanwhile, and it
	// needs the successes after it counted (I11).
	if b.win.Load() == win && win.clean() {
		b.edit(flagCounted, 0)
	}
}

// judge counts an outcome that may change something. It returns the rejection of
// the open period that this outcome began, if the caller is to receive it. mu is
// not held.
func (b *Breaker) judge(ctx context.Context, p *Permit, o Outcome, slow bool, took time.Duration, err error, rec *tape.Call) *OpenError {
	e := event{kind: evSuccess, slow: slow}
	var sample ErrorSample
	switch o {
	case Failure:
		// The error's methods are user code: before the lock (I10).
		e.kind = evFailure
		sample = ErrorSample{Error: b.cfg.errorText(err), Latency: took, TraceID: b.cfg.traceOf(ctx), Count: 1}
		e.hint = b.cfg.hint(err)
	case Canceled:
		e.kind = evCanceled
	}
	b.mu.Lock()
	if rec != nil {
		b.recordCountsLocked(rec, p)
		e.at = rec.Ended
		if p.exactly() {
			sample.Latency = rec.Ended - p.began
			e.slow = o != Ignored && b.settings().slow(sample.Latency)
		}
	}
	opened, counts := b.judgeLocked(p, o, &e, sample)
	open := b.noticedLocked(opened)
	if rec != nil {
		b.recordCountedLocked(rec)
	}
	b.mu.Unlock()
	// The program's own rules are user code. They run after mu is released, on
	// the counts that were read under it (I10).
	if !opened && counts.Calls > 0 && len(b.cfg.rules) > 0 {
		open = b.judgeRules(p, counts)
	}
	return open
}

// judgeLocked frees the probe's place, counts the outcome, and decides. The
// counts that it returns are those of the window, if a bad call was added to it.
// mu is held.
func (b *Breaker) judgeLocked(p *Permit, o Outcome, e *event, sample ErrorSample) (opened bool, counts Counts) {
	// Everything below depends on this word. Only lock-free counting on a closed
	// breaker can change it before decideLocked swaps it, and decideLocked then
	// decides again (I11).
	w := b.load()
	if !p.belongs(w) {
		return false, Counts{} // the period that admitted the call is over (I1)
	}
	// First, because an outcome without evidence must free the place, too (I2).
	if stateOf(w) == HalfOpen && !b.freeLocked(p, o) {
		return false, Counts{}
	}
	// Such an outcome changes no count and no state.
	if o == Ignored || o == Canceled && !e.slow {
		return false, Counts{} // (I4)
	}
	r := b.settings()
	var now time.Time // stays zero unless needed: reading the clock is not free
	// In half-open only the probes themselves decide, not the window.
	if stateOf(w) == Closed {
		if o == Failure && r.dated {
			now = b.orNow(now, e)
			b.dateLocked(r, e, w, now)
		}
		b.countLocked(r, o, e, w)
	}
	// Before stepLocked, because the record of a trip takes the errors.
	if o == Failure && b.worthKeeping(w) {
		b.coldLocked().errors.add(sample)
	}
	return b.stepLocked(e, now, nil), e.counts
}

// freeLocked frees the place of a probe, and reports whether its outcome counts.
// It counts once: a copy of a permit that has ended frees nothing. mu is held.
func (b *Breaker) freeLocked(p *Permit, o Outcome) bool {
	// Answered has freed the place and counted the success. Only a failure at
	// the end of the stream is news, and it still counts in this half-open period.
	if p.tag&tagProbed != 0 {
		return o != Success
	}
	// A half-open breaker has a cold part: the move that began the period made it.
	c := b.cold.Load()
	// Leases that have run out stay in the list, so that a late result is found and
	// counts (I2). A copy of a permit that has ended is not found.
	if !c.probes.free(p.tag.probe()) {
		return false
	}
	// A place is free now, so the prepared rejection is wrong about RetryAfter,
	// and the next call is not rejected.
	c.reject.Store(nil)
	// The breaker rejects until the end of another lease now, or not at all.
	b.cfg.cap.moved(b, c.rejectsUntil(b.load()))
	// Callers of WaitReady may try this place.
	c.signalLocked()
	return true
}

// countLocked adds an outcome to the window, if there is one, and puts the
// counts that the rules are judged by into the event. mu is held.
func (b *Breaker) countLocked(r *compiled, o Outcome, e *event, w uint64) {
	win := b.win.Load()
	if win == nil {
		return
	}
	step := b.stepAt(win, e.at)
	if o == Success && !e.slow {
		// A clean window does not count successes.
		if w&flagCounted != 0 {
			win.success(step)
		}
		return
	}
	e.counts = win.bad(step, o == Failure, e.slow)
	// A failure is a good time to find out that the clock has stopped: it costs a
	// reading of the real time, which successes must not pay for. A call that is
	// recorded has read it, see stepAt.
	if e.at == 0 && win.time.clock != nil {
		win.time.clock.check()
	}
	if o == Failure && r.Confidence > 0 {
		e.recent = win.surelyOver(step, e.counts, r.FailureRate, r.Confidence)
	}
	// A bad call ends the clean time: from here on successes count again (I11).
	if !win.clean() && w&flagCounted == 0 {
		b.edit(0, flagCounted)
	}
	// The word does not show bad calls in a window, so the key is marked (I8).
	b.keepLocked()
}

// dateLocked adds to the event what FailFor and FailWithin say about a failure
// at time now. mu is held.
func (b *Breaker) dateLocked(r *compiled, e *event, w uint64, now time.Time) {
	e.lapsed = b.rowLapsedLocked(r, now)
	c := b.coldLocked()
	// The first failure of a new row, or of one whose beginning is not known,
	// because Update has set FailFor since.
	if unitsOf(w) == 0 || e.lapsed || c.rowBegan.IsZero() {
		c.rowBegan = now
	}
	c.rowLast = now
	e.early = now.Sub(c.rowBegan) < r.FailFor
}

// rowLapsedLocked reports whether the counted failures have lapsed under
// FailWithin. mu is held.
func (b *Breaker) rowLapsedLocked(r *compiled, now time.Time) bool {
	// Without a cold part no failure of this row has been dated: FailWithin was set
	// by an Update since, and the row counts from the next failure on.
	c := b.cold.Load()
	return r.FailWithin > 0 && c != nil && !c.rowLast.IsZero() && now.Sub(c.rowLast) > r.FailWithin
}

// worthKeeping reports whether the record of a trip could name an error that
// happens now. Failures far from opening were counted without the lock, so that
// a key that has failed once or twice needs no cold part.
func (b *Breaker) worthKeeping(w uint64) bool {
	return stateOf(w) != Closed || b.win.Load() != nil || b.settings().FailMax > 0
}

// noticedLocked returns the rejection of the open period that has just begun, if
// one has and the caller is to receive it. Behind an override the move has no
// effect on calls, so there is nothing to report. mu is held.
func (b *Breaker) noticedLocked(opened bool) *OpenError {
	// The word is loaded again: stepLocked has just stored the new state in it.
	if !opened || !b.cfg.errorOnTrip || effective(b.load()) != Open {
		return nil
	}
	return b.rejectionLocked()
}

// judgeRules puts the counts to the program's own rules, and opens the breaker
// if one of them says so. mu is not held.
func (b *Breaker) judgeRules(p *Permit, counts Counts) *OpenError {
	name, ok := b.cfg.askRules(counts)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// The rules ran without the lock. If the breaker has moved since, their
	// verdict is about a period that is over (I1).
	if !p.belongs(b.load()) {
		return nil
	}
	return b.noticedLocked(b.stepLocked(&event{kind: evRule, rule: name, counts: counts}, time.Time{}, nil))
}

// askRules runs the program's rules. A rule that panics does not open the
// breaker. It is user code: no lock is held (I10).
func (c *config) askRules(counts Counts) (name string, open bool) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("a rule", p)
			open = false
		}
	}()
	// Options do not change, so the list needs no lock. The first rule that says so
	// opens the breaker, and its name is in the record.
	for _, r := range c.rules {
		if r.open(counts) {
			return r.name, true
		}
	}
	return "", false
}
