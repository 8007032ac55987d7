package breaker

import (
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// override is a state that people put on top of the automatic one. Automation
// never changes it (I5), but for the end that was set with it.
type override struct {
	Override
	expires  time.Time // monotonic (I9); zero: never
	halfway  *vtime.Timer
	deadline *vtime.Timer
}

// overrideLocked puts an override on, in place of one that is there. mu is
// held.
func (b *Breaker) overrideLocked(s State, why Order, now time.Time) {
	c := b.coldLocked()
	b.stopOverrideLocked()
	o := &override{Override: Override{State: s, Actor: why.Actor, Reason: why.Reason, Since: now}}
	c.override = o
	if why.For > 0 {
		o.expires = now.Add(why.For)
		o.Expires = o.expires
		o.halfway = b.cfg.clock.AfterFunc(why.For/2, func() { b.remind(o) })
		o.deadline = b.cfg.clock.AfterFunc(why.For, func() { b.expire(o) })
	}
	from := effective(b.load())
	b.recordLocked(&Transition{
		From: from, To: s, Cause: CauseOrder, Order: overrideVerb(s),
		Actor: why.Actor, Reason: why.Reason, For: max(0, why.For),
	}, now)
	b.edit(overrideMask|flagReject, overrideFlags(s))
}

func overrideFlags(s State) uint64 {
	if s == ForcedOpen {
		return flagForcedOpen | flagReject
	}
	return flagForcedClosed
}

func overrideVerb(s State) Verb {
	if s == ForcedOpen {
		return VerbForceOpen
	}
	return VerbForceClosed
}

// stopOverrideLocked takes the override off without a record. The word goes on
// saying it until the caller stores what comes instead: a word in between
// would let calls in that neither state admits. mu is held.
func (b *Breaker) stopOverrideLocked() {
	c := b.cold.Load()
	if c == nil || c.override == nil {
		return
	}
	stopTimer(&c.override.halfway)
	stopTimer(&c.override.deadline)
	c.override = nil
}

// overrideFlags is what the word must say of the override. mu is held.
func (c *cold) overrideFlags() uint64 {
	if c.override == nil {
		return 0
	}
	return overrideFlags(c.override.State)
}

// liftLocked ends an override, with a record. An automatic state that is not
// closed goes on through half-open: what it knows is old. mu is held.
func (b *Breaker) liftLocked(t *Transition, now time.Time) {
	w := b.load()
	t.From = effective(w)
	b.stopOverrideLocked()
	if stateOf(w) == Closed {
		t.To = Closed
		b.recordLocked(t, now)
		b.edit(overrideMask|flagReject, 0)
		return
	}
	a := auto{state: stateOf(w), units: unitsOf(w), attempt: b.cold.Load().attempt}
	to, _ := next(a, b.settings(), &event{kind: evHalfOpen})
	t.To = HalfOpen
	b.moveLocked(a, to, t, now)
}

// expire is the deadline's timer.
func (b *Breaker) expire(o *override) {
	b.mu.Lock()
	if c := b.cold.Load(); c.override == o {
		b.liftLocked(&Transition{Cause: CauseExpired, Order: overrideVerb(o.State), Actor: o.Actor, Reason: o.Reason}, b.cfg.clock.Now())
	}
	b.mu.Unlock()
	b.deliver()
}

// remind tells the listeners that half of an override's time is over.
func (b *Breaker) remind(o *override) {
	b.mu.Lock()
	if c := b.cold.Load(); c.override == o && b.cfg.hasListeners(c) {
		reminder := o.Override
		c.queue.add(note{reminder: &reminder})
	}
	b.mu.Unlock()
	b.deliver()
}
