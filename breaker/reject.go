package breaker

import "time"

// This file is what an open breaker does with calls. There may be very many, so
// rejecting must be cheap; or none at all, so a trip prepares nothing. The first
// call that is rejected creates the error for all calls that follow, and sets a
// timer for the rest of the open time. From then on a rejection takes two atomic
// loads and reads no clock.
//
// Without calls an open breaker sets no timer, unless a listener or a goroutine
// in WaitReady needs to know when the open time is over.

// fastRejection returns the prepared error if rejecting the call takes no more
// than that, else nil. It is small enough to be inlined.
func (b *Breaker) fastRejection(w uint64) *OpenError {
	// Listeners, counting, marks and WithOpenError need the slow path.
	if w&(flagReject|flagWatched|flagObserved|flagBypass) != flagReject || b.cfg.openError != nil {
		return nil
	}
	// nil after any change, until the next slow rejection prepares it again.
	return b.cold.Load().reject.Load()
}

// probeDueLocked reports whether the open time is over. If a timer is set, only
// the timer decides, because rejections under flagReject do not read the clock:
// otherwise one call could be rejected after another had been admitted. mu is
// held.
func (b *Breaker) probeDueLocked(w uint64, now time.Time) bool {
	c := b.cold.Load()
	return w&flagDue != 0 || c.dueTimer == nil && !now.Before(c.openUntil)
}

// setRejectLocked sets the timer of the open period, if it is not set yet, so
// that calls can be rejected without reading the clock. mu is held.
func (b *Breaker) setRejectLocked() {
	w := b.load()
	b.startTimerLocked(w)
	// Behind forced-closed calls are admitted, and when the timer has already
	// fired, the next call must probe (I2).
	if w&(flagForcedClosed|flagDue) == 0 {
		b.setWord(w | flagReject)
	}
}

// startTimerLocked sets the timer of the open period whose word is w, unless it
// is set already. mu is held.
func (b *Breaker) startTimerLocked(w uint64) {
	c := b.cold.Load()
	if c.dueTimer == nil {
		gen := genOf(w)
		// The timer knows its generation, so that a timer that fires too late
		// cannot end the open time of a later period (I1).
		c.dueTimer = b.cfg.clock.AfterFunc(b.cfg.clock.Until(c.openUntil), func() { b.due(gen) })
	}
}

// due is the function of that timer: from now on the next call may probe (I2).
// mu is not held.
func (b *Breaker) due(gen uint32) {
	b.mu.Lock()
	w := b.load()
	c := b.cold.Load()
	// The timer fired although it was stopped: the breaker has moved, or
	// Peer.Hold has extended the open time.
	if genOf(w) != gen || stateOf(w) != Open || b.cfg.clock.Now().Before(c.openUntil) {
		b.mu.Unlock()
		return
	}
	// Behind forced-open calls are still rejected (I5).
	if w&flagForcedOpen == 0 {
		w &^= flagReject
	}
	// The breaker stays open until a call asks: without calls nothing changes.
	b.setWord(w | flagDue)
	if b.cfg.wantsReady(c) {
		c.queue.add(note{ready: true})
	}
	c.signalLocked()
	b.mu.Unlock()
	// mu is released: Ready listeners run here (I10).
	b.deliver()
}

// rejection returns the error for a call that is rejected now. mu is not held.
func (b *Breaker) rejection() error {
	e := b.cold.Load().reject.Load()
	if e == nil {
		b.mu.Lock()
		e = b.rejectionLocked()
		b.mu.Unlock()
	}
	return b.cfg.rejection(e)
}

// rejection returns the error that callers receive for e: e itself, or the error
// that WithOpenError makes of it.
func (c *config) rejection(e *OpenError) error {
	if c.openError == nil {
		return e
	}
	return c.replaced(e)
}

// rejectionLocked returns the error shared by all calls that are rejected until
// something changes. It must not be modified after it is stored. mu is held.
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
		e.State = stateOf(w) // possible only if an order arrived after the call was rejected
	}
	c.reject.Store(e)
	return e
}

// replaced returns the program's own error for e. If that function panics or
// returns nil, replaced returns e, since a call that did not run must not look
// like a success. It is user code: no lock is held (I10).
func (c *config) replaced(e *OpenError) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("the function of WithOpenError", p)
			err = e
		}
	}()
	if own := c.openError(e); own != nil {
		return own
	}
	return e
}
