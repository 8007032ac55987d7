package ops_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func setOrder(id, patch string) ops.Order {
	return ops.Order{ID: id, Verb: ops.VerbSet, Actor: "ana", Settings: json.RawMessage(patch)}
}

func TestSetOneBreaker(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	b := m.Breaker("payments")
	o := setOrder("payments", `{"fail_max": 3, "reset_timeout": "10s"}`)
	o.DryRun = true
	r, err := p.Do(o, program)
	if err != nil || r.Touched != 1 || r.Results[0].SettingsBefore.FailMax != 5 || r.Results[0].SettingsAfter.FailMax != 3 {
		t.Fatalf("dry run = %+v, %v", r, err)
	}
	if b.Settings().FailMax != 5 {
		t.Error("a dry run changed the settings")
	}
	o.DryRun = false
	r, err = p.Do(o, program)
	if err != nil || r.Touched != 1 || r.Results[0].From != 1 || r.Results[0].Version != 2 {
		t.Fatalf("set = %+v, %v", r, err)
	}
	if s := b.Settings(); s.FailMax != 3 || s.ResetTimeout != 10*time.Second || s.Probes != 1 {
		t.Errorf("settings are %+v", s)
	}
	if r, err := p.Do(o, program); err != nil || r.Touched != 0 || r.Results[0].Version != 2 {
		t.Errorf("the same again = %+v, %v, want nothing touched", r, err)
	}
	o = setOrder("payments", `{"probes": 2}`)
	o.IfVersion = 1
	if _, err := p.Do(o, program); !errors.Is(err, breaker.ErrVersion) {
		t.Errorf("from an old version: %v", err)
	}
	o.DryRun = true
	if _, err := p.Do(o, program); !errors.Is(err, breaker.ErrVersion) {
		t.Errorf("from an old version, dry: %v", err)
	}
	for patch, says := range map[string]string{
		`{"fail_maxx": 3}`:        "fail_maxx",
		`{"reset_timeout": "10"}`: "reset_timeout",
		`{"failure_rate": 2}`:     "FailureRate",
		`[]`:                      "",
	} {
		if _, err := p.Do(setOrder("payments", patch), program); !errors.Is(err, breaker.ErrSettings) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want ErrSettings that names %q", patch, err, says)
		}
	}
	if got := b.Status().Version; got != 2 {
		t.Errorf("version is %d, want 2: refused patches change nothing", got)
	}
}

// A value that depends on another setting follows it, unless it was set
// explicitly; explicit values stay.
func TestSetFollowsWhatDependsOnIt(t *testing.T) {
	for _, tt := range []struct {
		has   breaker.Settings
		patch string
		want  breaker.Settings
	}{
		{breaker.Settings{}, `{"reset_timeout": "10s"}`, breaker.Settings{ResetTimeout: 10 * time.Second}},
		{breaker.Settings{ProbeTimeout: 2 * time.Second}, `{"reset_timeout": "10s"}`, breaker.Settings{ResetTimeout: 10 * time.Second, ProbeTimeout: 2 * time.Second}},
		{breaker.Settings{}, `{"reset_timeout": "10s", "probe_timeout": "60s"}`, breaker.Settings{ResetTimeout: 10 * time.Second, ProbeTimeout: time.Minute}},
		{breaker.Settings{}, `{"window_calls": 10}`, breaker.Settings{WindowCalls: 10, MinCalls: 10}},
		{breaker.Settings{WindowCalls: 10}, `{"window_calls": 100}`, breaker.Settings{WindowCalls: 100, MinCalls: 20}},
		{breaker.Settings{WindowCalls: 10, MinCalls: 4}, `{"window_calls": "off"}`, breaker.Settings{MinCalls: 4}},
		{breaker.Settings{FailMax: 3}, `{"fail_max": 0}`, breaker.Settings{}},
	} {
		m := breaker.NewManager(tt.has)
		b := m.Breaker("payments")
		set := breaker.SetOf[string](m, "tenants")
		set.Breaker("a")
		want := breaker.New("want", tt.want).Settings()
		for _, id := range []string{"payments", "tenants/*"} {
			o := setOrder(id, tt.patch)
			o.DryRun = true
			r, err := planeOf(t, m, ops.Options{}).Do(o, program)
			if err != nil || *r.Results[0].SettingsAfter != want {
				t.Errorf("%+v with %s, dry: %+v, %v\nwant %+v", tt.has, tt.patch, r.Results, err, want)
			}
			o.DryRun, o.Confirm = false, 1
			if _, err := planeOf(t, m, ops.Options{}).Do(o, program); err != nil {
				t.Error(err)
			}
		}
		if b.Settings() != want || set.Settings() != want || set.Breaker("a").Settings() != want {
			t.Errorf("%+v with %s: %+v and %+v\nwant %+v", tt.has, tt.patch, b.Settings(), set.Settings(), want)
		}
	}
}

func TestSetSettingsOfASet(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	s := breaker.SetOf[string](m, "tenants")
	if err := s.Breaker("b").Update(breaker.Settings{FailMax: 99}); err != nil {
		t.Fatal(err)
	}
	o := setOrder("tenants/*", `{"fail_max": 2}`)
	if _, err := p.Do(o, program); !errors.Is(err, ops.ErrConfirm) {
		t.Errorf("unconfirmed: %v", err)
	}
	o.DryRun = true
	r, err := p.Do(o, program)
	if err != nil || r.Matched != 3 || r.Touched != 2 || r.SetBefore.FailMax != 5 || r.SetAfter.FailMax != 2 || s.Settings().FailMax != 5 {
		t.Fatalf("dry run = %+v, %v, want 2 of 3 touched: b has settings of its own", r, err)
	}
	o.DryRun, o.Confirm = false, 3
	if r, err = p.Do(o, program); err != nil || r.Touched != 2 {
		t.Fatalf("set = %+v, %v", r, err)
	}
	for k, want := range map[string]int{"a": 2, "b": 99, "new": 2} {
		if got := s.Breaker(k).Settings().FailMax; got != want {
			t.Errorf("FailMax of %s is %d, want %d", k, got, want)
		}
	}
	if _, err := p.Do(setOrder("payments/*", `{"fail_max": 2}`), program); !errors.Is(err, breaker.ErrUnknown) {
		t.Errorf("a breaker taken for a set: %v", err)
	}
}
