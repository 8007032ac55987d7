package breaker

import (
	"math"
	"strings"
	"time"
)

// settle tells the breaker how the call of this permit ended, and returns what
// the caller is to get. It is called once for each permit.
func (p *Permit) settle(o Outcome, err error) error {
	b := p.b
	took, slow := p.took()
	slow = slow && o != Ignored
	quick := o == Success && !slow
	if p.tag&tagUnjudged == 0 && (!quick || !b.passed(p)) {
		opened := b.judge(p, o, slow, took, err)
		if opened != nil && err != nil {
			err = &tripError{open: b.cfg.rejection(opened), own: err}
		}
	}
	b.cfg.observed(o, slow)
	b = p.b // another one, if its set forgot b while the call ran
	if p.word&flagWatched != 0 || b.load()&flagWatched != 0 {
		b.notifySettled(o, err)
	} else {
		b.deliver()
	}
	return err
}

// passed takes note of a quick success without the lock, where that can be
// done: the breaker is closed and no failure is on record.
func (b *Breaker) passed(p *Permit) bool {
	w := b.load()
	if genOf(w) != genOf(p.word) && p.tag&tagLate == 0 {
		return true // of another generation: no evidence (I1)
	}
	if w&stateMask != 0 || p.tag&tagLate != 0 {
		return false
	}
	if w&flagGone != 0 {
		return !b.cfg.home.succeeded(b)
	}
	return b.counted(w, false)
}

