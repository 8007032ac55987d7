package breaker

import (
	"errors"
	"sync/atomic"
	"time"
)

// This file feeds the shadows of a breaker, see shadow.go. A shadow is a second
// breaker of the same engine. It is asked about every call that the real one lets
// run, and hears how the call ended, both outside every lock.
//
// Like a recording, shadows set flagTimed and flagObserved in the words of their
// breakers, so that calls leave the fast paths; without shadows, no call comes
// here.

// shadow is candidate settings, judged beside those of a breaker or a set.
type shadow struct {
	name  string
	cfg   *config // of the breakers that judge
	since time.Time
	ends  time.Time // zero: it does not end by itself

	counts striped // by the slots below
	trips  atomic.Uint64
	// Of the real breaker, while this shadow judged.
	realTrips, earlier atomic.Uint64
	lead, openFor      atomic.Int64 // in nanoseconds, of periods that are over
	blind              atomic.Int64
}

// Slots of shadow.counts.
const (
	shadowSaw          = iota // calls that it was asked about
	shadowRejectedGood        // of them: it would have rejected the call, which succeeded
	shadowRejectedBad         // the same, and the call failed
	shadowRejected            // the same, and the call was no evidence
	shadowRefused             // calls that the real breaker rejected
	shadowMissed              // calls for which there was no place in flights
)

func (s *shadow) count(slot int) {
	n := &s.counts.own()[slot]
	if old := n.Load(); !n.CompareAndSwap(old, old+1) {
		s.counts.contended()
		s.counts.own()[slot].Add(1)
	}
}

// shadows is those of a breaker or set. It is never modified, except for the
// places of flights.
type shadows struct {
	list    []*shadow
	flights *flights // the same for all later lists: calls in flight have places there
	always  bool     // keys are judged from their first call on, see judges
}

// judge is the breaker of one shadow beside one real breaker.
type judge struct {
	*shadow
	b         *Breaker
	openSince atomic.Int64 // since 1 ns before shadow.since, in nanoseconds; 0: closed
}

// watching is the judges of one real breaker. Only blindSince changes.
type watching struct {
	of     *shadows
	judges []*judge // one for each of of.list
	// blindSince is since when the real breaker has not been closed, so that calls
	// were rejected unseen; zero: it is closed. Breaker.mu of the real one guards
	// it.
	blindSince time.Time
}

// newJudge returns a judge that knows nothing yet.
func (s *shadow) newJudge(b *Breaker) *judge {
	j := &judge{shadow: s, b: newBreaker(s.cfg, "")}
	l := &Listener{StateChange: func(_ *Breaker, t Transition) { j.moved(b, t) }}
	all := []*Listener{l}
	j.b.mu.Lock()
	defer j.b.mu.Unlock()
	j.b.coldLocked().listeners.Store(&all)
	return j
}

// moved takes note of a transition of the shadow, and tells the listeners of the
// real breaker. No lock is held.
func (j *judge) moved(b *Breaker, t Transition) {
	at := int64(t.At.Sub(j.since)) + 1
	switch {
	case t.From == Closed:
		j.openSince.Store(at)
		j.trips.Add(1)
	case t.To == Closed:
		j.openFor.Add(at - j.openSince.Swap(0))
	}
	notifyFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		if l.ShadowChange != nil {
			l.ShadowChange(b, j.name, t)
		}
	})
}

