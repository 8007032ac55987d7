package breaker

import (
	"context"
	"log/slog"
)

// Listener hears what a breaker does. Any field may be nil.
//
// The functions run outside every lock, on the goroutine of a caller (or of a
// timer, when time moved the breaker, or of their own after Apply). They may call
// back into the breaker, and may run on many goroutines at once; StateChange,
// HeldBack, Ready and Reminder alone come one at a time, in the order in which
// things happened. A panic is recovered, counted in Status and logged. Nothing
// that a listener does changes the outcome of a call; one that blocks holds up
// its goroutine and later changes' listeners, never the breaker.
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
	// HeldBack runs when a rule is met and CapOpen keeps the breaker closed, with
	// the transition that did not take place: once while that goes on.
	HeldBack func(*Breaker, Transition)
	// Ready runs when the open time is over: the next call probes. A consumer
	// that paused can go on, see also WaitReady.
	Ready func(*Breaker)
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

// AddListener adds a listener and returns what removes it again. For a keyed
// breaker it hears of this key alone, and the key is not forgotten.
func (b *Breaker) AddListener(l Listener) (remove func()) {
	b.setListener(&l, true)
	return func() { b.setListener(&l, false) }
}

func (b *Breaker) setListener(l *Listener, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cfg.home == nil {
		b.cfg.setListener(l, on)
	} else {
		c := b.coldLocked()
		all := without(b.ownListeners(), l)
		if on {
			all = append(all, l)
		}
		c.listeners.Store(&all)
		if on {
			b.keepLocked()
		} else {
			b.unkeepLocked()
		}
	}
	b.refreshLocked()
}

// Exclude excludes errors from now on, beside those excluded already: they
// count as successes. For a keyed breaker it concerns this key alone, and the
// key is not forgotten.
func (b *Breaker) Exclude(ms ...Matcher) { b.addMatchers(ms, nil) }

// Ignore ignores errors from now on, beside those ignored already: they are no
// evidence. For a keyed breaker it is as Exclude.
func (b *Breaker) Ignore(ms ...Matcher) { b.addMatchers(nil, ms) }

func (b *Breaker) addMatchers(excluded, ignored []Matcher) {
	if b.cfg.home == nil {
		b.cfg.addMatchers(excluded, ignored)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coldLocked()
	c.matchers.Store(c.matchers.Load().with(excluded, ignored))
	b.keepLocked()
}

func (b *Breaker) ownMatchers() *matchers {
	if c := b.cold.Load(); c != nil {
		return c.matchers.Load()
	}
	return nil
}

func (b *Breaker) ownListeners() []*Listener {
	if c := b.cold.Load(); c != nil {
		if p := c.listeners.Load(); p != nil {
			return *p
		}
	}
	return nil
}

// listenersNow are those to tell: the set's, then the breaker's own.
func (b *Breaker) listenersNow() []*Listener {
	all, own := b.cfg.watchers(), b.ownListeners()
	if len(own) == 0 {
		return all
	}
	return append(all[:len(all):len(all)], own...)
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

// caught takes note of a panic in user code.
func (c *config) caught(what string, p any) {
	if c == nil {
		return // the zero Breaker keeps no record
	}
	c.panics.Add(1)
	if c.logger == nil {
		return
	}
	if err, ok := p.(error); ok && c.redact != nil && what != "function of WithErrorText" {
		p = c.errorText(err)
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
		"why", t.Summary(), "shadow", t.Shadow, "version", t.Version)
}

func (b *Breaker) logHeldBack(t *Transition) {
	defer b.cfg.loggerPanics()
	b.cfg.logger.Warn("circuit breaker held back by the cap on open breakers",
		"breaker", b.ID(), "cause", string(t.Cause), "why", t.Summary())
}
