package breaker

import (
	"fmt"
	"time"
)

// Verb says what an order does.
type Verb string

// The verbs of orders.
const (
	VerbOpen        Verb = "open"         // automatic state: open; lifts an override
	VerbClose       Verb = "close"        // automatic state: closed, all counts reset; lifts an override
	VerbHalfOpen    Verb = "half-open"    // automatic state: half-open; lifts an override
	VerbForceOpen   Verb = "force-open"   // override: reject every call
	VerbForceClosed Verb = "force-closed" // override: admit every call
	VerbRelease     Verb = "release"      // lift the override
)

// done returns the verb as a participle, for records and screens.
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
// of Breaker that are named after a verb set Verb themselves.
type Order struct {
	Verb   Verb
	Actor  string // who asks for it: the name of a person or a program
	Reason string // why, in the actor's words
	// For limits VerbForceOpen and VerbForceClosed: the override expires after
	// this time; 0 means that it stays until it is released. For VerbOpen it is
	// the open time; 0 means Settings.ResetTimeout. With other verbs it must be
	// 0.
	For time.Duration
	// IfVersion, unless 0, makes the order fail with ErrVersion if the
	// breaker's version is a different one: then it has changed since the actor
	// looked at it.
	//
	// The version of a breaker changes with every transition, order and change
	// of settings, and none comes twice. For the key of a set this holds even if
	// the set forgets the key meanwhile. The set knows only the highest version
	// that it has forgotten, so there is one exception to the reverse: as long as
	// nothing has happened to a key, its version also grows when the set forgets
	// another key to which something has. An order for it then fails although
	// this key is as it was; look at it again. After its first transition or
	// order, or once it has its own settings, its version changes only with it.
	IfVersion uint64
	// DryRun returns the receipt without carrying out the order.
	DryRun bool
}

// Receipt says what an order changed.
type Receipt struct {
	ID      string `json:"id"`
	Before  State  `json:"before"`
	After   State  `json:"after"`
	From    uint64 `json:"from_version"` // the version before
	Version uint64 `json:"version"`      // the version after; equal to From if nothing changed
	DryRun  bool   `json:"dry_run,omitempty"`
}

// Open opens the breaker, and lifts an override. The open time is o.For, or
// Settings.ResetTimeout if that is 0. It returns the same errors as Apply.
func (b *Breaker) Open(o Order) error { return b.order(VerbOpen, o) }

// Close closes the breaker, resets its counts, and lifts an override. It
// returns the same errors as Apply.
func (b *Breaker) Close(o Order) error { return b.order(VerbClose, o) }

// HalfOpen makes the breaker half-open, so that the next calls are probes, and
// lifts an override. It returns the same errors as Apply.
func (b *Breaker) HalfOpen(o Order) error { return b.order(VerbHalfOpen, o) }

// ForceOpen sets an override that rejects every call, until Release, another
// order, or the end of o.For. The automatic state is kept behind it. It returns
// the same errors as Apply.
func (b *Breaker) ForceOpen(o Order) error { return b.order(VerbForceOpen, o) }

// ForceClosed sets an override that admits every call, until Release, another
// order, or the end of o.For. Calls are still judged, and the automatic state
// continues to change behind the override. It returns the same errors as Apply.
func (b *Breaker) ForceClosed(o Order) error { return b.order(VerbForceClosed, o) }

// Release lifts the override, if there is one. If the automatic state is not
// closed, it continues as half-open, because what it knows is old. It returns
// the same errors as Apply.
func (b *Breaker) Release(o Order) error { return b.order(VerbRelease, o) }

// order carries out an order. Listeners have run when it returns, unless another
// goroutine is delivering.
func (b *Breaker) order(v Verb, o Order) error {
	o.Verb = v
	_, err := b.decideOrder(o)
	b.deliver()
	return err
}

// Apply carries out an order and returns what it changed. It waits neither for
// calls in flight nor for listeners, which run on another goroutine. (The
// methods named after the verbs run listeners before they return.) An order
// that cannot be carried out changes nothing: its error matches ErrOrder, or
// ErrVersion if IfVersion is not the breaker's version.
func (b *Breaker) Apply(o Order) (Receipt, error) {
	r, err := b.decideOrder(o)
	// On another goroutine, because a listener may hang, and an operator must not
	// wait for it. Order is kept: deliver runs once at a time (I7).
	if b.undelivered() {
		go b.deliver()
	}
	return r, err
}

// decideOrder validates an order and carries it out. mu is not held.
func (b *Breaker) decideOrder(o Order) (Receipt, error) {
	if err := o.check(); err != nil {
		return Receipt{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.applyLocked(o, b.cfg.clock.Now())
}

// check reports what is wrong with an order, regardless of the breaker's state.
func (o *Order) check() error {
	switch o.Verb {
	case VerbOpen, VerbForceOpen, VerbForceClosed:
		if o.For < 0 {
			return fmt.Errorf("%w: %s for %s, want a positive duration, or none", ErrOrder, o.Verb, o.For)
		}
	case VerbClose, VerbHalfOpen, VerbRelease:
		if o.For != 0 {
			return fmt.Errorf("%w: %s for %s, want no duration: this order does not expire", ErrOrder, o.Verb, o.For)
		}
	default:
		return fmt.Errorf("%w: %q, want open, close, half-open, force-open, force-closed or release", ErrOrder, o.Verb)
	}
	return nil
}

// applyLocked carries out a valid order and fills in its receipt. mu is held.
func (b *Breaker) applyLocked(o Order, now time.Time) (Receipt, error) {
	w := b.load()
	version := b.versionLocked()
	r := Receipt{ID: b.ID(), Before: effective(w), From: version, Version: version, DryRun: o.DryRun}
	// Before anything is changed, and under the lock: no transition fits between
	// this look and the order (I12).
	if o.IfVersion != 0 && o.IfVersion != version {
		return Receipt{}, b.staleLocked(version, o.IfVersion)
	}
	if o.DryRun {
		r.After = o.result(w)
		return r, nil
	}
	b.carryOutLocked(o, now)
	r.After = effective(b.load()) // under the same lock as Before, so that both belong to this order (I12)
	r.Version = b.versionLocked()
	return r, nil
}

// staleLocked returns the error for an order that expected another version. mu
// is held.
func (b *Breaker) staleLocked(version, want uint64) error {
	return fmt.Errorf("%w: %s is at version %d, the order was for %d", ErrVersion, b.ID(), version, want)
}

// versionLocked returns the version. It begins at 1 and grows with every
// change; for a key it also grows with every change of its set's settings. mu
// is held.
func (b *Breaker) versionLocked() uint64 {
	v := b.ownVersionLocked()
	if b.cfg.owner != nil {
		v += b.cfg.settings.Load().version - 1
	}
	return v
}

// ownVersionLocked returns the version without the changes of the set's
// settings. For a key it begins above every version that the set has forgotten,
// so that no version is used twice (I12): see Order.IfVersion. mu is held.
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

// result returns the state that the order would lead to.
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
	// VerbRelease: what the automatic state knows behind an override is old, so a
	// breaker that is not closed begins to probe; see liftLocked.
	if w&(flagForcedOpen|flagForcedClosed) != 0 && stateOf(w) != Closed {
		return HalfOpen
	}
	return stateOf(w)
}

// carryOutLocked carries out a valid order. mu is held.
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
		// Without an override there is nothing to lift, and no record.
		if c := b.cold.Load(); c != nil && c.override != nil {
			b.liftLocked(t, now)
		}
		return
	}
	// The other verbs set the automatic state, and lift an override without a
	// record of its own: the transition says both.
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
