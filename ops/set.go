package ops

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

const triesToSet = 10

// set patches the settings of one breaker. Its version may change between the
// look and the update, for example by a trip; without IfVersion it tries
// again.
func set(b *breaker.Breaker, o Order) (Result, error) {
	return change(b, o, func(s breaker.Settings) (breaker.Settings, error) { return patch(s, o.Settings) }, b.UpdateIf)
}

// change changes the settings of one breaker to those that to makes of them.
func change(b *breaker.Breaker, o Order, to func(breaker.Settings) (breaker.Settings, error), update func(breaker.Settings, uint64) (breaker.Receipt, error)) (Result, error) {
	for try := 1; ; try++ {
		s := b.Status()
		res := Result{Receipt: breaker.Receipt{ID: s.ID, Before: s.State, After: s.State, From: s.Version, Version: s.Version, DryRun: o.DryRun}}
		after, err := to(s.Settings)
		if err != nil {
			return res, err
		}
		res.SettingsBefore, res.SettingsAfter = &s.Settings, &after
		if o.IfVersion != 0 && o.IfVersion != s.Version {
			return res, fmt.Errorf("%w: %s is at version %d, the order was for %d", breaker.ErrVersion, s.ID, s.Version, o.IfVersion)
		}
		if o.DryRun {
			return res, nil
		}
		done, err := update(after, s.Version)
		if errors.Is(err, breaker.ErrVersion) && o.IfVersion == 0 && try < triesToSet {
			continue
		}
		if err != nil {
			return res, err
		}
		res.Receipt = done
		after = b.Settings()
		return res, nil
	}
}

// setAll changes the settings of a set: those of keys that are created later,
// and of existing keys except those with settings of their own.
func (r *Receipt) setAll(m *breaker.Manager, o Order) error {
	s, err := m.LookupSet(strings.TrimSuffix(o.ID, "/*"))
	if err != nil {
		return err
	}
	keys := s.Breakers()
	if r.Matched, err = o.confirmed(len(keys)); err != nil {
		return err
	}
	before := make([]breaker.Status, len(keys))
	for i, b := range keys {
		before[i] = b.Status()
	}
	was, is, err := updateSet(s, o)
	if err != nil {
		return err
	}
	r.SetBefore, r.SetAfter = &was, &is
	for i, b := range keys {
		old, now := &before[i], b.Status()
		res := Result{
			Receipt:        breaker.Receipt{ID: old.ID, Before: old.State, After: now.State, From: old.Version, Version: now.Version, DryRun: o.DryRun},
			SettingsBefore: &old.Settings, SettingsAfter: &now.Settings,
		}
		if o.DryRun && old.Settings == was {
			res.SettingsAfter = &is
		}
		r.add(res, nil)
	}
	return nil
}

// changes returns what an order changed in the settings of one breaker or set.
func (r *Receipt) changes() []breaker.SettingsChange {
	switch {
	case r.SetBefore != nil:
		return r.SetBefore.Diff(*r.SetAfter)
	case len(r.Results) == 1 && r.Results[0].SettingsBefore != nil:
		return r.Results[0].SettingsBefore.Diff(*r.Results[0].SettingsAfter)
	}
	return nil
}

// changed is what an order changed in settings, as a patch of them.
func (r *Receipt) changed() json.RawMessage {
	after := r.SetAfter
	if after == nil && len(r.Results) == 1 {
		after = r.Results[0].SettingsAfter
	}
	if after == nil {
		return nil
	}
	var all map[string]json.RawMessage
	text, err := json.Marshal(after)
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil // settings are an object
	}
	patch := map[string]json.RawMessage{}
	for _, c := range r.changes() {
		value, ok := all[c.Key]
		if !ok {
			value = json.RawMessage("0") // zeros are left out
		}
		patch[c.Key] = value
	}
	text, _ = json.Marshal(patch)
	return text
}

// updateSet changes the common settings of a set, and returns them as they
// were before and are now, or in a dry run would be.
func updateSet(s breaker.AnySet, o Order) (was, is breaker.Settings, err error) {
	for try := 1; ; try++ {
		version := s.Version()
		was = s.Settings()
		if o.Verb == VerbPromote {
			is, err = shadowSettings(o, s)
		} else {
			is, err = patch(was, o.Settings)
		}
		if err == nil && o.IfVersion != 0 && o.IfVersion != version {
			err = fmt.Errorf("%w: %s is at version %d, the order was for %d", breaker.ErrVersion, o.ID, version, o.IfVersion)
		}
		if err != nil || o.DryRun {
			return was, is, err
		}
		if o.Verb == VerbPromote {
			_, err = s.Promote(o.Shadow, version)
			is = s.Settings() // the shadow may have been replaced meanwhile
		} else {
			_, err = s.UpdateIf(is, version)
		}
		if errors.Is(err, breaker.ErrVersion) && o.IfVersion == 0 && try < triesToSet {
			continue
		}
		return was, is, err
	}
}

// patch decodes a patch onto settings. Fields that it does not name stay as
// they are, except those whose default depends on another setting: unless they
// were set explicitly, they follow it.
func patch(s breaker.Settings, by json.RawMessage) (breaker.Settings, error) {
	s = chosen(s)
	if err := json.Unmarshal(by, &s); err != nil {
		if errors.Is(err, breaker.ErrSettings) {
			return s, err
		}
		return s, fmt.Errorf("%w: %w", breaker.ErrSettings, err)
	}
	if err := s.Validate(); err != nil {
		return s, err
	}
	return s.WithDefaults(), nil
}

// chosen returns s, which are in effect, without the defaults that depend on
// other settings.
func chosen(s breaker.Settings) breaker.Settings {
	whole := s
	for _, derived := range []func(*breaker.Settings){
		func(s *breaker.Settings) { s.ProbeTimeout = 0 },
		func(s *breaker.Settings) { s.MinCalls = 0 },
	} {
		without := s
		if derived(&without); without.WithDefaults() == whole {
			s = without
		}
	}
	return s
}
