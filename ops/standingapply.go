package ops

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// maxNotices is the limit of notices for one name. A set may have a hundred
// thousand keys.
const maxNotices = 100

// apply applies what is kept for the breaker or set with this name, which has
// just been created. It runs on the goroutine that created it, so it must not
// wait for a disk.
func (s *standing) apply(name string) {
	if !s.has(name) {
		return
	}
	s.giving.Lock()
	a := applying{s: s, name: name}
	for _, id := range s.idsOf(name) {
		a.one(id)
	}
	s.giving.Unlock()
	for _, n := range a.notices[:min(len(a.notices), maxNotices)] {
		s.tell(n.standingNotice)
	}
	if more := len(a.notices) - maxNotices; more > 0 {
		s.tell(standingNotice{order: Order{ID: name + "/*"}, text: fmt.Sprintf("%d more notices about %s are left out", more, name)})
	}
	if a.dropped {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.startLocked()
	}
}

func (s *standing) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name] != nil
}

// idsOf returns the ids of a name for which something is kept, the set's
// first, because its keys' settings are applied on top of it.
func (s *standing) idsOf(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := name + "/*"
	return slices.SortedFunc(maps.Keys(s.names[name]), func(a, b string) int {
		if a == all || b == all {
			return btoi(b == all) - btoi(a == all)
		}
		return strings.Compare(a, b)
	})
}

// record returns a copy of what is kept for id. It no longer waits for its
// breaker.
func (s *standing) record(id string) standingRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.names[nameOf(id)][id]
	if r == nil {
		return standingRecord{}
	}
	s.appliedLocked(r)
	return standingRecord{override: r.override, settings: slices.Clone(r.settings)}
}

func (s *standing) drop(id string, override bool, setting func(standingSetting) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(id, override, setting)
}

// applying applies what is kept for one name. giving is held.
type applying struct {
	s       *standing
	name    string
	dropped bool
	notices []*countedNotice
}

// countedNotice is one notice for all ids that it applies to.
type countedNotice struct {
	standingNotice
	override *standingOverride
	outcome  string // of the first id, for all
	kind     outcomeKind
	ids      int
}

type outcomeKind int

const (
	applied outcomeKind = iota
	ended
	lost
)

// settable is a breaker or a set.
type settable interface {
	Settings() breaker.Settings
	Update(breaker.Settings) error
}

func (a *applying) one(id string) {
	r := a.s.record(id)
	set, b, err := a.find(id)
	if err != nil {
		a.lose(id, &r, err)
		return
	}
	if len(r.settings) > 0 {
		if set != nil {
			a.set(set, id, r.settings)
		} else {
			a.set(b, id, r.settings)
		}
	}
	if r.override != nil && b != nil {
		a.override(b, id, r.override)
	}
}

// find returns what id names: a set, with "name/*", or a breaker. The breaker
// of a key is created if necessary.
func (a *applying) find(id string) (breaker.AnySet, *breaker.Breaker, error) {
	_, key, keyed := strings.Cut(id, "/")
	if !keyed {
		b, err := a.s.m.Lookup(id)
		if err != nil {
			err = fmt.Errorf("%s is not a breaker any more", id)
		}
		return nil, b, err
	}
	set, err := a.s.m.LookupSet(a.name)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s is not a set any more", a.name)
	case key == "*":
		return set, nil, nil
	}
	b, err := set.BreakerOf(key)
	if err != nil {
		return nil, nil, fmt.Errorf("%q is not the text of a key of %s any more", key, a.name)
	}
	return nil, b, nil
}

// lose drops everything that is kept for id.
func (a *applying) lose(id string, r *standingRecord, why error) {
	if r.override != nil {
		a.overrideNotice(id, r.override, "is lost: "+why.Error(), lost)
	}
	a.settingsNotice(id, r.settings, "is lost: "+why.Error(), lost)
	a.drop(id, true, func(standingSetting) bool { return true })
}

func (a *applying) drop(id string, override bool, setting func(standingSetting) bool) {
	a.s.drop(id, override, setting)
	a.dropped = true
}

