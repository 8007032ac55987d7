package breaker

import (
	"fmt"
	"time"
)

// Verb is what an order does.
type Verb string

// The orders that change a breaker's state.
const (
	VerbOpen        Verb = "open"         // automatic state: open; lifts an override
	VerbClose       Verb = "close"        // automatic state: closed, evidence forgotten; lifts an override
	VerbHalfOpen    Verb = "half-open"    // automatic state: half-open; lifts an override
	VerbForceOpen   Verb = "force-open"   // override: reject every call
	VerbForceClosed Verb = "force-closed" // override: admit every call
	VerbRelease     Verb = "release"      // lift the override
)

// done is the verb as it reads in a record.
func (v Verb) done() string {
	switch v {
	case VerbOpen:
		return "opened"
	case VerbClose:
		return "closed"
	case VerbHalfOpen:
		return "set half-open"
	case VerbForceOpen:
		return "forced open"
	case VerbForceClosed:
		return "forced closed"
	case VerbRelease:
		return "released"
	}
	return string(v)
}

// Order is a change of state that a person or a program asks for. The methods
// named after the verbs take one and fill in its verb.
type Order struct {
	Verb   Verb
	Actor  string // who gives it: a person's or a program's name
	Reason string // why, in their words
	// For limits VerbForceOpen and VerbForceClosed: past it the override lifts
	// itself; 0 means until it is released. For VerbOpen it is the open time; 0
	// means Settings.ResetTimeout. The other orders do not end, and have no time.
	For time.Duration
	// IfVersion, when not 0, makes the order fail with ErrVersion unless the
	// breaker's version is this one: nothing has moved since it was looked at.
	IfVersion uint64
	// DryRun makes the receipt without the change.
	DryRun bool
}

// Receipt is what an order did.
type Receipt struct {
	ID      string `json:"id"`
	Before  State  `json:"before"`
	After   State  `json:"after"`
	From    uint64 `json:"from_version"` // the version it was applied to
	Version uint64 `json:"version"`      // the version after it
	DryRun  bool   `json:"dry_run,omitempty"`
}

// Open opens the breaker, and lifts an override. The open time is
// Settings.ResetTimeout, or o.For. Its error is Apply's.
func (b *Breaker) Open(o Order) error { return b.order(VerbOpen, o) }

// Close closes the breaker, forgets what it counted, and lifts an override. Its
// error is Apply's.
func (b *Breaker) Close(o Order) error { return b.order(VerbClose, o) }

// HalfOpen lets the next calls probe, and lifts an override. Its error is
// Apply's.
func (b *Breaker) HalfOpen(o Order) error { return b.order(VerbHalfOpen, o) }

// ForceOpen rejects every call until Release, another order, or the end of
// o.For. The automatic state is kept beneath. Its error is Apply's.
func (b *Breaker) ForceOpen(o Order) error { return b.order(VerbForceOpen, o) }

// ForceClosed admits every call until Release, another order, or the end of
// o.For. The automatic state goes on being judged beneath. Its error is Apply's.
func (b *Breaker) ForceClosed(o Order) error { return b.order(VerbForceClosed, o) }

// Release lifts the override, if there is one. An automatic state that is not
// closed goes on through half-open. Its error is Apply's.
func (b *Breaker) Release(o Order) error { return b.order(VerbRelease, o) }

// order carries out an order, and tells listeners before it returns.
func (b *Breaker) order(v Verb, o Order) error {
	o.Verb = v
	_, err := b.decideOrder(o)
	b.deliver()
	return err
}

// Apply carries out an order and says what it changed. It never waits for
// calls in flight (I5), nor for listeners: they are told on another goroutine,
// where the methods named after the verbs return after that. An order
// that cannot be carried out changes nothing: the error matches ErrOrder, or
// ErrVersion when IfVersion is not the version found.
func (b *Breaker) Apply(o Order) (Receipt, error) {
	r, err := b.decideOrder(o)
	if b.undelivered() {
		go b.deliver()
	}
	return r, err
}

