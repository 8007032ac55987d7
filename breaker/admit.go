package breaker

import (
	"context"
	"time"
)

// This file decides whether a call may run when the word alone does not say so:
// the breaker is open or half-open, in a ramp or overridden, or it checks
// contexts. A call on a plainly closed breaker does not come here.

// admit decides whether a call may run. It takes mu only where the decision has
// to change something: to begin half-open, lease a probe or advance a ramp.
func (b *Breaker) admit(ctx context.Context) (Permit, error) {
	w := b.load()
	// flagReject means that the decision is made and still valid, so neither
	// the clock nor the lock is needed.
	if w&flagReject != 0 {
		return b.rejectCall(ctx)
	}
	// A call whose context is over before it begins says nothing about the
	// dependency (I4). tagChecked records that this was checked, see
	// deadline.go.
	over := ctx != nil && ctx.Err() != nil
	switch {
	case w&(stateMask|flagRamp) == withState(Closed):
		// Closed, perhaps behind forced-closed, and not in a ramp: the call
		// runs.
		p := b.permit(w)
		p.tag |= tagChecked
		if over || w&flagBypass != 0 && markOf(ctx).kind == markBypass {
			p.tag |= tagIgnored // not evidence (I4)
		}
		return p, nil
	case over && stateOf(w) != Closed && w&flagForcedClosed == 0:
		// The call would occupy a probe's place and prove nothing.
		return b.rejectCall(ctx)
	case over:
		// In a ramp or behind forced-closed the call does no harm: it runs, but
		// is not judged (I4).
		return Permit{b: b, word: w, tag: tagIgnored}, nil
	case w&flagBypass != 0 && markOf(ctx).kind == markBypass:
		// rejectCall lets marked work pass without taking a probe's place (I4).
		return b.rejectCall(ctx)
	}
	// A nested call: the outer call holds the place and will be judged. Judging
	// both would count one probe twice.
	if b.belongsToCall(ctx) {
		return Permit{b: b, word: w, tag: tagIgnored}, nil
	}
	p, ok := b.admitLocking(mark{})
	if !ok {
		return b.rejectCall(ctx)
	}
	return p, nil
}

// admitLocking admits a call while the breaker is half-open, due, in a ramp or
// overridden. A mark made by WithBypassProbe lets the call probe before the open
// time is over, and pass a ramp. mu is not held.
func (b *Breaker) admitLocking(m mark) (p Permit, ok bool) {
	b.mu.Lock()
	p, ok = b.admitLocked(m)
	b.mu.Unlock()
	// Listeners are notified of the move to half-open before the probe runs. mu
	// is released by now (I10).
	p.releaseOnExit(b.deliver)
	return p, ok
}

// admitLocked moves a breaker whose open time is over to half-open, and leases a
// probe's place to the call. mu is held.
func (b *Breaker) admitLocked(m mark) (Permit, bool) {
	// Read under the lock, so that records are dated in the order in which they
	// are made (I7).
	now := b.cfg.clock.Now()
	w := b.load()
	if w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	forced := w&flagForcedClosed != 0
	switch stateOf(w) {
	case Closed:
		// The order matters: each call must advance the ramp's credit, whether
		// or not an override admits it anyway. A mark comes here only when the
		// call has advanced it and was rejected.
		if w&flagRamp != 0 && !b.rampOverLocked(now) && m.kind != markProbe && !b.cold.Load().ramp.admit(now) && !forced {
			return Permit{}, false
		}
		// Load again: rampOverLocked may have changed the word.
		p := b.permit(b.load())
		p.tag |= tagChecked | tagNested
		return p, true
	case Open:
		early := !b.probeDueLocked(w, now)
		if early && m.kind != markProbe {
			// From now on calls are rejected without this lock, until the timer
			// fires. Behind forced-closed the call runs, but it is not judged.
			b.setRejectLocked()
			return Permit{b: b, word: w, tag: tagUnjudged}, forced
		}
		t := new(Transition)
		if early {
			t.Reason = m.reason
		}
		// The call that asks begins half-open, and becomes the first probe (I2).
		b.stepLocked(&event{kind: evProbe, early: early}, now, t)
	}
	return b.leaseLocked(now, forced)
}

// leaseLocked gives the call a probe's place if one is free. Behind
// forced-closed a call without a place still runs, but is not judged. The
// breaker is half-open. mu is held.
func (b *Breaker) leaseLocked(now time.Time, forced bool) (Permit, bool) {
	c := b.cold.Load()
	p := b.permit(b.load())
	lease, ok := c.probes.take(b.settings(), now) // never more than Probes at a time (I3)
	if !ok {
		p.tag |= tagUnjudged
		return p, forced
	}
	// The prepared rejection says how long until a place is free, which has just
	// changed.
	c.reject.Store(nil)
	// A breaker with a probe out counts as open for the cap until the lease
	// ends.
	b.cfg.cap.moved(b, c.rejectsUntil(b.load()))
	p.tag |= tagChecked | tagNested | permitTag(lease)
	return p, true
}

// rejectCall rejects the call with the error prepared for this period, unless
// the call is marked to bypass the breaker. mu is not held, since listeners and
// WithOpenError run here (I10).
func (b *Breaker) rejectCall(ctx context.Context) (Permit, error) {
	w := b.load()
	if w&flagBypass != 0 {
		if p, ok := b.bypassed(ctx); ok {
			return p, nil
		}
	}
	// Rejections are observed and reported, but never counted as outcomes (I6).
	err := b.rejection()
	if w&flagObserved != 0 {
		b.observe(countRejected, false)
	}
	if w&flagWatched != 0 {
		b.notifyRejected(err)
	}
	return Permit{}, err
}

// announce calls BeforeCall listeners.
func (p *Permit) announce(ctx context.Context) {
	p.releaseOnExit(func() { p.b.notifyBefore(ctx) })
}

// releaseOnExit runs listeners before the call. If one of them exits the
// goroutine, the call will never run, so the permit is handed back: otherwise a
// probe's place would be lost until its lease ends (I2).
func (p *Permit) releaseOnExit(tell func()) {
	returned := false
	defer func() {
		if !returned {
			p.Ignore()
		}
	}()
	tell()
	returned = true
}
