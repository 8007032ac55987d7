package breaker

import (
	"context"
	"errors"
	"time"
)

// This file is what a call does for the shadows of its breaker. Most calls
// succeed, and leave nothing to write in any of the breakers: then each shadow
// costs two looks at its word.

// plainly ends the call of a shadow that its word w admitted, if the call
// succeeded and there is nothing else to do. It is what Do does.
func (j *judge) plainly(w uint64) bool {
	return j.b.load() == w && (w&countMask == 0 || j.b.countedFast(w) || j.b.counted(w, true))
}

// words are those of the judges of a call, by which they let it run.
type words [MaxShadows]uint64

// doShadowed is Do for a closed breaker with shadows whose calls are not timed. As
// long as nothing happens, the call needs no place among the flights.
func (b *Breaker) doShadowed(ctx context.Context, w uint64, s *shadows, fn func(context.Context) error) error {
	of := b.judges(s, false)
	var at words
	if of != nil {
		for i, j := range of.judges {
			if at[i] = j.b.load(); at[i]&admitMask != 0 {
				p := Permit{b: b, word: w}
				p.beginShadows(s)
				return p.run(ctx, fn)
			}
		}
	}
	// Field by field: a copy of a whole struct would wait for the stores to it.
	var g settleOnce
	g.p.b, g.p.word, g.running = b, w, true
	defer func() {
		if g.running {
			g.p.fly(s, of, &at)
			g.unwind()
		}
	}()
	err := fn(ctx)
	if err != nil || b.load() != w || !b.counted(w, true) {
		g.p.fly(s, of, &at)
		return g.end(ctx, err)
	}
	g.running = false
	if of != nil {
		for i, j := range of.judges {
			j.count(shadowSaw)
			if !j.plainly(at[i]) {
				_ = j.b.end(ctx, at[i], nil)
			}
		}
	}
	return nil
}

// fly gives the call a place among the flights, if it has none, and its shadows
// have been asked about it.
func (p *Permit) fly(s *shadows, of *watching, at *words) {
	if of == nil || p.tag.flying() {
		return
	}
	f := p.takeFlight(s, of)
	if f == nil {
		return
	}
	for i, j := range of.judges {
		f.calls[i].admitted(j.b, at[i])
	}
}

// takeFlight takes a place for the call. It returns nil if all of them are taken.
func (p *Permit) takeFlight(s *shadows, of *watching) *flight {
	f, tag := s.flights.take()
	if f == nil {
		for _, j := range of.judges {
			j.count(shadowMissed)
		}
		return nil
	}
	f.of = of
	p.tag |= tag
	return f
}

// admitted makes the permit of a shadow that lets the call run by a look at its
// word w.
func (x *shadowCall) admitted(b *Breaker, w uint64) {
	x.p.b, x.p.word, x.p.began, x.p.tag = b, w, 0, 0
	if w&settleMask != 0 {
		x.p.word |= permitSlow
	}
	x.runs = true
}

// begun asks the shadows about a call that has been admitted and is about to run.
// No lock is held.
func (p *Permit) begun() {
	if p.word&flagTimed == 0 {
		return
	}
	if r := p.b.settings(); r.shadows != nil {
		p.beginShadows(r.shadows)
	}
}

func (p *Permit) beginShadows(s *shadows) {
	// No evidence for a shadow either (I4).
	if p.tag&tagIgnored != 0 {
		return
	}
	of := p.b.judges(s, false)
	if of == nil {
		return
	}
	f := p.takeFlight(s, of)
	if f == nil {
		return
	}
	for i, j := range of.judges {
		w := j.b.load()
		if w&admitMask != 0 {
			p.askShadows(f, i)
			return
		}
		f.calls[i].admitted(j.b, w)
	}
}

// askShadows asks the shadows from the first on. One that begins half-open tells
// listeners. If one of them exits the goroutine, the call never runs, and the
// permit is handed back (I2).
func (p *Permit) askShadows(f *flight, first int) {
	returned := false
	defer func() {
		if !returned {
			p.Ignore()
		}
	}()
	for i := first; i < len(f.of.judges); i++ {
		// Allow, written out: it would allocate a permit, because the compiler
		// cannot know that a shadow has no shadows.
		x, b := &f.calls[i], f.of.judges[i].b
		x.p = Permit{b: b, word: b.load()}
		x.runs = x.p.word&settleMask == 0 || x.p.ask() == nil
	}
	returned = true
}

// flying reports whether the call has a place among the flights.
func (t permitTag) flying() bool { return t>>flightShift != 0 }

