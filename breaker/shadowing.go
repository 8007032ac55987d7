package breaker

import (
	"sync/atomic"
	"time"
)

// This file keeps the shadows of a breaker, see shadow.go. A shadow is a second
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
		j.ended(at)
	}
	notifyFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		if l.ShadowChange != nil {
			l.ShadowChange(b, j.name, t)
		}
	})
}

// ended adds up the time that the shadow was open, if it was, until at. The swap
// lets one of several callers add it.
func (j *judge) ended(at int64) {
	if since := j.openSince.Swap(0); since != 0 {
		j.openFor.Add(at - since)
	}
}

// forgetShadows drops the judges of a key that its set forgets, and what they
// know of it. It takes no lock.
func (b *Breaker) forgetShadows() {
	c := b.cold.Load()
	if c == nil {
		return
	}
	w := c.shadows.Load()
	if w == nil || !c.shadows.CompareAndSwap(w, nil) {
		return
	}
	now := b.cfg.clock.Now()
	for _, j := range w.judges {
		j.ended(int64(now.Sub(j.since)) + 1)
	}
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
