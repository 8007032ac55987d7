package ops

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// SettingsOf are the settings of a breaker, or of the keys of a set.
type SettingsOf struct {
	ID       string           `json:"id"`       // "name/*" for the common settings of a set
	Settings breaker.Settings `json:"settings"` // in effect
	Program  breaker.Settings `json:"program"`  // with which the program created it
	Version  uint64           `json:"version"`  // as Status.SettingsVersion
}

// SettingsList is the settings of a process.
type SettingsList struct {
	Service  string       `json:"service"` // of the process
	Settings []SettingsOf `json:"settings"`
	// Omitted counts those that are left out: at most 5,000 are returned.
	Omitted int `json:"omitted,omitempty"`
}

// Settings returns the settings in effect and those of the program, of the
// given ids in their order. Without ids it returns those of every breaker, of
// every set that has keys, and of the keys whose settings differ from those of
// their set, sorted by id. The error matches breaker.ErrUnknown.
func (p *Plane) Settings(ids ...string) (SettingsList, error) {
	l := SettingsList{Service: p.o.Service, Settings: []SettingsOf{}}
	if len(ids) == 0 {
		l.Settings = p.allSettings()
		l.Omitted = max(0, len(l.Settings)-maxListed)
		l.Settings = l.Settings[:len(l.Settings)-l.Omitted]
		return l, nil
	}
	for _, id := range ids {
		if set, wild := strings.CutSuffix(id, "/*"); wild {
			s, err := p.m.LookupSet(set)
			if err != nil {
				return l, err
			}
			l.Settings = append(l.Settings, settingsOfSet(s))
			continue
		}
		b, err := find(p.m, id)
		if err != nil {
			return l, err
		}
		l.Settings = append(l.Settings, settingsOf(b))
	}
	return l, nil
}

func settingsOfSet(s breaker.AnySet) SettingsOf {
	return SettingsOf{ID: s.Name() + "/*", Settings: s.Settings(), Program: s.ProgramSettings(), Version: s.Version()}
}

func settingsOf(b *breaker.Breaker) SettingsOf {
	s := b.Status()
	return SettingsOf{ID: s.ID, Settings: s.Settings, Program: b.ProgramSettings(), Version: s.SettingsVersion}
}

func (p *Plane) allSettings() []SettingsOf {
	all := []SettingsOf{}
	sets := map[string]SettingsOf{}
	for _, b := range p.m.Breakers() {
		id := b.ID()
		name, _, keyed := strings.Cut(id, "/")
		if !keyed {
			all = append(all, settingsOf(b))
			continue
		}
		set, known := sets[name]
		if !known {
			s, err := p.m.LookupSet(name)
			if err != nil {
				continue // the program has removed it
			}
			set = settingsOfSet(s)
			sets[name] = set
			all = append(all, set)
		}
		if b.Settings() != set.Settings {
			all = append(all, settingsOf(b))
		}
	}
	slices.SortFunc(all, func(a, b SettingsOf) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (e *endpoint) getSettings(w http.ResponseWriter, r *http.Request) error {
	ids := r.URL.Query()["id"]
	if len(ids) > maxAskedID {
		return refuse(http.StatusBadRequest, "order", "%d ids, want at most %d: ?id=NAME", len(ids), maxAskedID)
	}
	return e.answerJSON(w, r, func() (any, error) { return e.Settings(ids...) })
}
