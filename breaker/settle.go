package breaker

import (
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// This file is what the end of a call does to its breaker. Where the outcome
// decides nothing, and where the breaker merely counts, no lock is taken.

// settle tells the breaker how the call of this permit ended, and returns what
// the caller is to get. It is called once for each permit, but for a probe that
// is Answered and goes on.
func (p *Permit) settle(o Outcome, err error) error {
	b := p.b
	if b.cfg == nil {
		return err // the zero Breaker judges nothing
	}
	if p.tag&tagIgnored != 0 {
		o = Ignored // (I4)
	}
	r := b.settings()
	took, _ := p.took()
	slow := o != Ignored && r.slow(took)
	var rec *tape.Call // nil: it is not recorded
	if r.tape != nil {
		rec = new(tape.Call)
	}
	if p.tag&tagUnjudged == 0 {
		if plain := o == Success && !slow; !plain || !b.countedPlain(p, rec) {
			opened := b.judge(p, o, slow, took, err, rec)
			if opened != nil && err != nil {
				err = &tripError{open: b.cfg.rejection(opened), own: err}
			}
		}
	}
	b.observe(o, slow)
	if rec != nil {
		p.recordSettled(r, rec, o, took, slow)
	}
	if p.word&flagWatched != 0 || b.load()&flagWatched != 0 {
		b.notifySettled(o, err)
	} else {
		b.deliver()
	}
	return err
}

// countedPlain takes note of a success that was not slow, where that needs no
// lock: the breaker is closed and no failure is on count.
func (b *Breaker) countedPlain(p *Permit, rec *tape.Call) bool {
	w := b.load()
	if !p.belongs(w) {
		if rec != nil {
			rec.What |= tape.Late
		}
		return true // of another period: no evidence (I1)
	}
	return w&stateMask == 0 && b.counted(w, false)
}

// counted counts a success, not slow, of a closed breaker that is at word w, if
// it counts any; for Observe too, unless the caller will. It reports false,
// having counted nothing, when that takes the lock or changes the word.
func (b *Breaker) counted(w uint64, observe bool) bool {
	if w&failMask != 0 {
		return false // it takes failures back
	}
	if w&flagCounted != 0 {
		win := b.win.Load()
		if win == nil || win.gen != genOf(w) {
			return false // it is just being replaced
		}
		if !win.countedFast() && win.success() {
			b.noteClean(win)
		}
	}
	if observe && w&flagObserved != 0 {
		b.observe(Success, false)
	}
	return true
}

// noteClean stops the counting of successes: the window holds as many as it
// can, and nothing bad.
func (b *Breaker) noteClean(win *window) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.win.Load() == win && win.clean() {
		b.edit(flagCounted, 0)
	}
}

// judge counts an outcome that may change something. It returns the rejection
// of the open period that this outcome began, if the caller is to get it.
func (b *Breaker) judge(p *Permit, o Outcome, slow bool, took time.Duration, err error, rec *tape.Call) *OpenError {
	if !slow && b.countedAlone(p, o, rec) {
		return nil
	}
	e := event{kind: evSuccess, slow: slow}
	text := ""
	switch o {
	case Failure:
		// The error's methods are user code: before the lock (I10).
		e.kind = evFailure
		text = b.cfg.errorText(err)
		e.hint = b.cfg.hint(err)
	case Canceled:
		e.kind = evCanceled
	}
	b.mu.Lock()
	var now time.Time // most outcomes need none
	if rec != nil {
		now = b.cfg.clock.Now()
		b.recordCounts(rec, now, p)
	}
	opened, counts := b.judgeLocked(p, o, &e, text, took, now)
	open := b.noticedLocked(opened)
	if rec != nil {
		rec.What = rec.What.After(unitsOf(b.load()))
	}
	b.mu.Unlock()
	if !opened && counts.Calls > 0 && len(b.cfg.rules) > 0 {
		open = b.judgeRules(p, counts)
	}
	return open
}

