package breaker

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// Listener hears what a breaker does. Any field may be nil.
//
// The functions run outside every lock, on the goroutine of a caller (or of a
// timer, when the end of an override moved the breaker). They may call back
// into the breaker, and may run on many goroutines at once; state changes
// alone come one at a time, in the order in which they happened. A panic is
// recovered, counted in Status and logged. Nothing that a listener does changes
// the outcome of a call; one that blocks holds up its goroutine and later state
// changes' listeners, never the breaker.
type Listener struct {
	// BeforeCall runs before each admitted call, with the call's context
	// (context.Background under Allow).
	BeforeCall func(context.Context, *Breaker)
	// Success runs after each call that counts as one, excluded errors
	// included.
	Success func(*Breaker)
	// Failure runs after each call that counts as one.
	Failure func(*Breaker, error)
	// Rejected runs for each call that was not admitted, with its error.
	Rejected func(*Breaker, error)
	// StateChange runs for each transition, with the whole record of it.
	StateChange func(*Breaker, Transition)
	// Reminder runs when half the time of an override is over.
	Reminder func(*Breaker, Override)
}

// flags is what the word must say for l to hear of calls.
func (l *Listener) flags() uint64 {
	if l.BeforeCall != nil || l.Success != nil || l.Failure != nil || l.Rejected != nil {
		return flagWatched
	}
	return 0
}

// note is something to tell the listeners: a transition or a reminder.
type note struct {
	t        *Transition
	reminder *Override
}

// queue holds notes in order until somebody delivers them. Breaker.mu guards
// it, but for waiting.
type queue struct {
	waiting atomic.Int32 // len(notes), to look without the lock
	notes   []note
	busy    bool // somebody is telling one
}

func (q *queue) add(n note) {
	q.notes = append(q.notes, n)
	q.waiting.Store(int32(len(q.notes)))
}

// AddListener adds a listener and returns what removes it again.
func (b *Breaker) AddListener(l Listener) (remove func()) {
	b = b.listen(&l, true) // a set does not forget a breaker that has a listener of its own
	return func() { b.listen(&l, false) }
}

func (b *Breaker) setListener(l *Listener, on bool) { b.listen(l, on) }

// listen returns the breaker that stands for b.
func (b *Breaker) listen(l *Listener, on bool) *Breaker {
	b = b.lockCurrent(new(Permit))
	defer b.mu.Unlock()
	switch {
	case b.cfg.home != nil:
		c := b.coldLocked()
		c.listeners = without(c.listeners, l)
		if on {
			c.listeners = append(c.listeners, l)
		}
	case on:
		b.cfg.addListener(l)
	default:
		b.cfg.removeListener(l)
	}
	b.refreshLocked()
	return b
}

// without is a new slice: readers may hold the old one.
func without(ls []*Listener, l *Listener) (rest []*Listener) {
	for _, x := range ls {
		if x != l {
			rest = append(rest, x)
		}
	}
	return rest
}

// Exclude excludes errors from now on, beside those excluded already: they
// count as successes. For a keyed breaker it excludes them for its whole set.
func (b *Breaker) Exclude(ms ...Matcher) { b.cfg.exclude(ms) }

// hears reports whether transitions are of interest to anyone. mu is held.
func (c *config) hears(cold *cold) bool {
	return c.logger != nil || len(c.watchers()) > 0 || len(cold.listeners) > 0
}

// listenersNow are those to tell: the set's, then the breaker's own.
func (b *Breaker) listenersNow() []*Listener {
	all := b.cfg.watchers()
	if b.cfg.home == nil || b.cold.Load() == nil {
		return all
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(all[:len(all):len(all)], b.cold.Load().listeners...)
}

// deliver tells what waits in the queue, one note at a time (I7). Who finds
// somebody else telling leaves the rest to them. No lock is held while a
// listener runs (I10).
func (b *Breaker) deliver() {
	c := b.cold.Load()
	if c == nil {
		return
	}
	if c.queue.waiting.Load() > 0 {
		for b.deliverOne(c) {
		}
	}
	b.tellSuspicion()
}

// tellSuspicion tells the program that many breakers tripped together.
func (b *Breaker) tellSuspicion() {
	if b.cfg.crowd == nil || !b.cfg.crowd.untold.Load() {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			b.cfg.caught("function of OnSuspicion", p)
		}
	}()
	b.cfg.crowd.tell()
}