func (b *Breaker) decideOrder(o Order) (Receipt, error) {
	if err := o.check(); err != nil {
		return Receipt{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.applyLocked(o, b.cfg.clock.Now())
}

func (o *Order) check() error {
	switch o.Verb {
	case VerbOpen, VerbForceOpen, VerbForceClosed:
		if o.For < 0 {
			return fmt.Errorf("%w: %s for %s, want a time above 0, or none", ErrOrder, o.Verb, o.For)
		}
	case VerbClose, VerbHalfOpen, VerbRelease:
		if o.For != 0 {
			return fmt.Errorf("%w: %s for %s, want no time: it does not end by itself", ErrOrder, o.Verb, o.For)
		}
	default:
		return fmt.Errorf("%w: %q, want open, close, half-open, force-open, force-closed or release", ErrOrder, o.Verb)
	}
	return nil
}

func (b *Breaker) applyLocked(o Order, now time.Time) (Receipt, error) {
	w := b.load()
	version := b.versionLocked()
	r := Receipt{ID: b.ID(), Before: effective(w), From: version, Version: version, DryRun: o.DryRun}
	if o.IfVersion != 0 && o.IfVersion != version {
		return Receipt{}, b.staleLocked(version, o.IfVersion)
	}
	if o.DryRun {
		r.After = o.result(w)
		return r, nil
	}
	b.carryOutLocked(o, now)
	r.After = effective(b.load()) // under the same lock as what it was before (I12)
	r.Version = b.versionLocked()
	return r, nil
}

// staleLocked is the error for an order that expected another version. mu is
// held.
func (b *Breaker) staleLocked(version, want uint64) error {
	return fmt.Errorf("%w: %s is at version %d, the order was for %d", ErrVersion, b.ID(), version, want)
}

// versionLocked begins at 1 and grows with every change. For a key it grows with
// its set's settings too. mu is held.
func (b *Breaker) versionLocked() uint64 {
	v := b.ownVersionLocked()
	if b.cfg.owner != nil {
		v += b.cfg.settings.Load().version - 1
	}
	return v
}

// ownVersionLocked is the part of the version that is the breaker's alone. That
// of a key begins above every one that its set has forgotten, so that none comes
// twice. mu is held.
func (b *Breaker) ownVersionLocked() uint64 {
	if c := b.cold.Load(); c != nil && c.version > 0 {
		return c.version
	}
	if h := b.cfg.owner; h != nil {
		return h.versionFloor() + 1
	}
	return 1
}

// changedLocked counts a change. mu is held.
func (b *Breaker) changedLocked() { b.coldLocked().version = b.ownVersionLocked() + 1 }

// result is the state that the order would lead to.
func (o *Order) result(w uint64) State {
	switch o.Verb {
	case VerbOpen:
		return Open
	case VerbClose:
		return Closed
	case VerbHalfOpen:
		return HalfOpen
	case VerbForceOpen:
		return ForcedOpen
	case VerbForceClosed:
		return ForcedClosed
	}
	if w&(flagForcedOpen|flagForcedClosed) != 0 && stateOf(w) != Closed {
		return HalfOpen
	}
	return stateOf(w)
}

func (b *Breaker) carryOutLocked(o Order, now time.Time) {
	t := &Transition{Cause: CauseOrder, Order: o.Verb, Actor: o.Actor, Reason: o.Reason, From: effective(b.load())}
	switch o.Verb {
	case VerbForceOpen:
		b.overrideLocked(ForcedOpen, o, now)
		return
	case VerbForceClosed:
		b.overrideLocked(ForcedClosed, o, now)
		return
	case VerbRelease:
		if c := b.cold.Load(); c != nil && c.override != nil {
			b.liftLocked(t, now)
		}
		return
	}
	e := event{kind: evClose}
	t.To = Closed
	switch o.Verb {
	case VerbOpen:
		e, t.To = event{kind: evOpen, dur: o.For}, Open
	case VerbHalfOpen:
		e.kind, t.To = evHalfOpen, HalfOpen
	}
	b.stopOverrideLocked()
	b.stepLocked(&e, now, t)
}