// counted counts a quick success of a closed breaker that is at word w, if it
// counts any; for those who observe too, unless the caller will. It reports
// false, having counted nothing, when that takes the lock.
func (b *Breaker) counted(w uint64, observe bool) bool {
	if w&failMask != 0 {
		return false // it ends a row of failures
	}
	if w&flagCounted != 0 {
		win := b.win.Load()
		if win == nil || win.gen != genOf(w) {
			return false // it is just being replaced
		}
		// First window.success, written out here for what is common: nobody
		// else in the cell, and a step that others have counted in.
		done := false
		if t := &win.time; t.clock != nil {
			step, ok := t.clock.glance()
			slot := &t.good.mine().slots[step%windowBuckets]
			if old := slot.Load(); ok && old>>32 == step && uint32(old) < math.MaxUint32 {
				if done = slot.CompareAndSwap(old, old+1); !done {
					t.good.met()
				}
			}
		}
		if !done && win.success() {
			b.noteClean(win)
		}
	}
	if observe && w&flagObserved != 0 {
		b.cfg.calls.Load().add(Success)
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
// of the open period that this outcome began, if it did.
func (b *Breaker) judge(p *Permit, o Outcome, slow bool, took time.Duration, err error) *OpenError {
	if b.countedAlone(p, o) {
		return nil
	}
	e := event{kind: evSuccess, slow: slow}
	text := ""
	if o == Failure {
		// The error's methods are user code: before the lock (I10).
		e.kind = evFailure
		text = b.cfg.errorText(err)
		e.hint = b.cfg.hint(err)
	}
	b = b.lockCurrent(p)
	opened, counts := b.judgeLocked(p, o, &e, text, took)
	open := b.noticedLocked(opened)
	b.mu.Unlock()
	if !opened && counts.Calls > 0 && len(b.cfg.custom) > 0 {
		open = b.judgeCustom(p, counts)
	}
	return open
}

// noticedLocked is the rejection of the open period that has just begun, if one
// has and the caller is to get it. Behind an override nobody notices. mu is
// held.
func (b *Breaker) noticedLocked(opened bool) *OpenError {
	if !opened || !b.cfg.errorOnTrip || effective(b.load()) != Open {
		return nil
	}
	return b.rejectionLocked()
}

// lockCurrent locks the breaker that stands for b now.
func (b *Breaker) lockCurrent(p *Permit) *Breaker {
	for {
		b.mu.Lock()
		w := b.load()
		if w&flagGone == 0 {
			return b
		}
		goneAt := b.cold.Load().goneAt
		b.mu.Unlock()
		old := b
		b = old.cfg.home.adopt(old)
		if b != old {
			p.b = b
			p.rebase(b, p.belongs(w), goneAt)
		}
	}
}

// rebase carries the permit of a forgotten breaker over to the one made since:
// to its first stretch, which goes on from the last one of the forgotten; or to
// none if that is over, or if the permit was of an earlier one (I1). What moved
// after the forgetting has a newer generation than goneAt.
func (p *Permit) rebase(b *Breaker, ofLast bool, goneAt uint32) {
	p.word = b.load()
	if !ofLast || int32(genOf(p.word)-goneAt) > 0 {
		p.word -= withGen(1)
	}
}

// belongs reports whether an outcome counts for the generation under way (I1).
func (p *Permit) belongs(w uint64) bool {
	if p.tag&tagLate != 0 {
		// Generations of a set grow over all its keys: this one had begun when
		// the call was admitted.
		return stateOf(w) == Closed && int32(genOf(w)-genOf(p.word)) <= 0
	}
	return genOf(w) == genOf(p.word)
}

func (b *Breaker) judgeLocked(p *Permit, o Outcome, e *event, text string, took time.Duration) (opened bool, counts Counts) {
	w := b.load()
	if !p.belongs(w) {
		return false, Counts{}
	}
	var now time.Time // most outcomes need none
	if stateOf(w) == HalfOpen {
		if now = time.Now(); !b.cold.Load().probes.settle(p.tag.probe(), now) {
			return false, Counts{} // its lease ran out (I2)
		}
	}
	if o == Ignored {
		return false, Counts{} // (I4)
	}
	if win := b.win.Load(); win != nil && stateOf(w) == Closed {
		if o == Failure || e.slow {
			win.bad(o == Failure, e.slow)
			e.counts = win.counts()
			if !win.clean() && w&flagCounted == 0 {
				b.edit(0, flagCounted)
			}
		} else if w&flagCounted != 0 {
			win.success()
		}
	}
	if o == Failure && b.worthKeeping(w) {
		b.coldLocked().errors.add(text, took)
	}
	return b.stepLocked(e, now, nil), e.counts
}

// worthKeeping reports whether the record of a trip could name an error of now.
// What is far from opening was counted without the lock: a key that has failed
// once or twice need not pay for a cold part.
func (b *Breaker) worthKeeping(w uint64) bool {
	return stateOf(w) != Closed || b.win.Load() != nil || b.rules().FailMax > 0
}

// judgeCustom asks the program's own rules, outside the lock, and opens if one
// says so and the generation is still the same.
func (b *Breaker) judgeCustom(p *Permit, counts Counts) *OpenError {
	name, ok := b.cfg.askCustom(counts)
	if !ok {
		return nil
	}
	b = b.lockCurrent(p) // its set may have forgotten it while the rule ran
	defer b.mu.Unlock()
	if !p.belongs(b.load()) {
		return nil
	}
	return b.noticedLocked(b.stepLocked(&event{kind: evRule, rule: name, counts: counts}, time.Time{}, nil))
}

// askCustom runs the program's rules; one that panics does not open.
func (c *config) askCustom(counts Counts) (name string, open bool) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("rule", p)
			open = false
		}
	}()
	for _, r := range c.custom {
		if r.open(counts) {
			return r.name, true
		}
	}
	return "", false
}

// RetryAfterHinter is an error that carries the dependency's word on when it
// wants to be asked again, such as HTTP's Retry-After. A failure that trips
// the breaker and has one in its tree lengthens the open time to it, up to
// Settings.ResetMax.
type RetryAfterHinter interface {
	RetryAfter() time.Duration
}

// hint is the retry-after that err carries, or 0.
func (c *config) hint(err error) (d time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("error", p)
			d = 0
		}
	}()
	if h := findHint(err); h != nil {
		return h.RetryAfter()
	}
	return 0
}

// findHint is errors.As without its allocation, as every failure passes here.
func findHint(err error) RetryAfterHinter {
	for err != nil {
		if h, ok := err.(RetryAfterHinter); ok {
			return h
		}
		switch u := err.(type) { //nolint:errorlint // this is the walk through the wrapped errors
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				if h := findHint(e); h != nil {
					return h
				}
			}
			return nil
		default:
			return nil
		}
	}
	return nil
}

const maxErrorText = 200

// errorText is what the record keeps of err.
func (c *config) errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("error", p)
			text = "an error whose text panics"
		}
	}()
	text = err.Error()
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "..." // the cut may be within a character
	}
	return text
}
