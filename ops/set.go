package ops

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/switchgear-go/switchgear/breaker"
)

const triesToSet = 10

// set patches the settings of one breaker. Its version may move between the
// look and the change, by a trip say; without IfVersion it looks again then.
func set(b *breaker.Breaker, o Order) (Result, error) {
	for try := 1; ; try++ {
		s := b.Status()
		res := Result{Receipt: breaker.Receipt{ID: s.ID, Before: s.State, After: s.State, From: s.Version, Version: s.Version, DryRun: o.DryRun}}
		after, err := patch(s.Settings, o.Settings)
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
		done, err := b.UpdateIf(after, s.Version)
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

// setting serialises orders that change the settings of a set, which has no
// version: they read before they write.
var setting sync.Mutex

// setAll patches the settings of a set: of the keys it remembers, but for those
// with settings of their own, and of the keys to come.
func (r *Receipt) setAll(m *breaker.Manager, o Order) error {
	setting.Lock()
	defer setting.Unlock()
	s, err := m.LookupSet(strings.TrimSuffix(o.ID, "/*"))
	if err != nil {
		return err
	}
	before := s.Settings()
	after, err := patch(before, o.Settings)
	if err != nil {
		return err
	}
	found := s.Breakers()
	if r.Matched, err = o.confirmed(len(found)); err != nil {
		return err
	}
	was := make([]breaker.Status, len(found))
	for i, b := range found {
		was[i] = b.Status()
	}
	if !o.DryRun {
		if err := s.Update(after); err != nil {
			return err
		}
		after = s.Settings()
	}
	r.SetBefore, r.SetAfter = &before, &after
	for i, b := range found {
		old := &was[i]
		now := after
		if old.Settings != before {
			now = old.Settings // its own: it does not follow
		}
		r.add(Result{
			Receipt:        breaker.Receipt{ID: old.ID, Before: old.State, After: b.State(), From: old.Version, Version: b.Status().Version, DryRun: o.DryRun},
			SettingsBefore: &old.Settings, SettingsAfter: &now,
		}, nil)
	}
	return nil
}

// patch decodes a patch onto settings. What it does not name stays, but for
// what has its value from another setting, as one that nobody has chosen does:
// that follows.
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
	return inEffect(s), nil
}

// inEffect is s, which are valid, with their defaults.
func inEffect(s breaker.Settings) breaker.Settings { return breaker.New("settings", s).Settings() }

// chosen is s, which are in effect, without the defaults that depend on other
// settings.
func chosen(s breaker.Settings) breaker.Settings {
	whole := s
	for _, derived := range []func(*breaker.Settings){
		func(s *breaker.Settings) { s.ProbeTimeout = 0 },
		func(s *breaker.Settings) { s.MinCalls = 0 },
	} {
		without := s
		if derived(&without); inEffect(without) == whole {
			s = without
		}
	}
	return s
}
