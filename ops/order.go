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
	// is still this one; for VerbSet with "name/*", the version of the set's
	// settings. It cannot be used with a wildcard otherwise.
	IfVersion uint64 `json:"if_version,omitempty"`
	// Confirm is required with a wildcard, except in a dry run: the order is
	// refused if it applies to more ids than this.
	Confirm int `json:"confirm,omitempty"`
	// DryRun returns the receipt without making the change.
	DryRun bool `json:"dry_run,omitempty"`
	// Settings is the patch of VerbSet: a JSON object with the settings to
	// change, in the format of breaker.Settings. With "name/*" it changes the
	// settings of the set, including those of keys that are created later.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// ParseOrder parses an order from JSON. An unknown field is an error, because
// the sender relies on its effect, and so is a field that appears twice. The
// error matches breaker.ErrOrder. ParseOrder does not check whether the order
// is valid; see Check.
func ParseOrder(text []byte) (o Order, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&o); err == nil {
		err = wholeObject(text)
	}
	if err != nil {
		return o, bad("%s, want one JSON object", strings.TrimPrefix(err.Error(), "json: "))
	}
	return o.normal(), nil
}

// wholeObject checks that text is one JSON object and nothing else, and that
// no field appears twice. If one does, encoding/json silently takes the last,
// which a person or a proxy that looked at the order may not have noticed.
func wholeObject(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return cmp.Or(err, errors.New("not an object"))
	}
	seen := make(map[string]bool)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		field := strings.ToLower(name.(string)) // encoding/json ignores case; only names are strings here
		if seen[field] {
			return fmt.Errorf("%s appears twice", field)
		}
		seen[field] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// Wildcard reports whether the order may apply to more than one breaker.
func (o *Order) Wildcard() bool { return o.ID == "*" || strings.HasSuffix(o.ID, "/*") }

// Check reports what is wrong with the order itself, regardless of which
// breakers exist. The error matches breaker.ErrOrder.
func (o *Order) Check() error {
	for _, err := range []error{checkText("actor", o.Actor, maxActor), checkText("reason", o.Reason, maxReason)} {
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
	case o.Wildcard() && o.IfVersion != 0 && o.Verb != VerbSet:
		return bad("if_version with the wildcard %s, want one id: each breaker has its own version", o.ID)
	case len(o.States) > 0 && o.IfVersion != 0:
		return bad("states with if_version, want one of them: a version has one state")
	case o.Confirm < 0:
		return bad("confirm is %d, want the number of ids that the order may touch", o.Confirm)
	case o.For < 0:
		return bad("for is %s, want a time above 0", o.For)
	case o.Verb != VerbSet && len(o.Settings) > 0:
		return bad("%s with settings, want them with set only", o.Verb)
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

// Receipt says what an order did, or would do.
type Receipt struct {
	ID     string       `json:"id"` // the order's
	Verb   breaker.Verb `json:"verb"`
	DryRun bool         `json:"dry_run,omitempty"`
	// Matched is the number of ids that the order applies to: the minimum for
	// Confirm.
	Matched int `json:"matched"`
	// Touched is the number of ids that it changed, or would change.
	Touched int `json:"touched"`
	// Failed is the number of ids that could not be changed.
	Failed int `json:"failed,omitempty"`
	// Moves counts the ids of an order for several by the states that they go
	// from and to: first those that change, then those that stay.
	Moves []Move `json:"moves,omitempty"`
	// Results has one entry for each id, but at most 1,000; Omitted counts the
	// others. Ids that failed come first, then those that change their state.
	Results []Result `json:"results"`
	Omitted int      `json:"omitted,omitempty"`
	// SetBefore and SetAfter are the common settings of a set, for VerbSet
	// with "name/*".
	SetBefore *breaker.Settings `json:"set_before,omitempty"`
	SetAfter  *breaker.Settings `json:"set_after,omitempty"`
	// Note says what the order does not do although it may be expected: an
	// override for "name/*" does not apply to keys that are created later.
	Note string `json:"note,omitempty"`
	// AuditError says why the order was not written to the audit log. It was
	// carried out nevertheless.
	AuditError string `json:"audit_error,omitempty"`
	// StandingError says why the order will not outlive a restart of the
	// process, although Options.Standing asks for that. It was carried out
	// nevertheless.
	StandingError string `json:"standing_error,omitempty"`
}

// Move is how many breakers an order takes from one state to another, or
// leaves in a state.
type Move struct {
	From  breaker.State `json:"from"`
	To    breaker.State `json:"to"`
	Count int           `json:"count"`
}

// Result is what an order did to one breaker.
type Result struct {
	breaker.Receipt
	// Expires is when the override ends, for VerbExtend.
	Expires time.Time `json:"expires,omitzero"`
	// SettingsBefore and SettingsAfter are the settings in effect, for
	// VerbSet.
	SettingsBefore *breaker.Settings `json:"settings_before,omitempty"`
	SettingsAfter  *breaker.Settings `json:"settings_after,omitempty"`
	// Error says why this id could not be changed.
	Error string `json:"error,omitempty"`
}

// changed reports whether an order with this verb changed anything, or would.
func (r *Result) changed(verb breaker.Verb) bool {
	switch {
	case r.Error != "":
		return false
	case verb == VerbNote, verb == VerbAck:
		return true
	case r.SettingsBefore != nil:
		return *r.SettingsBefore != *r.SettingsAfter
	case r.DryRun:
		return verb != breaker.VerbRelease || r.Before != r.After
	}
	return r.Version != r.From
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

const maxResults = 1000

func (r *Receipt) add(res Result, err error) {
	if err != nil {
		res.Error = err.Error()
		r.Failed++
	}
	if res.changed(r.Verb) {
		r.Touched++
	}
	r.Results = append(r.Results, res)
}

// shorten moves the most important results of many to the front, counts the
// moves, and drops the results beyond maxResults.
func (r *Receipt) shorten() {
	if r.Matched <= 1 && len(r.Results) <= maxResults {
		return
	}
	moves := map[Move]int{}
	for i := range r.Results {
		if x := &r.Results[i]; x.Error == "" {
			moves[Move{From: x.Before, To: x.After}]++
		}
	}
	for m, n := range moves {
		m.Count = n
		r.Moves = append(r.Moves, m)
	}
	slices.SortFunc(r.Moves, func(a, b Move) int {
		return cmp.Or(btoi(a.From == a.To)-btoi(b.From == b.To), b.Count-a.Count, cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	slices.SortStableFunc(r.Results, func(a, b Result) int { return a.rank() - b.rank() })
	r.Omitted = max(0, len(r.Results)-maxResults)
	r.Results = slices.Clip(r.Results[:len(r.Results)-r.Omitted])
}

// rank orders results by importance.
func (r *Result) rank() int {
	switch {
	case r.Error != "":
		return 0
	case r.Before != r.After:
		return 1
	}
	return 2
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
