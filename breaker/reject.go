package breaker

import "time"

// This file is what an open breaker does with calls, which may be many. A trip
// itself prepares nothing. The first call that is turned away makes the error
// for all that follow and sets the timer, so that rejecting is two loads and
// does not read the clock. A breaker that no one calls while it is open sets no
// timer at all, unless a listener wants to hear when the open time is over.

// fastRejection is the error of a call that comes under word w, where there is
// no more to its rejection; else nil. It is small enough to be inlined.
func (b *Breaker) fastRejection(w uint64) *OpenError {
	if w&(flagReject|flagWatched|flagObserved|flagBypass) != flagReject || b.cfg.openError != nil {
		return nil
	}
	return b.cold.Load().reject.Load()
}

// probeDueLocked reports whether the open time is over: by the timer if one is
// set, else by the time. mu is held.
func (b *Breaker) probeDueLocked(w uint64, now time.Time) bool {
	c := b.cold.Load()
	return w&flagDue != 0 || c.dueTimer == nil && !now.Before(c.openUntil)
}

// setRejectLocked sets the timer of an open period, if it has none yet, so that
// calls need not ask for the time. mu is held.
func (b *Breaker) setRejectLocked() {
	w := b.load()
	b.startTimerLocked(w)
	if w&(flagForcedClosed|flagDue) == 0 {
		b.setWord(w | flagReject)
	}
}

// startTimerLocked sets the timer of the open period of word w. mu is held.
func (b *Breaker) startTimerLocked(w uint64) {
	c := b.cold.Load()
	if c.dueTimer == nil {
		gen := genOf(w)
		c.dueTimer = b.cfg.clock.AfterFunc(b.cfg.clock.Until(c.openUntil), func() { b.due(gen) })
	}
}

// due is the timer of an open period: from now on the next call may probe.
func (b *Breaker) due(gen uint32) {
	b.mu.Lock()
	w := b.load()
	c := b.cold.Load()
	if genOf(w) != gen || stateOf(w) != Open || b.cfg.clock.Now().Before(c.openUntil) {
		b.mu.Unlock() // stopped too late; by Peer.Hold, in the last case
		return
	}
	if w&flagForcedOpen == 0 {
		w &^= flagReject
	}
	b.setWord(w | flagDue)
	if b.cfg.wantsReady(c) {
		c.queue.add(note{ready: true})
	}
	c.signalLocked()
	b.mu.Unlock()
	b.deliver()
}

// rejection is what a call gets that is turned away now.
func (b *Breaker) rejection() error {
	e := b.cold.Load().reject.Load()
	if e == nil {
		b.mu.Lock()
		e = b.rejectionLocked()
		b.mu.Unlock()
	}
	return b.cfg.rejection(e)
}

// rejection is what the caller gets for e.
func (c *config) rejection(e *OpenError) error {
	if c.openError == nil {
		return e
	}
	return c.replaced(e)
}

// rejectionLocked is the one error of all calls that are rejected until
// something changes. mu is held.
func (b *Breaker) rejectionLocked() *OpenError {
	c := b.cold.Load()
	if e := c.reject.Load(); e != nil {
		return e
	}
	w := b.load()
	e := &OpenError{Name: b.cfg.name, Key: b.key, State: effective(w), Transition: c.last, Opened: c.opened, clock: b.cfg.clock}
	e.ramp = w&flagRamp != 0
	switch e.State {
	case ForcedOpen:
		e.until = c.override.expires
	case Open:
		e.until = c.openUntil
	case HalfOpen:
		e.until = c.probes.nextFree(b.settings().Probes, b.cfg.clock.Now())
	case ForcedClosed:
		e.State = stateOf(w) // met only in the instant of an order
	}
	c.reject.Store(e)
	return e
}

// replaced is the program's own error for e. One that panics, or has none,
// leaves e: a call that did not run must not look like a success.
func (c *config) replaced(e *OpenError) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("function of WithOpenError", p)
			err = e
		}
	}()
	if own := c.openError(e); own != nil {
		return own
	}
	return e
}
