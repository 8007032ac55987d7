package breaker

import (
	"context"
	"time"
)

// run makes the call under the permit.
func (p Permit) run(ctx context.Context, fn func(context.Context) error) error {
	g := slowGuard{p: p}
	if p.word&flagWatched != 0 {
		g.p.announce(ctx)
	}
	g.running = true
	defer g.unwind()
	return g.end(ctx, fn(ctx))
}

// announce tells the listeners that the call is about to run.
func (p *Permit) announce(ctx context.Context) {
	p.while(func() { p.b.notifyBefore(ctx) })
}

// while tells listeners something before the call runs. Should one of them exit
// the goroutine, the permit goes back (I2).
func (p *Permit) while(tell func()) {
	told := false
	defer func() {
		if !told {
			p.Ignore()
		}
	}()
	tell()
	told = true
}

// admit decides whether a call may run.
func (b *Breaker) admit(ctx context.Context) (Permit, error) {
	b = b.current()
	w := b.load()
	switch {
	case w&flagShut != 0:
		return b.turnAway(ctx)
	case w&(stateMask|flagRamp) == withState(Closed):
		return b.permit(w), nil
	}
	if bypasses.Load() && bypassing(ctx) == bypassPlain {
		return b.turnAway(ctx) // lets it by: no evidence, it takes no probe's place (I4)
	}
	p, ok := b.admitLocking(bypass{})
	if !ok {
		return b.turnAway(ctx)
	}
	return p, nil
}

// admitLocking admits a call while the breaker is half-open, due, ramping or
// overridden. A mark that is evidence lets it probe before the open time is
// over.
func (b *Breaker) admitLocking(m bypass) (p Permit, ok bool) {
	now := time.Now()
	b.mu.Lock()
	p, ok = b.admitLocked(now, m)
	b.mu.Unlock()
	p.while(b.deliver)
	return p, ok
}

func (b *Breaker) admitLocked(now time.Time, m bypass) (Permit, bool) {
	w := b.load()
	if w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	forced := w&flagForcedClosed != 0
	switch stateOf(w) {
	case Closed:
		if w&flagRamp != 0 && !b.rampOverLocked(now) && !b.cold.Load().ramp.admit(now) && !forced {
			return Permit{}, false
		}
		return b.permit(b.load()), true
	case Open:
		early := !b.probeDueLocked(w, now)
		if early && m.kind != bypassCounted {
			b.shutLocked()
			return Permit{b: b, word: w, tag: tagUnjudged}, forced
		}
		t := new(Transition)
		if early {
			t.Text = m.reason
		}
		b.stepLocked(&event{kind: evProbe, early: early}, now, t)
	}
	c := b.cold.Load()
	r := b.rules()
	p := b.permit(b.load())
	lease := c.probes.take(r.Probes, now, r.ProbeTimeout)
	p.tag |= permitTag(lease)
	if lease == 0 {
		return Permit{b: b, word: w, tag: tagUnjudged}, forced
	}
	return p, true
}

// turnAway rejects, with the error prepared for this open period, unless the
// call is marked to pass.
func (b *Breaker) turnAway(ctx context.Context) (Permit, error) {
	if bypasses.Load() {
		if p, ok := b.letBy(ctx); ok {
			return p, nil
		}
	}
	w := b.load()
	err := b.rejection()
	if w&flagObserved != 0 {
		b.cfg.observed(countRejected, false)
	}
	if w&flagWatched != 0 {
		b.notifyRejected(err)
	}
	return Permit{}, err
}
