package breaker

import (
	"context"
	"time"
)

// WaitReady waits until the breaker could admit a call, and returns nil. It
// returns at once while the breaker is closed; else when the open time is over,
// a probe's place is free, or an override admits calls. If ctx is over first,
// it returns ctx's error; a nil ctx is never over.
//
// It is meant for a consumer that pauses while its dependency is down, instead
// of taking work and failing it. It reserves nothing: if several goroutines
// wait, all of them return, the first one to call probes, and the others may be
// rejected and wait again. It costs the breaker nothing while no goroutine
// waits.
func (b *Breaker) WaitReady(ctx context.Context) error {
	ctx = orBackground(ctx)
	for {
		changed, wait, ready := b.readiness()
		if ready {
			return nil
		}
		var timeUp <-chan time.Time
		if wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			timeUp = timer.C
		}
		select {
		case <-changed:
		case <-timeUp:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readiness reports whether a call could be admitted. If not, it returns a
// channel that is closed when that may have changed, and how long to wait at
// most (0: unknown). mu is not held.
func (b *Breaker) readiness() (changed <-chan struct{}, wait time.Duration, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.load()
	if e := effective(w); e == Closed || e == ForcedClosed {
		return nil, 0, true // first: the zero Breaker has no clock
	}
	until := time.Time{}
	now := b.cfg.clock.Now()
	switch effective(w) {
	case ForcedOpen:
		// The end of the override is a transition, which signals.
	case Open:
		if b.probeDueLocked(w, now) {
			return nil, 0, true
		}
		until = b.cold.Load().openUntil
	case HalfOpen:
		if until = b.cold.Load().probes.nextFree(b.settings().Probes, now); !now.Before(until) {
			return nil, 0, true
		}
	}
	c := b.cold.Load()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	if until.IsZero() {
		return c.changed, 0, false
	}
	return c.changed, max(1, until.Sub(now)), false
}

// signalLocked makes goroutines in WaitReady look again. There may be thousands,
// so they are not awakened under the lock. Breaker.mu is held.
func (c *cold) signalLocked() {
	if c.changed != nil {
		go close(c.changed)
		c.changed = nil
	}
}
