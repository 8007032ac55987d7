package breaker

import (
	"context"
	"log/slog"
)

// Listener receives the events of a breaker. Any of its functions may be nil.
//
// The functions run with no lock held, and may call back into the breaker. They
// run on the goroutine of a caller; or of a timer, if time has moved the
// breaker; or on a separate goroutine after Apply. BeforeCall, Success,
// Failure and Rejected may run on many goroutines at once. StateChange,
// HeldBack, Ready and Reminder run one at a time for each breaker, in the order
// of the events.
//
// A listener cannot change the outcome of a call. A panic in a listener is
// recovered, counted in Status.Panics and logged. A listener that blocks delays
// its goroutine and the delivery of later events, but never the breaker.
type Listener struct {
	// BeforeCall runs before each admitted call, with the context of the call
	// (context.Background for Allow).
	BeforeCall func(context.Context, *Breaker)
	// Success runs after each call that counts as a success, including calls
	// whose error is excluded.
	Success func(*Breaker)
	// Failure runs after each call that counts as a failure, with its error.
	Failure func(*Breaker, error)
	// Rejected runs for each call that is rejected, with the error that its
	// caller receives.
	Rejected func(*Breaker, error)
	// StateChange runs for each transition, with its full record.
	StateChange func(*Breaker, Transition)
	// ShadowChange runs for each transition of a shadow, with its name: what its
	// settings would have done. See Breaker.Shadow.
	ShadowChange func(b *Breaker, shadow string, t Transition)
	// HeldBack runs when a rule is met but Manager.CapOpen keeps the breaker
	// closed, with the transition that did not take place. It runs once while
	// this continues, not at every failure.
	HeldBack func(*Breaker, Transition)
	// Ready runs when the open time is over and the next call is a probe, so
	// that a paused consumer can continue. See also Breaker.WaitReady.
	Ready func(*Breaker)
	// Reminder runs when half the time of an override has passed.
	Reminder func(*Breaker, Override)
}

// flags returns the bits of the word that l needs to see calls.
func (l *Listener) flags() uint64 {
	if l.BeforeCall != nil || l.Success != nil || l.Failure != nil || l.Rejected != nil {
		return flagWatched
	}
	return 0
}

// AddListener adds a listener, and returns a function that removes it. On a
// keyed breaker the listener receives only the events of this key, and the set
// does not forget the key while it has the listener.
func (b *Breaker) AddListener(l Listener) (remove func()) {
	b.setListener(&l, true)
	return func() { b.setListener(&l, false) }
}

func (b *Breaker) setListener(l *Listener, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cfg.owner == nil {
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

// Exclude makes errors count as successes from now on, in addition to those
// excluded already. On a keyed breaker it applies to this key only, and the set
// no longer forgets the key.
func (b *Breaker) Exclude(ms ...Matcher) { b.addMatchers(ms, nil) }

// Ignore makes errors count as no evidence from now on, in addition to those
// ignored already. On a keyed breaker it applies to this key only, and the set
// no longer forgets the key.
func (b *Breaker) Ignore(ms ...Matcher) { b.addMatchers(nil, ms) }

func (b *Breaker) addMatchers(excluded, ignored []Matcher) {
	if b.cfg.owner == nil {
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

// listenersNow returns the listeners to call: those of the set, then the
// breaker's own.
func (b *Breaker) listenersNow() []*Listener {
	all, own := b.cfg.watchers(), b.ownListeners()
	if len(own) == 0 {
		return all
	}
	return append(all[:len(all):len(all)], own...)
}

func (b *Breaker) notifyBefore(ctx context.Context) {
	notifyFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		if l.BeforeCall != nil {
			l.BeforeCall(orBackground(ctx), b)
		}
	})
}

func (b *Breaker) notifySettled(o Outcome, err error) {
	defer b.deliver() // deferred, because a listener may exit the goroutine (I7)
	notifyFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		switch {
		case o == Success && l.Success != nil:
			l.Success(b)
		case o == Failure && l.Failure != nil:
			l.Failure(b, err)
		}
	})
}

func (b *Breaker) notifyRejected(err error) {
	notifyFrom(b.listenersNow(), 0, b, func(l *Listener, b *Breaker) {
		if l.Rejected != nil {
			l.Rejected(b, err)
		}
	})
}

// notifyFrom calls tell for the listeners from index i on. It recovers a panic
// in one of them. If one exits the goroutine, the others are still called,
// while the goroutine ends (I7). No lock is held (I10).
func notifyFrom(ls []*Listener, i int, b *Breaker, tell func(*Listener, *Breaker)) {
	for ; i < len(ls); i++ {
		notifyOne(ls, i, b, tell)
	}
}

// notifyOne calls tell for one listener.
func notifyOne(ls []*Listener, i int, b *Breaker, tell func(*Listener, *Breaker)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			b.cfg.caught("a listener", p)
			return
		}
		notifyFrom(ls, i+1, b, tell) // neither returned nor panicked: runtime.Goexit
	}()
	tell(ls[i], b)
	returned = true
}

// caught counts and logs a panic in user code. what says whose it was.
func (c *config) caught(what string, p any) {
	if c == nil {
		return // the zero Breaker keeps no record
	}
	c.panics.Add(1)
	if c.logger == nil {
		return
	}
	if err, ok := p.(error); ok && c.redact != nil && what != ofErrorText {
		p = c.errorText(err)
	}
	defer c.loggerPanics()
	c.logger.Error("circuit breaker: "+what+" panicked", "breaker", c.name, "panic", p)
}

// loggerPanics is deferred around calls of the logger, whose handler is user
// code, too.
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
