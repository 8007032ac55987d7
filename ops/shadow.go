package ops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// ShadowsOf are the shadows of a breaker, or of the keys of a set: candidate
// settings that are judged beside those in effect, see breaker.Breaker.Shadow.
type ShadowsOf struct {
	ID      string                 `json:"id"` // "name/*" for those of a set
	Shadows []breaker.ShadowStatus `json:"shadows"`
}

// ShadowEvent is a transition that a shadow would have made.
type ShadowEvent struct {
	Name       string             `json:"name"`
	Transition breaker.Transition `json:"transition"`
}

// Shadows is what the shadows of every breaker and set would have done so far,
// sorted by id.
func (p *Plane) Shadows() []ShadowsOf {
	out := []ShadowsOf{}
	for name, all := range p.m.Shadows() {
		id := name
		if _, err := p.m.LookupSet(name); err == nil {
			id += "/*"
		}
		out = append(out, ShadowsOf{id, all})
	}
	slices.SortFunc(out, func(a, b ShadowsOf) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (e *endpoint) getShadows(w http.ResponseWriter, r *http.Request) error {
	return e.answerJSON(w, r, func() (any, error) { return map[string][]ShadowsOf{"shadows": e.Shadows()}, nil })
}

// Shadows asks what shadows would have done so far, as Plane.Shadows does.
func (c *Client) Shadows(ctx context.Context) ([]ShadowsOf, error) {
	var reply struct {
		Shadows []ShadowsOf `json:"shadows"`
	}
	err := c.get(ctx, "/v1/shadows", nil, &reply)
	return reply.Shadows, err
}

// shadowed is a breaker or a set.
type shadowed interface {
	Settings() breaker.Settings
	Shadow(name string, s breaker.Settings) error
	Unshadow(name string) bool
	Shadows() []breaker.ShadowStatus
}

// shadow adds or removes the shadow of a breaker, of a set, or with * of all of
// them. It touches neither states nor settings, so the number of keys need not be
// confirmed. If one of several has no room for it, nothing is changed.
func (r *Receipt) shadow(m *breaker.Manager, o Order) error {
	if o.ID == "*" {
		return r.shadowAll(m, o)
	}
	of, res, err := shadowedBy(m, o)
	if err == nil {
		err = r.shadowOne(of, o, &res)
	}
	if err != nil {
		return err
	}
	r.Matched = 1
	r.add(res, nil)
	return nil
}

// shadowAll is shadow for *. Breakers and sets without the shadow that is to be
// removed are left alone.
func (r *Receipt) shadowAll(m *breaker.Manager, o Order) error {
	// Calls names every breaker and set, because a plane observes its manager.
	var ids []string
	for name := range m.Calls() {
		if _, err := m.LookupSet(name); err == nil {
			name += "/*"
		}
		ids = append(ids, name)
	}
	slices.Sort(ids)
	for _, dry := range []bool{true, o.DryRun} {
		r.Matched, r.Touched, r.Results = 0, 0, []Result{}
		for _, id := range ids {
			one := o
			one.ID, one.DryRun = id, dry
			of, res, err := shadowedBy(m, one)
			if err == nil {
				err = r.shadowOne(of, one, &res)
			}
			switch {
			case o.Verb == VerbUnshadow && errors.Is(err, breaker.ErrShadow):
				continue
			case err != nil:
				return err
			}
			r.Matched++
			res.DryRun = o.DryRun
			r.add(res, nil)
		}
	}
	if r.Matched == 0 {
		return fmt.Errorf("%w: nothing has a shadow %q", breaker.ErrShadow, o.Shadow)
	}
	return nil
}

// shadowedBy returns the breaker or set that an order is about.
func shadowedBy(m *breaker.Manager, o Order) (of shadowed, res Result, err error) {
	res = Result{Receipt: breaker.Receipt{ID: o.ID, DryRun: o.DryRun}}
	if name, wild := strings.CutSuffix(o.ID, "/*"); wild {
		s, err := m.LookupSet(name)
		if err != nil {
			return nil, res, err
		}
		res.From, res.Version = s.Version(), s.Version()
		return s, res, nil
	}
	b, err := find(m, o.ID)
	if err != nil {
		return nil, res, err
	}
	if b.Key() != "" {
		return nil, res, bad("%s of the key %s, want %s/*: a set has shadows for all of its keys", o.Verb, o.ID, b.Name())
	}
	s := b.Status()
	res.Before, res.After, res.From, res.Version = s.State, s.State, s.Version, s.Version
	return b, res, nil
}

// shadowOne adds or removes a shadow, or checks whether that would be possible.
func (r *Receipt) shadowOne(of shadowed, o Order, res *Result) error {
	there := slices.ContainsFunc(of.Shadows(), func(s breaker.ShadowStatus) bool { return s.Name == o.Shadow })
	if o.Verb == VerbUnshadow {
		if !there || !o.DryRun && !of.Unshadow(o.Shadow) {
			return noShadow(o, of)
		}
		return nil
	}
	now := of.Settings()
	tried, err := patch(now, o.Settings)
	if err != nil {
		return err
	}
	res.Tries = now.Diff(tried)
	if there {
		r.Note = "a shadow of this name is replaced; the new one starts over"
	}
	switch {
	case !o.DryRun:
		err = of.Shadow(o.Shadow, tried)
	case !there && len(of.Shadows()) >= breaker.MaxShadows:
		err = fmt.Errorf("%w: %s has %d shadows already, want at most %d: remove one first", breaker.ErrShadow, o.ID, breaker.MaxShadows, breaker.MaxShadows)
	default:
		err = breaker.ValidateName(o.Shadow)
	}
	if errors.Is(err, breaker.ErrName) {
		return bad("shadow %q: %v", o.Shadow, err)
	}
	return err
}

// noShadow is the error for a shadow that is not there.
func noShadow(o Order, of shadowed) error {
	var names []string
	for _, s := range of.Shadows() {
		names = append(names, s.Name)
	}
	want := "it has none"
	if len(names) > 0 {
		want = "want " + strings.Join(names, " or ")
	}
	return fmt.Errorf("%w: %s has no shadow %q, %s", breaker.ErrShadow, o.ID, o.Shadow, want)
}

// shadowSettings are what a shadow tries.
func shadowSettings(o Order, of shadowed) (breaker.Settings, error) {
	for _, s := range of.Shadows() {
		if s.Name == o.Shadow {
			return s.Settings, nil
		}
	}
	return breaker.Settings{}, noShadow(o, of)
}

// promote puts the settings of a shadow into effect. Like set, it looks again if
// the version moves meanwhile.
func promote(b *breaker.Breaker, o Order) (Result, error) {
	if b.Key() != "" {
		return Result{Receipt: breaker.Receipt{ID: b.ID()}}, bad("promote of the key %s, want %s/*: a set has shadows for all of its keys", b.ID(), b.Name())
	}
	return change(b, o, func(breaker.Settings) (breaker.Settings, error) { return shadowSettings(o, b) },
		func(_ breaker.Settings, version uint64) (breaker.Receipt, error) { return b.Promote(o.Shadow, version) })
}
