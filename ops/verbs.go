package ops

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// The verbs that the plane adds to those of package breaker.
const (
	// VerbSet changes settings: Order.Settings is a patch of them.
	VerbSet breaker.Verb = "set"
	// VerbExtend adds Order.For to the end of an override. The override keeps
	// its reason unless the order has one; the actor of the order becomes that
	// of the override. With a wildcard it applies to overrides that have an
	// end.
	VerbExtend breaker.Verb = "extend"
	// VerbNote adds Order.Reason as a note to a breaker, which keeps its
	// newest five. Without a reason it removes all notes.
	VerbNote breaker.Verb = "note"
	// VerbAck says that the actor knows that a breaker is not closed, and
	// looks after it. It lasts until the breaker closes. With a wildcard it
	// applies to breakers that are not closed.
	VerbAck breaker.Verb = "ack"
	// VerbMark adds Order.Reason as a mark to the timeline: of the process
	// with "*" or no id, such as for a deployment, or of one breaker or set.
	VerbMark breaker.Verb = "mark"
	// VerbShadow judges calls by Order.Settings as well, as the shadow with the name
	// Order.Shadow: it says what they would have done, and changes nothing. It is
	// for a breaker, with "name/*" for a set, or with "*" for every breaker and set
	// that there is now. A shadow ends with the process.
	VerbShadow breaker.Verb = "shadow"
	// VerbUnshadow removes a shadow, with "*" from all that have it.
	VerbUnshadow breaker.Verb = "unshadow"
	// VerbPromote puts the settings of a shadow into effect. For a day, those from
	// before stay as the shadow breaker.BeforeShadow, which can be promoted to take
	// it back.
	VerbPromote breaker.Verb = "promote"
)

var verbs = []breaker.Verb{
	breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen,
	breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease,
	VerbSet, VerbExtend, VerbNote, VerbAck, VerbMark,
	VerbShadow, VerbUnshadow, VerbPromote,
}

// changesSettings reports whether the order changes settings in effect.
func (o *Order) changesSettings() bool { return o.Verb == VerbSet || o.Verb == VerbPromote }

// aboutShadow reports whether the order is about a shadow.
func (o *Order) aboutShadow() bool {
	return o.Verb == VerbShadow || o.Verb == VerbUnshadow || o.Verb == VerbPromote
}