func (b *Breaker) deliverOne(c *cold) bool {
	n, ok := b.nextNote(c)
	if !ok {
		return false
	}
	told := false
	defer func() {
		b.noteTold(c)
		if !told {
			b.deliver() // a listener exits the goroutine: the rest is told on the way out (I7)
		}
	}()
	b.tellNote(n)
	told = true
	return true
}

func (b *Breaker) tellNote(n note) {
	defer tellFrom(b.listenersNow(), 0, b, n.tell) // deferred: the logger's handler may exit the goroutine (I7)
	if n.t != nil && b.cfg.logger != nil {
		b.logTransition(n.t)
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
	q.notes = q.notes[1:]
	q.waiting.Store(int32(len(q.notes)))
	q.busy = true
	return n, true
}

func (b *Breaker) noteTold(c *cold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.queue.busy = false
}

func (n note) tell(l *Listener, b *Breaker) {
	switch {
	case n.t != nil && l.StateChange != nil:
		l.StateChange(b, *n.t)
	case n.reminder != nil && l.Reminder != nil:
		l.Reminder(b, *n.reminder)
	}
}

// tellFrom runs tell for the listeners from i on. A panic in one is recovered;
// when one exits the goroutine, the others still hear of it, on the way out.
func tellFrom(ls []*Listener, i int, b *Breaker, tell func(*Listener, *Breaker)) {
	for ; i < len(ls); i++ {
		tellOne(ls, i, b, tell)
	}
}

func tellOne(ls []*Listener, i int, b *Breaker, tell func(*Listener, *Breaker)) {
	told := false
	defer func() {
		if told {
			return
		}
		if p := recover(); p != nil {
			b.cfg.caught("listener", p)
			return
		}
		tellFrom(ls, i+1, b, tell) // runtime.Goexit
	}()
	tell(ls[i], b)
	told = true
}

func (b *Breaker) notifyBefore(ctx context.Context) {
	tellFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		if l.BeforeCall != nil {
			l.BeforeCall(ctx, b)
		}
	})
}

func (b *Breaker) notifySettled(o Outcome, err error) {
	defer b.deliver() // deferred: a listener may exit the goroutine (I7)
	tellFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		switch {
		case o == Success && l.Success != nil:
			l.Success(b)
		case o == Failure && l.Failure != nil:
			l.Failure(b, err)
		}
	})
}

func (b *Breaker) notifyRejected(err error) {
	tellFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		if l.Rejected != nil {
			l.Rejected(b, err)
		}
	})
}

// caught takes note of a panic in user code.
func (c *config) caught(what string, p any) {
	c.panics.Add(1)
	if c.logger == nil {
		return
	}
	defer c.loggerPanics()
	c.logger.Error("circuit breaker: a "+what+" panicked", "breaker", c.name, "panic", p)
}

// loggerPanics is deferred around the logger, whose handler is user code too.
func (c *config) loggerPanics() {
	if recover() != nil {
		c.panics.Add(1)
	}
}

func (b *Breaker) logTransition(t *Transition) {
	defer b.cfg.loggerPanics()
	level := slog.LevelInfo
	if t.To == Open || t.To == ForcedOpen {
		level = slog.LevelWarn
	}
	b.cfg.logger.Log(context.Background(), level, "circuit breaker "+t.To.String(),
		"breaker", b.ID(), "from", t.From.String(), "to", t.To.String(), "cause", string(t.Cause),
		"why", t.Why(), "shadow", t.Shadow, "version", t.Version)
}
