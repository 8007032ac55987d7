package breaker

import (
	"context"
	"time"
)

// WaitReady returns nil when the breaker could admit a call: at once while it is
// closed, else when its open time is over, a probe's place is free, or an
// override lets calls through. It returns ctx's error if ctx is over before; nil
// is a context that is never over.
//
// It is for a consumer that pauses while its dependency is away, instead of
// taking work and failing it. It takes no place: of several that wait, all
// return, the first to call probes, and the others may be rejected and wait
// again. It costs no goroutine, and the breaker nothing while no one waits.
func (b *Breaker) WaitReady(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
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

// readiness reports whether a call could be admitted; if not, what is closed
// when that may have changed, and how long it will take at most (0: unknown).
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
		until = b.cold.Load().override.expires
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

// signalLocked makes those who wait look again. Breaker.mu is held.
func (c *cold) signalLocked() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}