// verbNames returns the verbs in words, such as "open, close or set".
func verbNames() string {
	var names []string
	for _, v := range verbs {
		names = append(names, string(v))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// checkPlaneVerb checks what Check leaves to the verbs that neither set an
// override nor open.
func (o *Order) checkPlaneVerb() error {
	if o.For != 0 && o.Verb != VerbExtend {
		return bad("%s for %s, want no time: it does not end by itself", o.Verb, o.For)
	}
	if o.NoExpiry {
		return bad("%s with no_expiry, want it with force-open or force-closed only", o.Verb)
	}
	switch {
	case o.Verb == VerbSet && len(o.Settings) == 0:
		return bad("set without settings, want an object with those to change")
	case o.Verb == VerbShadow && len(o.Settings) == 0:
		return bad("shadow without settings, want an object with those to try")
	case o.Verb == VerbShadow && o.Shadow == breaker.BeforeShadow:
		return bad("shadow %s, want another name: this one is for the settings from before a promotion", o.Shadow)
	case o.aboutShadow() && o.Shadow == "":
		return bad("%s without the name of a shadow (shadow), want one such as tight", o.Verb)
	case (o.Verb == VerbSet || o.Verb == VerbPromote) && o.ID == "*":
		return bad("%s for *, want an id or name/*: breakers differ in what their settings mean", o.Verb)
	case o.Verb == VerbExtend && o.For == 0:
		return bad("extend without a time (for), want what is added to the end of the override, such as 30m")
	case o.Verb == VerbNote && o.Wildcard():
		return bad("note for %s, want the id of one breaker", o.ID)
	case o.Verb == VerbMark && strings.TrimSpace(o.Reason) == "":
		return bad("mark without a reason, want the text of the mark")
	case o.IfVersion != 0 && (o.Verb == VerbNote || o.Verb == VerbAck || o.Verb == VerbMark || o.Verb == VerbShadow || o.Verb == VerbUnshadow):
		return bad("%s with if_version, want none: it changes no version", o.Verb)
	case len(o.States) > 0 && (o.Verb == VerbSet || o.Verb == VerbNote || o.Verb == VerbMark || o.aboutShadow()):
		return bad("%s with states, want none: it does not depend on a state", o.Verb)
	}
	return nil
}

// normalise fills in the id if the verb does not require one.
func (o *Order) normalise() {
	if o.Verb == VerbMark && o.ID == "" {
		o.ID = "*"
	}
}

// notMeantError is the error for a breaker that an order does not apply to: it is
// in another state now, has no override to extend, or is closed and needs no
// acknowledgement. An order with a wildcard leaves it alone. It matches
// breaker.ErrOrder.
type notMeantError struct{ why string }

func notMeant(format string, args ...any) error { return &notMeantError{fmt.Sprintf(format, args...)} }

func (e *notMeantError) Error() string        { return breaker.ErrOrder.Error() + ": " + e.why }
func (e *notMeantError) Is(target error) bool { return target == breaker.ErrOrder }

// meant reports whether an order with a wildcard applies to b, as far as that
// can be seen without its lock. apply decides.
func (o *Order) meant(b *breaker.Breaker) bool {
	if len(o.States) > 0 && !slices.Contains(o.States, b.State()) {
		return false
	}
	switch o.Verb {
	case VerbAck:
		return b.State() != breaker.Closed
	case VerbExtend:
		if s := b.State(); s != breaker.ForcedOpen && s != breaker.ForcedClosed {
			return false
		}
		x := b.Status().Override
		return x != nil && !x.Expires.IsZero()
	}
	return true
}

// apply gives the order to one breaker. It waits for no listener. What it says
// about the breaker's state is true at the moment of the order: the order is
// for the version that apply looked at, and if that has changed, apply looks
// again.
func (p *Plane) apply(b *breaker.Breaker, o Order) (Result, error) {
	if len(o.States) == 0 {
		return p.applyOnce(b, o)
	}
	for try := 1; ; try++ {
		s := b.Status()
		if !slices.Contains(o.States, s.State) {
			return Result{}, notMeant("%s is %s, and the order is for those that are %s", s.ID, s.State, stateNames(o.States))
		}
		o.IfVersion = s.Version
		res, err := p.applyOnce(b, o)
		if errors.Is(err, breaker.ErrVersion) && try < triesToSet {
			continue
		}
		return res, err
	}
}

func stateNames(states []breaker.State) string {
	var names []string
	for _, s := range states {
		names = append(names, s.String())
	}
	return strings.Join(names, " or ")
}

func (p *Plane) applyOnce(b *breaker.Breaker, o Order) (Result, error) {
	switch o.Verb {
	case VerbSet:
		return set(b, o)
	case VerbPromote:
		return promote(b, o)
	case VerbExtend:
		return extend(b, o)
	case VerbNote, VerbAck:
		return p.notes.apply(b, o)
	}
	r, err := b.Apply(o.core())
	r.ID = b.ID()
	return Result{Receipt: r}, err
}

// extend sets the override again with a later end, unless it was replaced or
// lifted since apply looked at it.
func extend(b *breaker.Breaker, o Order) (Result, error) {
	for try := 1; ; try++ {
		s := b.Status()
		res := Result{Receipt: breaker.Receipt{ID: s.ID}}
		switch {
		case s.Override == nil:
			return res, notMeant("extend of %s, which has no override", s.ID)
		case s.Override.Expires.IsZero():
			return res, notMeant("extend of %s, whose override has no end", s.ID)
		}
		longer := o.core()
		longer.Verb = breaker.VerbForceOpen
		if s.Override.State == breaker.ForcedClosed {
			longer.Verb = breaker.VerbForceClosed
		}
		if longer.Reason == "" {
			longer.Reason = s.Override.Reason
		}
		if longer.IfVersion == 0 {
			longer.IfVersion = s.Version
		}
		res.Expires = s.Override.Expires.Add(time.Duration(o.For))
		longer.For = time.Until(res.Expires)
		r, err := b.Apply(longer)
		if errors.Is(err, breaker.ErrVersion) && o.IfVersion == 0 && try < triesToSet {
			continue
		}
		r.ID = s.ID
		res.Receipt = r
		return res, err
	}
}
