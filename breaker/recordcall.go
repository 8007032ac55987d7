package breaker

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// This file is what a call does for a recording: it dates and writes its own
// record, and rejected calls are counted until a record of many is due. Attaching
// a recording, and what else is told to it, is in recording.go.

// recordedOnly reports whether calls are recorded, and no shadow judges them.
func (r *compiled) recordedOnly() bool { return r.tape != nil && r.shadows == nil }

// recordedPlain ends a recorded call that succeeded and changed nothing: the
// word is still the one that admitted it. It returns false, and has done nothing,
// if there is more to do. It is apart from settle so that most calls that are
// recorded read the clock twice and do little else.
func (p *Permit) recordedPlain() bool {
	b, w := p.b, p.word&^permitSlow
	// The settings of now, since Update need not change the word.
	r := b.settings()
	// A word that was held when the call began may look unchanged although the
	// failure that it is held for has been timed: see recordCountsLocked.
	if r.tape == nil || w&(admitMask&^flagTimed|failMask|flagHeld) != 0 {
		return false
	}
	// The clock first: failures that come between this and the look at the word
	// must not be recorded as before the success.
	ended := r.timer.real()
	if b.load() != w || r.slow(ended-p.began) || w&flagCounted != 0 && !b.countedAgainAt(r, w, ended) && !b.countedAt(w, ended) {
		return false
	}
	if c := b.cold.Load(); b.cfg.calls.Load() != nil || c != nil && c.calls.Load() != nil {
		b.observe(Success, false, ended-p.began)
	}
	what := tape.Is(uint8(Success), tape.Whole, 0).In(genOf(w))
	if n := b.number(r.tape); n != 0 {
		r.tape.Add(goroutineHash(), p.began, ended, what.Of(n))
	}
	return true
}

// countedAgainAt is countedFast for a success that is recorded, and ended at this
// time.
func (b *Breaker) countedAgainAt(r *compiled, w uint64, ended time.Duration) bool {
	win := b.win.Load()
	if win == nil || win.gen != genOf(w) || win.time.clock == nil || win.time.clock != r.step {
		return false
	}
	// The coarse clock may be late. The step follows from the recorded time.
	step, ok := r.step.cached()
	into := r.stepsBegan + ended - time.Duration(step)*r.step.width
	return ok && into >= 0 && into < r.step.width && win.time.good.own().countAgain(step)
}

// countedAt is counted for a success that is recorded, and ended at this time.
func (b *Breaker) countedAt(w uint64, ended time.Duration) bool {
	if w&failMask != 0 {
		return false
	}
	if w&flagCounted == 0 {
		return true
	}
	win := b.win.Load()
	if win == nil || win.gen != genOf(w) {
		return false
	}
	if win.success(b.stepAt(win, ended)) {
		b.noteClean(win)
	}
	return true
}

// stepAt returns the step of the window in which a call counts that ended at this
// time of the fine clock, or that ends now, if it is 0 because the call is not
// recorded. The fine clock exists only once something has asked for it.
func (b *Breaker) stepAt(win *window, at time.Duration) uint64 {
	if at == 0 {
		return win.step()
	}
	return win.stepAt(b.cfg.fine.get(b.cfg.clock), at)
}

// endedAt returns when a call ended that took so long and ends now.
func (p *Permit) endedAt(r *compiled, took time.Duration) time.Duration {
	if p.exactly() {
		return p.began + took
	}
	// began is not the beginning, or not on the real clock: recording began while
	// the call ran.
	return r.timer.real()
}

// recordSettled records a call that settle has judged. c holds what counting
// found out.
func (p *Permit) recordSettled(r *compiled, c tape.Call, o Outcome, took time.Duration, slow bool) {
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
	ok := b.countedAlone(p, o)
	if ok {
		rec.Ended = b.cfg.fine.get(b.cfg.clock).real()
		rec.What = tape.What(0).After(unitsOf(b.load()))
	}
	b.mu.Unlock()
	return ok
}

// recordCountsLocked notes in the record of a call that its outcome counts now,
// or comes too late to count. mu is held.
func (b *Breaker) recordCountsLocked(rec *tape.Call, p *Permit) {
	w := b.load()
	// Change the word before reading the clock: then a success that is timed
	// later sees that, and waits for mu.
	if stateOf(w) == Closed {
		atomic.OrUint64(&b.word, flagHeld) // no evidence of a key, so not by swapWord
	}
	rec.Ended, rec.What = b.cfg.fine.get(b.cfg.clock).real(), 0
	if !p.belongs(w) {
		rec.What = tape.Late
	}
}

// recordCountedLocked follows recordCountsLocked after the outcome has been
// judged. mu is held.
func (b *Breaker) recordCountedLocked(rec *tape.Call) {
	atomic.AndUint64(&b.word, ^flagHeld)
	rec.What = rec.What.After(unitsOf(b.load()))
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