func (a *applying) override(b *breaker.Breaker, id string, o *standingOverride) {
	core := breaker.Order{Verb: breaker.VerbForceOpen, Actor: o.Actor, Reason: o.Reason}
	if o.State == breaker.ForcedClosed {
		core.Verb = breaker.VerbForceClosed
	}
	until := "until the override is released"
	if !o.Expires.IsZero() {
		until = "until " + o.Expires.Format(time.RFC3339)
		if core.For = time.Until(o.Expires); core.For <= 0 {
			a.overrideNotice(id, o, "is not applied again: it ended at "+o.Expires.Format(time.RFC3339)+", while the process was down", ended)
			a.drop(id, true, nil)
			return
		}
	}
	if o.is(b.Status().Override) {
		return // it never ended: the plane was created again in the same process
	}
	if _, err := b.Apply(core); err != nil {
		a.overrideNotice(id, o, "is lost: "+err.Error(), lost)
		a.drop(id, true, nil)
		return
	}
	a.overrideNotice(id, o, "is applied again, "+until, applied)
}

// set applies those settings that still exist, all together.
func (a *applying) set(x settable, id string, settings []standingSetting) {
	var good []standingSetting
	for _, one := range settings {
		var probe breaker.Settings
		if err := json.Unmarshal(patchOf([]standingSetting{one}), &probe); err != nil {
			a.loseSettings(id, []standingSetting{one}, err)
			continue
		}
		good = append(good, one)
	}
	if len(good) == 0 {
		return
	}
	after, err := patch(x.Settings(), patchOf(good))
	if err == nil {
		err = x.Update(after)
	}
	if err != nil {
		a.loseSettings(id, good, err)
		return
	}
	a.settingsNotice(id, good, "is applied again", applied)
}

func (a *applying) loseSettings(id string, gone []standingSetting, why error) {
	a.settingsNotice(id, gone, "is lost: "+why.Error(), lost)
	a.drop(id, false, func(s standingSetting) bool {
		return slices.ContainsFunc(gone, func(l standingSetting) bool { return l.Key == s.Key })
	})
}

// patchOf returns settings as a patch, as in an order.
func patchOf(settings []standingSetting) json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, s := range settings {
		all[s.Key] = s.Value
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil // a value that is not JSON; json.Unmarshal refuses it
	}
	return text
}

// overrideNotice makes one notice for all ids of an order with this outcome.
func (a *applying) overrideNotice(id string, o *standingOverride, outcome string, kind outcomeKind) {
	for _, n := range a.notices {
		if n.override == o && n.kind == kind {
			n.ids++
			n.order.ID = a.name + "/*"
			n.text = fmt.Sprintf("%s, with %d keys", describe(&n.order, o.Since, n.outcome), n.ids)
			return
		}
	}
	order := Order{ID: id, Verb: breaker.VerbForceOpen, Actor: o.Actor, Reason: o.Reason, NoExpiry: o.Expires.IsZero()}
	if o.State == breaker.ForcedClosed {
		order.Verb = breaker.VerbForceClosed
	}
	if !o.Expires.IsZero() {
		order.For = Duration(o.Expires.Sub(o.Since))
	}
	a.notices = append(a.notices, &countedNotice{standingNotice{order, describe(&order, o.Since, outcome), kind != applied}, o, outcome, kind, 1})
}

// settingsNotice makes a notice for each order that the settings come from.
func (a *applying) settingsNotice(id string, settings []standingSetting, outcome string, kind outcomeKind) {
	for len(settings) > 0 {
		first := settings[0]
		same := func(s standingSetting) bool {
			return s.Actor == first.Actor && s.Reason == first.Reason && s.Since.Equal(first.Since)
		}
		var order []standingSetting
		for _, s := range settings {
			if same(s) {
				order = append(order, s)
			}
		}
		settings = slices.DeleteFunc(slices.Clone(settings), same)
		o := Order{ID: id, Verb: VerbSet, Actor: first.Actor, Reason: first.Reason, Settings: patchOf(order)}
		a.notices = append(a.notices, &countedNotice{standingNotice{o, describe(&o, first.Since, outcome), kind != applied}, nil, outcome, kind, 1})
	}
}

// describe says what happened to an order.
func describe(o *Order, since time.Time, outcome string) string {
	text := string(o.Verb)
	if o.Verb == VerbSet {
		text += " " + string(o.Settings)
	}
	text += fmt.Sprintf(" by %s at %s", o.Actor, since.Format(time.RFC3339))
	if o.Reason != "" {
		text += fmt.Sprintf(" (%q)", o.Reason)
	}
	return text + " " + outcome
}
