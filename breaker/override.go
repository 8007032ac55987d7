package breaker

import (
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// This file sets and ends overrides. An override consists of bits in the word,
// which decide what calls see, and a value in the cold part, which has the
// actor, the reason and the timers. Breaker.mu guards both. The automatic state
// in the word stays as it is, so the automatic layer continues behind the
// override and applies again when it ends.

// override is a state that people put on top of the automatic state. Nothing
// automatic changes it, except the expiry that was set with it (I5).
type override struct {
	Override
	expires  time.Time    // monotonic (I9); zero: never
	halfway  *vtime.Timer // reminds listeners; nil if the override does not expire
	deadline *vtime.Timer // ends the override; nil if it does not expire
}

// overrideLocked sets an override, in place of one that may be set already. mu
// is held.
func (b *Breaker) overrideLocked(s State, why Order, now time.Time) {
	c := b.coldLocked()
	b.stopOverrideLocked()
	o := &override{Override: Override{State: s, Actor: why.Actor, Reason: why.Reason, Since: now}}
	c.override = o
	if why.For > 0 {
		// The timers pass o on: one that fires after o was replaced finds another
		// override and does nothing (I5).
		o.expires = now.Add(why.For)
		o.Expires = o.expires
		o.halfway = b.cfg.clock.AfterFunc(why.For/2, func() { b.remind(o) })
		o.deadline = b.cfg.clock.AfterFunc(why.For, func() { b.expire(o) })
	}
	from := effective(b.load())
	// The automatic state is not touched: only the effective state changes.
	b.recordLocked(&Transition{
		From: from, To: s, Cause: CauseOrder, Order: overrideVerb(s),
		Actor: why.Actor, Reason: why.Reason, For: max(0, why.For),
	}, now)
	// edit, not setWord: failures may be counted without the lock at the same
	// time. A single write replaces the bits of the old override, so no call is
	// admitted between two overrides that both reject (I5).
	b.edit(overrideMask|flagReject, overrideFlags(s))
	b.cfg.cap.moved(b, c.rejectsUntil(b.load()))
}

// overrideFlags returns the bits of the word for an override.
func overrideFlags(s State) uint64 {
	if s == ForcedOpen {
		return flagForcedOpen | flagReject
	}
	return flagForcedClosed
}

// overrideVerb returns the order that sets an override.
func overrideVerb(s State) Verb {
	if s == ForcedOpen {
		return VerbForceOpen
	}
	return VerbForceClosed
}

// stopOverrideLocked removes the override without a record. Its bits stay in
// the word until the caller stores what replaces them: a word without them
// could admit calls that neither the old nor the new state admits. mu is held.
func (b *Breaker) stopOverrideLocked() {
	c := b.cold.Load()
	if c == nil || c.override == nil {
		return
	}
	// Either timer may fire once more. Then expire and remind find that the
	// override is gone.
	stopTimer(&c.override.halfway)
	stopTimer(&c.override.deadline)
	c.override = nil
}

// overrideFlags returns the bits of the word for the current override. mu is
// held.
func (c *cold) overrideFlags() uint64 {
	if c.override == nil {
		return 0
	}
	return overrideFlags(c.override.State)
}

// liftLocked ends an override, with a record. If the automatic state is not
// closed, it continues in half-open, because what it knows is old. mu is held.
func (b *Breaker) liftLocked(t *Transition, now time.Time) {
	w := b.load()
	t.From = effective(w)
	b.stopOverrideLocked()
	// Closed and judged all the time: nothing else changes. flagReject can only
	// be the override's here, because a closed breaker does not reject.
	if stateOf(w) == Closed {
		t.To = Closed
		b.recordLocked(t, now)
		b.edit(overrideMask|flagReject, 0)
		b.cfg.cap.moved(b, time.Time{})
		return
	}
	// Half-open is a new period, so results from behind the override do not
	// count in it (I1). moveLocked stores a word without the override's bits,
	// since c.override is nil.
	a := auto{state: stateOf(w), units: unitsOf(w), attempt: b.cold.Load().attempt}
	to, _ := next(a, b.settings(), &event{kind: evHalfOpen})
	t.To = HalfOpen
	b.moveLocked(a, to, t, now)
}

// expire is the function of the deadline's timer. mu is not held.
func (b *Breaker) expire(o *override) {
	b.mu.Lock()
	// Otherwise the override was replaced just before the timer fired (I5).
	if c := b.cold.Load(); c.override == o {
		// With the actor and reason of the order that set the override.
		b.liftLocked(&Transition{Cause: CauseExpired, Order: overrideVerb(o.State), Actor: o.Actor, Reason: o.Reason}, b.cfg.clock.Now())
	}
	b.mu.Unlock()
	b.deliver()
}

// remind notifies listeners that half of an override's time has passed. It is
// the function of the halfway timer. mu is not held.
func (b *Breaker) remind(o *override) {
	b.mu.Lock()
	if c := b.cold.Load(); c.override == o && b.cfg.hasListeners(c) {
		reminder := o.Override
		c.queue.add(note{reminder: &reminder})
	}
	b.mu.Unlock()
	b.deliver()
}