// judges returns the judges of the breaker, or nil if it has none yet. A key gets
// its own with its first failure: until then a rule that counts failures knows
// nothing that a new breaker does not know. Where a shadow has a window, it needs
// the successes as well, so a key gets them with its first call. No lock is held.
func (b *Breaker) judges(s *shadows, failed bool) *watching {
	if c := b.cold.Load(); c != nil {
		if w := c.shadows.Load(); w != nil && w.of == s {
			return w
		}
	}
	if b.cfg.owner != nil && !failed && !s.always {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watchLocked(s)
}

// watchLocked brings the judges up to date with the shadows. mu is held.
func (b *Breaker) watchLocked(s *shadows) *watching {
	c := b.coldLocked()
	was := c.shadows.Load()
	if was != nil && was.of == s {
		return was
	}
	if len(s.list) == 0 {
		c.shadows.Store(nil)
		return nil
	}
	w := &watching{of: s}
	if blinds(effective(b.load())) {
		w.blindSince = b.cfg.clock.Now()
	}
	for _, x := range s.list {
		j := was.judge(x)
		if j == nil {
			j = x.newJudge(b)
		}
		w.judges = append(w.judges, j)
	}
	was.seesLocked(b.cfg.clock.Now())
	c.shadows.Store(w)
	return w
}

// judge returns the judge of a shadow, or nil.
func (w *watching) judge(s *shadow) *judge {
	if w != nil {
		for _, j := range w.judges {
			if j.shadow == s {
				return j
			}
		}
	}
	return nil
}

// blinds reports whether a breaker in this state rejects calls that a shadow does
// not see.
func blinds(s State) bool { return s == Open || s == HalfOpen || s == ForcedOpen }

// seesLocked ends a blind period. The real breaker's mu is held.
func (w *watching) seesLocked(now time.Time) {
	if w == nil || w.blindSince.IsZero() {
		return
	}
	for _, j := range w.judges {
		j.blind.Add(int64(now.Sub(later(w.blindSince, j.since))))
	}
	w.blindSince = time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// shadowsMovedLocked takes note of a transition of the real breaker. mu is held.
func (c *cold) shadowsMovedLocked(t *Transition) {
	w := c.shadows.Load()
	if w == nil || t.Shadow {
		return
	}
	switch blind := blinds(t.To); {
	case blind && w.blindSince.IsZero():
		w.blindSince = t.At
	case !blind:
		w.seesLocked(t.At)
	}
	if t.From != Closed || t.To != Open || t.Cause == CauseOrder {
		return
	}
	for _, j := range w.judges {
		j.realTrips.Add(1)
		if since := j.openSince.Load(); since != 0 {
			j.earlier.Add(1)
			j.lead.Add(int64(t.At.Sub(j.since)) + 1 - since)
		}
	}
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
	w := p.b.judges(s, false)
	if w == nil {
		return
	}
	f, tag := s.flights.take()
	if f == nil {
		for _, j := range w.judges {
			j.count(shadowMissed)
		}
		return
	}
	f.of = w
	p.tag |= tag
	// A shadow that begins half-open tells listeners. If one of them exits the
	// goroutine, the call never runs, and the permit is handed back (I2).
	returned := false
	defer func() {
		if !returned {
			p.Ignore()
		}
	}()
	for i, j := range w.judges {
		// Allow, written out: it would allocate a permit, because the compiler
		// cannot know that a shadow has no shadows.
		x := &f.calls[i]
		x.p = Permit{b: j.b, word: j.b.load()}
		x.runs = x.p.word&settleMask == 0 || x.p.ask() == nil
	}
	returned = true
}

// flying reports whether shadows have been asked about the call.
func (t permitTag) flying() bool { return t>>flightShift != 0 }

// endShadows tells the shadows how a call ended. No lock is held.
func (p *Permit) endShadows(r *compiled, o Outcome, err error) {
	b := p.b
	switch {
	case p.tag.flying():
	case o == Failure && r.shadows != nil && p.tag&tagIgnored == 0 && b.cfg.owner != nil:
		b.firstFailure(r.shadows, err)
		return
	default:
		return
	}
	table := b.cfg.shadows.Load().flights
	f := table.end(p.tag)
	if f == nil {
		return // a copy of this permit has ended
	}
	// A listener may exit the goroutine.
	defer table.release(f, p.tag)
	if o == Failure {
		err = b.cfg.shadowError(err)
	}
	for i, j := range f.of.judges {
		x := &f.calls[i]
		j.count(shadowSaw)
		switch {
		case x.runs && o == Success:
			x.p.Done(nil)
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