// judgeLocked gives a probe's place back, counts, and decides. The counts are
// those of the window, if it was asked. now is zero where no one has asked for it.
// mu is held.
func (b *Breaker) judgeLocked(p *Permit, o Outcome, e *event, text string, took time.Duration, now time.Time) (opened bool, counts Counts) {
	w := b.load()
	if !p.belongs(w) {
		return false, Counts{} // (I1)
	}
	if stateOf(w) == HalfOpen && !b.freeLocked(p, o) {
		return false, Counts{}
	}
	if o == Ignored || o == Canceled && !e.slow {
		return false, Counts{} // (I4)
	}
	r := b.settings()
	if stateOf(w) == Closed {
		if o == Failure && r.dated {
			now = b.orNow(now)
			b.dateLocked(r, e, w, now)
		}
		b.countLocked(r, o, e, w)
	}
	if o == Failure && b.worthKeeping(w) {
		b.coldLocked().errors.add(text, took)
	}
	return b.stepLocked(e, now, nil), e.counts
}

// freeLocked frees the place of a probe, and reports whether its outcome counts:
// once for each probe. mu is held.
func (b *Breaker) freeLocked(p *Permit, o Outcome) bool {
	if p.tag&tagProbed != 0 {
		return o != Success // it was one already
	}
	c := b.cold.Load()
	if !c.probes.free(p.tag.probe()) {
		return false
	}
	c.reject.Store(nil)
	c.signalLocked()
	return true
}

// countLocked enters an outcome into the window, if there is one. The counts
// that the rules are put to go into the event. mu is held.
func (b *Breaker) countLocked(r *compiled, o Outcome, e *event, w uint64) {
	win := b.win.Load()
	if win == nil {
		return
	}
	if o == Success && !e.slow {
		if w&flagCounted != 0 {
			win.success()
		}
		return
	}
	win.bad(o == Failure, e.slow)
	e.counts = win.counts()
	if o == Failure && r.Confidence > 0 {
		e.recent = win.surelyOver(r.FailureRate, r.Confidence)
	}
	if !win.clean() && w&flagCounted == 0 {
		b.edit(0, flagCounted)
	}
	b.keepLocked()
}

// dateLocked tells the event what FailFor and FailWithin have to say of a
// failure of now. mu is held.
func (b *Breaker) dateLocked(r *compiled, e *event, w uint64, now time.Time) {
	e.lapsed = b.rowLapsedLocked(r, now)
	c := b.coldLocked()
	if unitsOf(w) == 0 || e.lapsed {
		c.rowBegan = now
	}
	c.rowLast = now
	e.early = now.Sub(c.rowBegan) < r.FailFor
}

// rowLapsedLocked reports whether the failures on count are too old to count.
// mu is held.
func (b *Breaker) rowLapsedLocked(r *compiled, now time.Time) bool {
	c := b.cold.Load()
	return r.FailWithin > 0 && c != nil && !c.rowLast.IsZero() && now.Sub(c.rowLast) > r.FailWithin
}

// worthKeeping reports whether the record of a trip could name an error of now.
// What is far from opening was counted without the lock: a key that has failed
// once or twice need not pay for a cold part.
func (b *Breaker) worthKeeping(w uint64) bool {
	return stateOf(w) != Closed || b.win.Load() != nil || b.settings().FailMax > 0
}

// noticedLocked is the rejection of the open period that has just begun, if one
// has and the caller is to get it. Behind an override no one notices. mu is
// held.
func (b *Breaker) noticedLocked(opened bool) *OpenError {
	if !opened || !b.cfg.errorOnTrip || effective(b.load()) != Open {
		return nil
	}
	return b.rejectionLocked()
}

// judgeRules asks the program's own rules, outside the lock, and opens if one
// says so and the period is still the same.
func (b *Breaker) judgeRules(p *Permit, counts Counts) *OpenError {
	name, ok := b.cfg.askRules(counts)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.belongs(b.load()) {
		return nil
	}
	return b.noticedLocked(b.stepLocked(&event{kind: evRule, rule: name, counts: counts}, time.Time{}, nil))
}

// askRules runs the program's rules; one that panics does not open.
func (c *config) askRules(counts Counts) (name string, open bool) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("rule", p)
			open = false
		}
	}()
	for _, r := range c.rules {
		if r.open(counts) {
			return r.name, true
		}
	}
	return "", false
}
