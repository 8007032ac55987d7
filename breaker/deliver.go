package breaker

import "sync/atomic"

// This file brings transitions to the listeners. They queue under Breaker.mu, in
// the order in which they happened, and are told outside it, one at a time, by
// whichever caller finds them: no goroutine waits for them.

// note is one thing to tell. One of its fields is set.
type note struct {
	t        *Transition
	heldBack *Transition
	reminder *Override
	ready    bool
}

// queue holds notes until they are delivered. Breaker.mu guards it, but for
// waiting.
type queue struct {
	waiting atomic.Int32 // len(notes), to look without the lock
	notes   []note
	busy    bool // one is being told
}

func (q *queue) add(n note) {
	q.notes = append(q.notes, n)
	q.waiting.Store(int32(len(q.notes)))
}

// hasListeners reports whether transitions are of interest to anyone. mu is held.
func (c *config) hasListeners(cold *cold) bool {
	ls := cold.listeners.Load()
	return c.logger != nil || len(c.watchers()) > 0 || c.manager != nil || ls != nil && len(*ls) > 0
}

// wantsReady reports whether some listener wants to hear when the open time is
// over, which takes a timer.
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

func (b *Breaker) undelivered() bool {
	c := b.cold.Load()
	return c != nil && c.queue.waiting.Load() > 0
}

// deliver tells what waits in the queue, one note at a time (I7). A caller that
// finds another one telling leaves the rest to it. No lock is held while a
// listener runs (I10).
func (b *Breaker) deliver() {
	if !b.undelivered() {
		return
	}
	for b.deliverOne(b.cold.Load()) {
	}
}

func (b *Breaker) deliverOne(c *cold) bool {
	n, ok := b.nextNote(c)
	if !ok {
		return false
	}
	told := false
	defer func() {
		b.noteDelivered(c)
		if !told {
			b.deliver() // a listener exits the goroutine: the rest is told on the way out (I7)
		}
	}()
	b.notifyNote(n)
	told = true
	return true
}

// notifyNote tells the manager first, which may add to what the others hear: that
// many breakers tripped together.
func (b *Breaker) notifyNote(n note) {
	if m := b.cfg.manager; m != nil && n.t != nil {
		n.t = m.tripped(b, n.t)
	}
	defer notifyFrom(b.listenersNow(), 0, b, n.notify) // deferred: the logger's handler may exit the goroutine (I7)
	switch {
	case b.cfg.logger == nil:
	case n.t != nil:
		b.logTransition(n.t)
	case n.heldBack != nil:
		b.logHeldBack(n.heldBack)
	}
}

func (b *Breaker) nextNote(c *cold) (note, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := &c.queue
	if q.busy || len(q.notes) == 0 {
		return note{}, false
	}
	n := q.notes[0]
	q.notes[0] = note{}
	q.notes = q.notes[1:]
	if len(q.notes) == 0 {
		q.notes = nil
	}
	q.waiting.Store(int32(len(q.notes)))
	q.busy = true
	return n, true
}

func (b *Breaker) noteDelivered(c *cold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.queue.busy = false
}

func (n note) notify(l *Listener, b *Breaker) {
	switch {
	case n.t != nil && l.StateChange != nil:
		l.StateChange(b, *n.t)
	case n.heldBack != nil && l.HeldBack != nil:
		l.HeldBack(b, *n.heldBack)
	case n.ready && l.Ready != nil:
		l.Ready(b)
	case n.reminder != nil && l.Reminder != nil:
		l.Reminder(b, *n.reminder)
	}
}
