package ops

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

// Limits of an order, in bytes.
const (
	maxActor  = 256
	maxReason = 2000
	maxID     = 4096
)

// Order is a change that an operator asks for. It is the same on every
// transport.
type Order struct {
	// ID is the id of a breaker, "name" or "name/key"; or "name/*" for every
	// key that the set with this name remembers; or "*" for all breakers and
	// keys. Those that are created later are not affected, except by VerbSet
	// with "name/*".
	ID string `json:"id"`
	// Verb is a verb of package breaker or of this package.
	Verb breaker.Verb `json:"verb"`
	// Actor is who gives the order. It is required.
	Actor string `json:"actor"`
	// Reason is why, in the actor's words, or the text of a note or mark. It
	// is required for an override, because other people will find it.
	Reason string `json:"reason,omitempty"`
	// For is how long an override lasts, or the open time of an order to open,
	// or what VerbExtend adds. An override must have For or NoExpiry.
	For Duration `json:"for,omitzero"`
	// NoExpiry means that an override lasts until it is released.
	NoExpiry bool `json:"no_expiry,omitempty"`
	// States, unless empty, are the states in which the order applies to a
	// breaker at the moment of the order. Others are left alone: with a
	// wildcard they do not count as matched, and for a single breaker the
	// receipt shows that none matched.
	States []breaker.State `json:"states,omitempty"`
	// IfVersion, unless 0, makes the order fail unless the breaker's version
	// is still this one; for VerbSet and VerbPromote with "name/*", the version
	// of the set's settings. It cannot be used with a wildcard otherwise.
	IfVersion uint64 `json:"if_version,omitempty"`
	// Confirm is required with a wildcard, except in a dry run: the order is
	// refused if it applies to more ids than this. VerbShadow and VerbUnshadow
	// need none.
	Confirm int `json:"confirm,omitempty"`
	// DryRun returns the receipt without making the change.
	DryRun bool `json:"dry_run,omitempty"`
	// Shadow is the name of the shadow that VerbShadow adds, VerbUnshadow
	// removes and VerbPromote puts into effect.
	Shadow string `json:"shadow,omitempty"`
	// Settings is the patch of VerbSet, or how the settings of VerbShadow differ
	// from those in effect: a JSON object with the settings to change, in the
	// format of breaker.Settings. With "name/*" it is about the settings of the
	// set, including those of keys that are created later.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// ParseOrder parses an order from JSON into o, an *Order or a pointer to a struct
// that embeds Order. Use it to receive orders in a way of your own, such as from a
// queue, and give them to Plane.Do. An unknown field is an error, because the
// sender relies on its effect, and so is a field that appears twice. The error
// matches breaker.ErrOrder; then o is undefined. ParseOrder does not check whether
// the order is valid; see Check.
func ParseOrder(text []byte, o any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(o)
	if err == nil {
		err = wholeObject(text)
	}
	switch {
	case errors.Is(err, breaker.ErrOrder):
		return err
	case err != nil:
		return bad("%s, want one JSON object", strings.TrimPrefix(err.Error(), "json: "))
	}
	if x, ok := o.(interface{ normalize() }); ok {
		x.normalize()
	}
	return nil
}

// wholeObject checks that text is one JSON object and nothing else, and that
// no field appears twice. If one does, encoding/json silently takes the last,
// which a person or a proxy that looked at the order may not have noticed.
func wholeObject(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return cmp.Or(err, errors.New("not an object"))
	}
	if err := fieldsOnce(dec, ""); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// fieldsOnce reads the rest of the object at a path. The settings of an order are
// left to breaker.Settings, which says more about them.
func fieldsOnce(dec *json.Decoder, path string) error {
	seen := make(map[string]bool)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		field := name.(string) // only names are strings here
		if path == "" {
			field = strings.Map(foldRune, field) // as encoding/json does for a struct
		}
		if seen[field] {
			return bad("%s appears twice, want it once", path+field)
		}
		seen[field] = true
		if field == "settings" && path == "" {
			err = dec.Decode(new(json.RawMessage))
		} else {
			err = valueOnce(dec, path+field+".")
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.Token() // the end of the object
	return err
}

// valueOnce reads a value, of whose objects path is the beginning.
func valueOnce(dec *json.Decoder, path string) error {
	start, err := dec.Token()
	switch {
	case err != nil:
		return err
	case start == json.Delim('{'):
		return fieldsOnce(dec, path)
	case start != json.Delim('['):
		return nil
	}
	for dec.More() {
		if err := valueOnce(dec, path); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the end of the array
	return err
}

// foldRune maps all runes that encoding/json takes for the same letter in a
// field's name to one of them: it ignores case as Unicode defines it, so that
// the long s is an s.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}

// Wildcard reports whether the order may apply to more than one breaker.
func (o *Order) Wildcard() bool { return o.ID == "*" || strings.HasSuffix(o.ID, "/*") }

// Check reports what is wrong with the order itself, regardless of which
// breakers exist. The error matches breaker.ErrOrder.
func (o *Order) Check() error {
	for _, err := range []error{checkText("actor", o.Actor, maxActor), checkText("reason", o.Reason, maxReason), checkText("shadow", o.Shadow, maxActor)} {
		if err != nil {
			return err
		}
	}
	switch {
	case len(o.ID) > maxID:
		return bad("id has %d bytes, want at most %d", len(o.ID), maxID)
	case o.ID == "" && o.Verb != VerbMark:
		return bad("no id, want a breaker's id, name/* or *")
	case strings.TrimSpace(o.Actor) == "":
		return bad("no actor, want the name of who gives the order")
	case o.Wildcard() && o.IfVersion != 0 && !o.changesSettings():
		return bad("if_version with the wildcard %s, want one id: each breaker has its own version", o.ID)
	case len(o.States) > 0 && o.IfVersion != 0:
		return bad("states with if_version, want one of them: a version has one state")
	case o.Confirm < 0:
		return bad("confirm is %d, want the number of ids that the order may touch", o.Confirm)
	case o.For < 0:
		return bad("for is %s, want a time above 0", o.For)
	case o.Verb != VerbSet && o.Verb != VerbShadow && len(o.Settings) > 0:
		return bad("%s with settings, want them with set and shadow only", o.Verb)
	case o.Shadow != "" && !o.aboutShadow():
		return bad("%s with the name of a shadow, want it with shadow, unshadow and promote only", o.Verb)
	}
	return o.checkVerb()
}

func (o *Order) checkVerb() error {
	switch o.Verb {
	case breaker.VerbForceOpen, breaker.VerbForceClosed:
		switch {
		case o.For == 0 && !o.NoExpiry:
			return bad("%s without an end, want a time (for) or no_expiry", o.Verb)
		case o.For != 0 && o.NoExpiry:
			return bad("%s for %s and with no_expiry, want one of them", o.Verb, o.For)
		case strings.TrimSpace(o.Reason) == "":
			return bad("%s without a reason, want one: an override outlasts the person who set it", o.Verb)
		}
		return nil
	case breaker.VerbOpen:
		if o.NoExpiry {
			return bad("open with no_expiry, want it with force-open or force-closed only")
		}
		return nil
	}
	if !slices.Contains(verbs, o.Verb) {
		return bad("verb %q, want %s", o.Verb, verbNames())
	}
	return o.checkPlaneVerb()
}

func checkText(field, s string, most int) error {
	switch {
	case len(s) > most:
		return bad("%s has %d bytes, want at most %d", field, len(s), most)
	case !utf8.ValidString(s):
		return bad("%s is not UTF-8", field)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && (field != "reason" || r != '\n' && r != '\t') }):
		return bad("%s has a control character", field)
	}
	return nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", breaker.ErrOrder, fmt.Sprintf(format, args...))
}

// note returns Receipt.Note.
func (o *Order) note() string {
	switch o.Verb {
	case breaker.VerbOpen, breaker.VerbForceOpen, breaker.VerbForceClosed:
	default:
		return ""
	}
	if set, ok := strings.CutSuffix(o.ID, "/*"); ok {
		return "keys that " + set + " creates later are not affected: they begin closed, without an override"
	}
	if o.ID == "*" {
		return "breakers and keys that are created later are not affected: they begin closed, without an override"
	}
	return ""
}

func (o *Order) core() breaker.Order {
	return breaker.Order{
		Verb:      o.Verb,
		Actor:     o.Actor,
		Reason:    o.Reason,
		For:       time.Duration(o.For),
		IfVersion: o.IfVersion,
		DryRun:    o.DryRun,
	}
}

// Duration is a time.Duration that is a string such as "1m30s" in JSON.
type Duration time.Duration

// String returns the duration as time.Duration formats it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the text of String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses what time.ParseDuration parses.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration, want one such as 30s or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
