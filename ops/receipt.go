package ops

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

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
	// and VerbPromote with "name/*".
	SetBefore *breaker.Settings `json:"set_before,omitempty"`
	SetAfter  *breaker.Settings `json:"set_after,omitempty"`
	// Note says what the order does not do although it may be expected: an
	// override for "name/*" does not apply to keys that are created later. Of
	// VerbShadow it says that a shadow was replaced.
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
	// VerbSet and VerbPromote.
	SettingsBefore *breaker.Settings `json:"settings_before,omitempty"`
	SettingsAfter  *breaker.Settings `json:"settings_after,omitempty"`
	// Tries is what a shadow tries in place of the settings in effect.
	Tries []breaker.SettingsChange `json:"tries,omitempty"`
	// Error says why this id could not be changed.
	Error string `json:"error,omitempty"`
}

// changed reports whether an order with this verb changed anything, or would.
func (r *Result) changed(verb breaker.Verb) bool {
	switch {
	case r.Error != "":
		return false
	case verb == VerbNote, verb == VerbAck, verb == VerbShadow, verb == VerbUnshadow:
		return true
	case r.SettingsBefore != nil:
		return *r.SettingsBefore != *r.SettingsAfter
	case r.DryRun:
		return verb != breaker.VerbRelease || r.Before != r.After
	}
	return r.Version != r.From
}

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

const maxResults = 1000
