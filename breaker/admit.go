package breaker

import (
	"context"
	"time"
)

// This file decides whether a call may run, where a look at the word does not
// say so. The common path of a closed breaker does not come here.

// admit decides whether a call may run.
func (b *Breaker) admit(ctx context.Context) (Permit, error) {
	w := b.load()
	if w&flagShut != 0 {
		return b.turnAway(ctx)
	}
	over := ctx != nil && ctx.Err() != nil
	switch {
	case w&(stateMask|flagRamp) == withState(Closed):
		p := b.permit(w)
		p.tag |= tagChecked
		if over || w&flagBypass != 0 && markOf(ctx).kind == markBypass {
			p.tag |= tagIgnored // (I4)
		}
		return p, nil
	case over && stateOf(w) != Closed && w&flagForcedClosed == 0:
		return b.turnAway(ctx) // it would take a probe's place and show nothing
	case over:
		return Permit{b: b, word: w, tag: tagIgnored}, nil
	case w&flagBypass != 0 && markOf(ctx).kind == markBypass:
		return b.turnAway(ctx) // lets it by: it takes no probe's place (I4)
	}
	if b.riding(ctx) {
		return Permit{b: b, word: w, tag: tagIgnored}, nil
	}
	p, ok := b.admitLocking(mark{})
	if !ok {
		return b.turnAway(ctx)
	}
	return p, nil
}

// admitLocking admits a call while the breaker is half-open, due, ramping or
// overridden. A mark that is evidence lets it probe before the open time is
// over, and pass a ramp.
func (b *Breaker) admitLocking(m mark) (p Permit, ok bool) {
	b.mu.Lock()
	p, ok = b.admitLocked(m)
	b.mu.Unlock()
	p.whileTelling(b.deliver)
	return p, ok
}

// admitLocked moves a breaker whose open time is over to half-open, and leases
// a probe's place. mu is held.
func (b *Breaker) admitLocked(m mark) (Permit, bool) {
	now := b.cfg.clock.Now() // under the lock, so that records are dated in their order (I7)
	w := b.load()
	if w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	forced := w&flagForcedClosed != 0
	switch stateOf(w) {
	case Closed:
		if w&flagRamp != 0 && !b.rampOverLocked(now) && !b.cold.Load().ramp.admit(now) && !forced && m.kind != markProbe {
			b.recordRampRejected(now)
			return Permit{}, false
		}
		p := b.permit(b.load())
		p.tag |= tagChecked | tagNested
		return p, true
	case Open:
		early := !b.probeDueLocked(w, now)
		if early && m.kind != markProbe {
			b.shutLocked()
			return Permit{b: b, word: w, tag: tagUnjudged}, forced
		}
		t := new(Transition)
		if early {
			t.Reason = m.reason
		}
		b.stepLocked(&event{kind: evProbe, early: early}, now, t)
	}
	return b.leaseLocked(now, forced)
}

// leaseLocked gives the call one of the probes' places, if one is free. Behind
// a forced-closed override it runs without one, as no evidence. The breaker is
// half-open. mu is held.
func (b *Breaker) leaseLocked(now time.Time, forced bool) (Permit, bool) {
	c := b.cold.Load()
	p := b.permit(b.load())
	lease, ok := c.probes.take(b.settings(), now) // (I3)
	if !ok {
		p.tag |= tagUnjudged
		return p, forced
	}
	c.reject.Store(nil) // what remains of the lease has changed
	b.cfg.cap.moved(b, HalfOpen, c.probes.out[len(c.probes.out)-1].ends)
	p.tag |= tagChecked | tagNested | permitTag(lease)
	return p, true
}

// turnAway rejects, with the error prepared for this period, unless the call is
// marked to pass.
func (b *Breaker) turnAway(ctx context.Context) (Permit, error) {
	w := b.load()
	if w&flagBypass != 0 {
		if p, ok := b.bypassed(ctx); ok {
			return p, nil
		}
	}
	err := b.rejection()
	if w&flagObserved != 0 {
		b.observe(countRejected, false)
		if w&flagForcedOpen != 0 || w&(stateMask|flagRamp) != withState(Closed)|flagRamp {
			b.recordRejected()
		}
	}
	if w&flagWatched != 0 {
		b.notifyRejected(err)
	}
	return Permit{}, err
}

// announce tells the listeners that the call is about to run.
func (p *Permit) announce(ctx context.Context) {
	p.whileTelling(func() { p.b.notifyBefore(ctx) })
}

// whileTelling runs listeners before the call. Should one of them exit the
// goroutine, the permit is handed back (I2).
func (p *Permit) whileTelling(tell func()) {
	told := false
	defer func() {
		if !told {
			p.Ignore()
		}
	}()
	tell()
	told = true
}
