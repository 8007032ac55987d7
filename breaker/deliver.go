package breaker

import "sync/atomic"

// This file delivers transitions to listeners. Transitions are queued under
// Breaker.mu, in the order in which they happen. They are delivered after mu is
// released, one at a time, by whichever caller finds them in the queue. There is
// no goroutine that waits for them (I10).

// note is something to deliver. Exactly one of its fields is set.
type note struct {
	t        *Transition
	heldBack *Transition // a trip that the cap prevented
	reminder *Override   // half of its time is over
	ready    bool        // the open time is over
}

// queue holds notes until they are delivered. Breaker.mu guards it, except for
// waiting.
type queue struct {
	waiting atomic.Int32 // len(notes), to be read without the lock
	notes   []note
	busy    bool // a note is being delivered
}

// add appends a note. Breaker.mu is held.
func (q *queue) add(n note) {
	q.notes = append(q.notes, n)
	// Before mu is released, so that the caller who added the note finds it.
	q.waiting.Store(int32(len(q.notes)))
}

// hasListeners reports whether anything listens to transitions. mu is held.
func (c *config) hasListeners(cold *cold) bool {
	ls := cold.listeners.Load()
	// A manager always does, to find breakers that trip together.
	return c.logger != nil || len(c.watchers()) > 0 || c.manager != nil || ls != nil && len(*ls) > 0
}

// wantsReady reports whether a listener, or a goroutine in WaitReady, needs to
// know when the open time is over, which takes a timer. mu is held.
func (c *config) wantsReady(cold *cold) bool {
	for _, l := range c.watchers() {
		if l.Ready != nil {
			return true
		}
	}
	if ls := cold.listeners.Load(); ls != nil {
		for _, l := range *ls {
			if l.Ready != nil {
				return true
			}
		}
	}
	return cold.changed != nil
}

// undelivered reports whether notes are queued. It takes no lock, since every
// call that ends comes here.
func (b *Breaker) undelivered() bool {
	c := b.cold.Load()
	return c != nil && c.queue.waiting.Load() > 0
}

// deliver delivers what is queued, one note at a time (I7). If another
// goroutine is delivering already, that goroutine delivers the rest. No lock is
// held (I10).
func (b *Breaker) deliver() {
	if !b.undelivered() {
		return
	}
	// Until the queue is empty: listeners may have caused more notes, and the
	// goroutines that queued them found the queue busy.
	for b.deliverOne(b.cold.Load()) {
	}
}

// deliverOne delivers the first note, and returns false if there is nothing to
// deliver, or another goroutine is at it.
func (b *Breaker) deliverOne(c *cold) bool {
	n, ok := b.nextNote(c)
	if !ok {
		return false
	}
	returned := false
	defer func() {
		// Only now may the next note be delivered.
		b.noteDelivered(c)
		// A listener is exiting the goroutine. The notes left in the queue are
		// delivered here, before the goroutine ends (I7).
		if !returned {
			b.deliver()
		}
	}()
	b.notifyNote(n)
	returned = true
	return true
}

// notifyNote delivers a note to the manager, the logger and the listeners. The
// manager comes first, because it may mark the transition as one of many that
// tripped together.
func (b *Breaker) notifyNote(n note) {
	// May call the function of OnSuspicion, which recovers its own panics.
	if m := b.cfg.manager; m != nil && n.t != nil {
		n.t = m.tripped(b, n.t)
	}
	// Deferred, because the logger's handler is user code and may exit the
	// goroutine. Listeners must still receive the note (I7).
	defer notifyFrom(b.listenersNow(), 0, b, n.notify)
	switch {
	case b.cfg.logger == nil:
	case n.t != nil:
		b.logTransition(n.t)
	case n.heldBack != nil:
		b.logHeldBack(n.heldBack)
	}
}

// nextNote takes the first note from the queue and marks the queue as busy, so
// that notes are delivered in order (I7). mu is not held.
func (b *Breaker) nextNote(c *cold) (note, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := &c.queue
	// busy keeps a second goroutine from overtaking the first (I7).
	if q.busy || len(q.notes) == 0 {
		return note{}, false
	}
	n := q.notes[0]
	q.notes[0] = note{} // releases the record for the garbage collector
	q.notes = q.notes[1:]
	if len(q.notes) == 0 {
		q.notes = nil
	}
	q.waiting.Store(int32(len(q.notes)))
	q.busy = true
	return n, true
}

// noteDelivered ends the delivery of a note. deliverOne defers it, because a
// listener that exits its goroutine must not leave the queue busy: no later note
// would be delivered. mu is not held.
func (b *Breaker) noteDelivered(c *cold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.queue.busy = false
}

// notify calls the listener's function for this kind of note, if it has one.
func (n note) notify(l *Listener, b *Breaker) {
	switch {
	case n.t != nil && l.StateChange != nil:
		// A copy, because the record is shared with Status and History.
		l.StateChange(b, *n.t)
	case n.heldBack != nil && l.HeldBack != nil:
		l.HeldBack(b, *n.heldBack)
	case n.ready && l.Ready != nil:
		l.Ready(b)
	case n.reminder != nil && l.Reminder != nil:
		l.Reminder(b, *n.reminder)
	}
}