// shadowedPlain ends a call with shadows that succeeded and changed nothing in the
// real breaker. It returns false, and has done nothing, if there is more to do. No
// lock is held.
func (p *Permit) shadowedPlain() bool {
	b, w := p.b, p.word&^permitSlow
	if p.began != 0 || p.tag&(1<<flightShift-1)&^tagChecked != 0 || w&(admitMask&^flagTimed) != 0 || b.load() != w || !b.counted(w, true) {
		return false
	}
	tag := p.tag
	p.b = &settled
	b.endFlight(tag, Success, nil)
	return true
}

// endShadows tells the shadows how a call ended. No lock is held.
func (p *Permit) endShadows(o Outcome, err error) {
	b := p.b
	if p.tag.flying() {
		b.endFlight(p.tag, o, err)
		return
	}
	if o == Failure && p.tag&tagIgnored == 0 && b.cfg.owner != nil {
		if s := b.settings().shadows; s != nil {
			b.firstFailure(s, err)
		}
	}
}

// endFlight tells the shadows how the call ended whose place tag names.
func (b *Breaker) endFlight(tag permitTag, o Outcome, err error) {
	table := b.cfg.shadows.Load().flights
	f := table.end(tag)
	if f == nil {
		return // a copy of this permit has ended
	}
	// A listener may exit the goroutine.
	defer table.release(f, tag)
	if o == Failure {
		err = b.cfg.shadowError(err)
	}
	for i, j := range f.of.judges {
		x := &f.calls[i]
		j.count(shadowSaw)
		switch {
		case x.runs && o == Success:
			if x.p.began != 0 || x.p.tag != 0 || !j.plainly(x.p.word&^permitSlow) {
				x.p.Done(nil)
			}
		case x.runs:
			_ = x.p.Settle(nil, o, err) //nolint:staticcheck // no context: it is not over
		case o == Success:
			j.count(shadowRejectedGood)
		case o == Failure:
			j.count(shadowRejectedBad)
		default:
			j.count(shadowRejected)
		}
	}
}

// firstFailure gives a key its judges, and tells them of the failure that made
// them necessary. No lock is held.
func (b *Breaker) firstFailure(s *shadows, err error) {
	if c := b.cold.Load(); c != nil {
		if w := c.shadows.Load(); w != nil && w.of == s {
			return // they were not asked about this call
		}
	}
	err = b.cfg.shadowError(err)
	for _, j := range b.judges(s, true).judges {
		if p, e := j.b.Allow(); e == nil {
			j.count(shadowSaw)
			_ = p.Settle(nil, Failure, err) //nolint:staticcheck // no context: it is not over
		}
	}
}

// answeredShadows tells the shadows that the answer to a call has begun to arrive.
func (p *Permit) answeredShadows() {
	if !p.tag.flying() {
		return
	}
	f := p.b.cfg.shadows.Load().flights.of(p.tag)
	if f == nil {
		return
	}
	for i := range f.of.judges {
		if x := &f.calls[i]; x.runs {
			x.p.Answered()
		}
	}
}

// shadowsRefused takes note of a call that the real breaker rejected under word w:
// the shadows do not see it. No lock is held.
func (b *Breaker) shadowsRefused(w uint64) {
	c := b.cold.Load()
	if c == nil {
		return
	}
	x := c.shadows.Load()
	if x == nil {
		return
	}
	ramp := w&(stateMask|flagForcedOpen|flagRamp) == withState(Closed)|flagRamp
	for _, j := range x.judges {
		j.count(shadowRefused)
		// In a ramp each call that arrives decides which ones are admitted.
		if ramp && j.b.load()&(stateMask|flagRamp) == withState(Closed)|flagRamp {
			if p, err := j.b.Allow(); err == nil {
				p.Ignore()
			}
		}
	}
}

// errShadowed is what shadows take for the error of a call that failed. Its text
// decides nothing, so it is not asked for again.
var errShadowed = errors.New("the call failed")

// hintedFailure is errShadowed with the hint of a dependency that said when to
// come back.
type hintedFailure time.Duration

func (h hintedFailure) Error() string             { return errShadowed.Error() }
func (h hintedFailure) RetryAfter() time.Duration { return time.Duration(h) }

// shadowError returns the error that shadows get for err. It calls methods of err:
// no lock is held (I10).
func (c *config) shadowError(err error) error {
	if h := c.hint(err); h > 0 {
		return hintedFailure(h)
	}
	return errShadowed
}
