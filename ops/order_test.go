package ops_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// The limits of an order's texts, to the byte; only a reason may have several
// lines.
func TestOrderTexts(t *testing.T) {
	for name, c := range map[string]struct {
		id, actor, reason string
		want              string
	}{
		"whole":                {"db", "ana", "drill", ""},
		"longest":              {strings.Repeat("i", 4096), strings.Repeat("a", 256), strings.Repeat("r", 2000), ""},
		"id too long":          {strings.Repeat("i", 4097), "ana", "", "id has 4097 bytes, want at most 4096"},
		"actor too long":       {"db", strings.Repeat("a", 257), "", "actor has 257 bytes, want at most 256"},
		"reason too long":      {"db", "ana", strings.Repeat("r", 2001), "reason has 2001 bytes, want at most 2000"},
		"reason of two lines":  {"db", "ana", "one\n\ttwo", ""},
		"reason with a bell":   {"db", "ana", "one\a", "reason has a control character"},
		"reason with a return": {"db", "ana", "one\r\n", "reason has a control character"},
		"actor of two lines":   {"db", "ana\nbob", "", "actor has a control character"},
		"actor with a tab":     {"db", "ana\tbob", "", "actor has a control character"},
		"actor not UTF-8":      {"db", "\xff", "", "actor is not UTF-8"},
		"no actor":             {"db", " ", "", "no actor, want the name of who gives the order"},
	} {
		o := ops.Order{ID: c.id, Verb: breaker.VerbOpen, Actor: c.actor, Reason: c.reason}
		err := o.Check()
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, breaker.ErrOrder) || err.Error() != "invalid order: "+c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// A patch that asks for a default shows the value in effect, and one for the
// right version is accepted.
func TestSetShowsSettingsInEffect(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	if err := m.Breaker("payments").Update(breaker.Settings{FailMax: 9}); err != nil {
		t.Fatal(err)
	}
	o := setOrder("payments", `{"fail_max": 0}`)
	o.IfVersion = m.Breaker("payments").Status().Version
	r, err := p.Do(o, program)
	if err != nil || r.Touched != 1 || r.Results[0].SettingsAfter.FailMax != 5 {
		t.Errorf("%+v, %v, want a fail_max of 5", r, err)
	}
	for _, dry := range []bool{true, false} {
		o := setOrder("payments", `{"fail_max": 0}`)
		o.DryRun = dry
		if r, err := p.Do(o, program); err != nil || r.Touched != 0 {
			t.Errorf("the same again, dry run %v: %+v, %v, want nothing touched", dry, r, err)
		}
	}
	set := setOrder("tenants/*", `{"fail_max": 0, "probes": 2}`)
	set.DryRun = true
	dry, err := p.Do(set, program)
	if err != nil || dry.SetAfter.FailMax != 5 || dry.Results[0].SettingsAfter.FailMax != 5 {
		t.Errorf("dry: %+v, %v, want a fail_max of 5 for the set and its keys", dry, err)
	}
	set.DryRun, set.Confirm = false, 3
	if r, err := p.Do(set, program); err != nil || r.SetAfter.FailMax != 5 || r.SetAfter.Probes != 2 || r.Results[0].SettingsAfter.FailMax != 5 {
		t.Errorf("%+v, %v, want a fail_max of 5 for the set and its keys", r, err)
	}
	for patch, want := range map[string]string{
		`[]`:             `invalid settings: want a JSON object, such as {"fail_max": 5}`,
		`{`:              `invalid settings: unexpected end of JSON input`,
		`{"probes": -1}`: `invalid settings: probes is -1, want a whole number of 0 or more`,
	} {
		if _, err := p.Do(setOrder("payments", patch), program); !errors.Is(err, breaker.ErrSettings) || err.Error() != want {
			t.Errorf("%s: %v, want %s", patch, err, want)
		}
	}
}
