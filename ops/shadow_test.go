package ops_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func shadowOrder(verb breaker.Verb, id, name, patch string) ops.Order {
	return ops.Order{ID: id, Verb: verb, Actor: "ana", Reason: "too nervous", Shadow: name, Settings: json.RawMessage(patch)}
}

// A shadow is ordered, shows in status, metrics, events and on the audit log, is
// promoted at a version, and promoted back; what was promoted outlives a restart.
func TestShadowOrders(t *testing.T) {
	dir := t.TempDir()
	audit, standing := filepath.Join(dir, "audit"), filepath.Join(dir, "standing")
	m := shop(t)
	p := ops.New(m, ops.Options{Audit: audit, Standing: standing})
	defer p.Close()
	b, set := m.Breaker("payments"), breaker.SetOf[string](m, "tenants")
	keys := set.Len()
	for _, id := range []string{"payments", "tenants/*"} {
		o := shadowOrder(ops.VerbShadow, id, "tight", `{"fail_max": 2, "reset_timeout": "10s"}`)
		o.DryRun = true
		if mustDo(t, p, o); len(p.Shadows()) > 0 && p.Shadows()[0].ID == id {
			t.Errorf("%s: a dry run added it", id)
		}
		o.DryRun = false
		r := mustDo(t, p, o)
		if x := r.Results[0]; r.Matched != 1 || r.Touched != 1 || x.ID != id || len(x.Tries) != 3 || x.From != x.Version {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if b.Settings().FailMax != 5 || set.Settings().FailMax != 5 {
		t.Error("a shadow changed the settings")
	}
	fail(b, 3)
	fail(set.Breaker("acme"), 2)
	all := p.Shadows()
	if len(all) != 2 || all[0].ID != "payments" || all[1].ID != "tenants/*" || all[0].Shadows[0].Trips != 1 || all[1].Shadows[0].Open != 1 {
		t.Fatalf("%+v", all)
	}
	st, err := p.Status(ops.StatusQuery{IDs: []string{"payments", "tenants/acme"}})
	if err != nil || len(st[0].Shadows) != 1 || st[0].Shadows[0].RejectedBad != 1 || st[1].Shadows != nil {
		t.Errorf("status: %+v, %v", st, err)
	}
	text := get(p.Handler(), "/metrics").Body.String()
	for _, line := range []string{
		`switchgear_shadow_trips_total{name="payments",shadow="tight"} 1`,
		`switchgear_shadow_open{name="tenants",shadow="tight"} 1`,
		`switchgear_shadow_calls_total{name="payments",shadow="tight",outcome="admitted"} 2`,
		`switchgear_shadow_calls_total{name="payments",shadow="tight",outcome="rejected_bad"} 1`,
		`switchgear_shadow_calls_total{name="payments",shadow="tight",outcome="unseen"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the metrics have no %s", line)
		}
	}
	told := map[string]string{}
	line, err := p.Timeline(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range line.Events {
		if e.Kind == ops.EventShadow {
			told[e.ID] = e.Shadow.Name + " " + e.Shadow.Transition.To.String()
		}
	}
	if len(told) != 2 || told["payments"] != "tight open" || told["tenants/acme"] != "tight open" {
		t.Errorf("events: %v", told)
	}

	// Promoted at a version.
	for _, c := range []struct {
		id, name string
		version  uint64
		match    error
	}{
		{"payments", "tight", b.Status().Version + 1, breaker.ErrVersion},
		{"payments", "other", 0, breaker.ErrShadow},
		{"tenants/*", "tight", 7, breaker.ErrVersion},
		{"tenants/acme", "tight", 0, breaker.ErrOrder},
	} {
		o := shadowOrder(ops.VerbPromote, c.id, c.name, "")
		o.IfVersion, o.Confirm = c.version, keys+1
		if _, err := p.Do(o, program); !errors.Is(err, c.match) || b.Settings().FailMax != 5 || set.Settings().FailMax != 5 {
			t.Errorf("promote %+v: %v", c, err)
		}
	}
	o := shadowOrder(ops.VerbPromote, "payments", "tight", "")
	o.IfVersion = b.Status().Version
	o.DryRun = true
	if r := mustDo(t, p, o); r.Touched != 1 || r.Results[0].SettingsAfter.FailMax != 2 || b.Settings().FailMax != 5 {
		t.Errorf("a dry run: %+v", r)
	}
	o.DryRun = false
	if r := mustDo(t, p, o); r.Touched != 1 || r.Results[0].Version != r.Results[0].From+1 || b.Settings().FailMax != 2 {
		t.Errorf("promoted: %+v, fail_max %d", r, b.Settings().FailMax)
	}
	o = shadowOrder(ops.VerbPromote, "tenants/*", "tight", "")
	var confirm *ops.ConfirmError
	if _, err := p.Do(o, program); !errors.As(err, &confirm) {
		t.Errorf("not confirmed: %v", err)
	}
	o.Confirm = set.Len()
	if r := mustDo(t, p, o); r.SetBefore.FailMax != 5 || r.SetAfter.FailMax != 2 || set.Breaker("new").Settings().FailMax != 2 {
		t.Errorf("promoted for the set: %+v", r)
	}
	if all := p.Shadows(); len(all) != 2 || all[0].Shadows[0].Name != breaker.BeforeShadow || all[1].Shadows[0].Name != breaker.BeforeShadow {
		t.Errorf("what is left: %+v", all)
	}

	// What was promoted is kept, and nothing else of the settings.
	again := shop(t)
	p2 := ops.New(again, ops.Options{Standing: standing})
	if s := again.Breaker("payments").Settings(); s.FailMax != 2 || s.ResetTimeout.String() != "10s" {
		t.Errorf("after a restart: %+v", s)
	}
	p2.Close()

	// And taken back.
	mustDo(t, p, shadowOrder(ops.VerbPromote, "payments", breaker.BeforeShadow, ""))
	if s := b.Settings(); s.FailMax != 5 || s.ResetTimeout.String() != "1m0s" {
		t.Errorf("taken back: %+v", s)
	}
	mustDo(t, p, shadowOrder(ops.VerbUnshadow, "tenants/*", breaker.BeforeShadow, ""))
	if _, err := p.Do(shadowOrder(ops.VerbUnshadow, "tenants/*", breaker.BeforeShadow, ""), program); !errors.Is(err, breaker.ErrShadow) {
		t.Errorf("removed twice: %v", err)
	}
	log, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"verb":"promote","actor":"ana","reason":"too nervous"`, `"shadow":"tight"`, `"verb":"unshadow"`, `"verb":"shadow"`} {
		if !strings.Contains(string(log), part) {
			t.Errorf("the audit log has no %s", part)
		}
	}
}

// Every setting can be promoted and kept, also one that goes back to zero.
func TestPromotedSettingsAreKept(t *testing.T) {
	standing := filepath.Join(t.TempDir(), "standing")
	before := breaker.Settings{ResetJitter: .2, ResetBackoff: 2, ResetMax: 90e9, FailWithin: 5e9, FailureRate: .5, SlowCall: 1e9, SlowRate: .5, Ramp: 1e9}
	m := breaker.NewManager(before)
	b := m.Breaker("x")
	p := ops.New(m, ops.Options{Standing: standing})
	if err := b.Shadow("plain", breaker.Settings{}); err != nil {
		t.Fatal(err)
	}
	if r := mustDo(t, p, shadowOrder(ops.VerbPromote, "x", "plain", "")); r.StandingError != "" {
		t.Error(r.StandingError)
	}
	p.Close()
	m = breaker.NewManager(before)
	m.Breaker("x")
	p = ops.New(m, ops.Options{Standing: standing, StandingFailed: func(err error) { t.Error(err) }})
	defer p.Close()
	if got, want := m.Breaker("x").Settings(), (breaker.Settings{}).WithDefaults(); got != want {
		t.Errorf("%v after a restart, want %v; %v", got, want, p.Process().LostOrders)
	}
}

// With * an order is about every breaker and set, those without keys included, and
// changes nothing unless all of them have room for the shadow.
func TestShadowOrdersForAll(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	breaker.SetOf[string](m, "empty")
	o := shadowOrder(ops.VerbShadow, "*", "tight", `{"fail_max": 2}`)
	o.DryRun = true
	plan := mustDo(t, p, o)
	if len(p.Shadows()) != 0 {
		t.Fatalf("a dry run added %+v", p.Shadows())
	}
	o.DryRun = false
	r := mustDo(t, p, o)
	all := p.Shadows()
	if r.Matched != plan.Matched || r.Touched != r.Matched || len(all) != r.Matched || len(r.Results) != r.Matched || r.Failed != 0 {
		t.Errorf("matched %d, planned %d, touched %d, shadows %+v", r.Matched, plan.Matched, r.Touched, all)
	}
	if !slices.ContainsFunc(all, func(s ops.ShadowsOf) bool { return s.ID == "empty/*" }) || !slices.ContainsFunc(all, func(s ops.ShadowsOf) bool { return s.ID == "payments" }) {
		t.Errorf("%+v", all)
	}
	for i := range 3 {
		mustDo(t, p, shadowOrder(ops.VerbShadow, "payments", string(rune('a'+i)), `{"fail_max": 3}`))
	}
	if _, err := p.Do(shadowOrder(ops.VerbShadow, "*", "more", `{"fail_max": 2}`), program); !errors.Is(err, breaker.ErrShadow) || !strings.Contains(err.Error(), "payments has 4 shadows") {
		t.Errorf("without room: %v", err)
	}
	if now := p.Shadows(); slices.ContainsFunc(now, func(s ops.ShadowsOf) bool {
		return slices.ContainsFunc(s.Shadows, func(s breaker.ShadowStatus) bool { return s.Name == "more" })
	}) {
		t.Errorf("half applied: %+v", now)
	}
	if r := mustDo(t, p, shadowOrder(ops.VerbUnshadow, "*", "a", "")); r.Matched != 1 {
		t.Errorf("unshadow a: matched %d, want 1", r.Matched)
	}
	if r := mustDo(t, p, shadowOrder(ops.VerbUnshadow, "*", "tight", "")); r.Matched != len(all) {
		t.Errorf("unshadow tight: matched %d, want %d", r.Matched, len(all))
	}
	if _, err := p.Do(shadowOrder(ops.VerbUnshadow, "*", "tight", ""), program); !errors.Is(err, breaker.ErrShadow) || !strings.Contains(err.Error(), `nothing has a shadow "tight"`) {
		t.Errorf("again: %v", err)
	}
}

// A promotion that is taken back leaves exactly the settings from before, for a
// breaker, for one with settings of its own, and for a set with such a key; and one
// that follows another goes back by one step.
func TestPromotionTakenBack(t *testing.T) {
	all := []breaker.Settings{
		{},
		breaker.Recommended(),
		{FailMax: -1, FailureRate: .5, Confidence: .9, Window: 7e9, MinCalls: 3},
		{FailMax: 20, SlowCall: 15e8, Window: 5e9, BadRate: .5, ProbeTimeout: 9e9},
		{FailMax: 3, FailWithin: 3e9, FailFor: 1e9, ResetTimeout: 2e9, ResetBackoff: 2, ResetMax: 90e9, ResetJitter: .2, Ramp: 1e9},
		{FailMax: 3, SuccessesToForgive: 2, Probes: 3, SuccessThreshold: 2, WindowCalls: 40, FailureRate: .4},
	}
	for i, before := range all {
		m := breaker.NewManager(before)
		set := breaker.SetOf[string](m, "tenants")
		own, other := set.Breaker("own"), m.Breaker("other")
		m.Breaker("plain")
		set.Breaker("key")
		for _, b := range []*breaker.Breaker{own, other} {
			if err := b.Update(breaker.Settings{FailMax: 77, ResetTimeout: 3e9}); err != nil {
				t.Fatal(err)
			}
		}
		p := planeOf(t, m, ops.Options{})
		now := func() (list []breaker.Settings) {
			for _, b := range []*breaker.Breaker{m.Breaker("plain"), other, own, set.Breaker("key")} {
				list = append(list, b.Settings())
			}
			return append(list, set.Settings())
		}
		was := now()
		for k, id := range []string{"plain", "other", "tenants/*"} {
			promote := func(name string) ops.Receipt {
				o := shadowOrder(ops.VerbPromote, id, name, "")
				o.Confirm = 2
				return mustDo(t, p, o)
			}
			of := map[string]interface {
				Shadow(name string, s breaker.Settings) error
				Settings() breaker.Settings
				Version() uint64
			}{"plain": single{m.Breaker("plain")}, "other": single{other}, "tenants/*": set}[id]
			first, second := all[(i+1)%len(all)], all[(i+2)%len(all)]
			version := of.Version()
			for n, s := range []breaker.Settings{first, second} {
				if err := of.Shadow("tried", s); err != nil {
					t.Fatal(err)
				}
				promote("tried")
				if of.Settings() != s.WithDefaults() || of.Version() != version+uint64(n)+1 {
					t.Errorf("%d, %s: promoted to %v at version %d, want %v at %d", i, id, of.Settings(), of.Version(), s, version+uint64(n)+1)
				}
			}
			promote(breaker.BeforeShadow)
			if of.Settings() != first.WithDefaults() {
				t.Errorf("%d, %s: taken back %v, want those of the first promotion", i, id, of.Settings())
			}
			if err := of.Shadow("tried", was[[]int{0, 1, 4}[k]]); err != nil {
				t.Fatal(err)
			}
			promote("tried")
			promote(breaker.BeforeShadow)
			promote(breaker.BeforeShadow)
			if got := now(); !slices.Equal(got, was) {
				t.Errorf("%d, %s: %v\nwant %v", i, id, got, was)
			}
			if own.Settings().FailMax != 77 {
				t.Errorf("%d, %s: a key with settings of its own has %v", i, id, own.Settings())
			}
		}
	}
}

// single is a breaker with the version of a set.
type single struct{ *breaker.Breaker }

func (s single) Version() uint64 { return s.Status().Version }

// A dry run is refused where the order would be.
func TestSetOrdersOfAnotherVersion(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	set := breaker.SetOf[string](m, "tenants")
	if err := set.Shadow("tight", breaker.Settings{FailMax: 2}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []ops.Order{
		shadowOrder(ops.VerbPromote, "tenants/*", "tight", ""),
		{ID: "tenants/*", Verb: ops.VerbSet, Actor: "ana", Settings: json.RawMessage(`{"fail_max": 2}`)},
	} {
		for _, dry := range []bool{true, false} {
			o.DryRun, o.Confirm, o.IfVersion = dry, 100, set.Version()+1
			if _, err := p.Do(o, program); !errors.Is(err, breaker.ErrVersion) || set.Settings().FailMax != 5 {
				t.Errorf("%s, dry run %v: %v, fail_max %d", o.Verb, dry, err, set.Settings().FailMax)
			}
		}
		o.DryRun, o.IfVersion = true, set.Version()
		mustDo(t, p, o)
	}
}

// A shadow that takes the place of another one says so, because what that one has
// seen is gone. None takes the place of the settings from before a promotion.
func TestShadowsReplaced(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	for _, id := range []string{"payments", "tenants/*", "*"} {
		for i, says := range []string{"", "replaced"} {
			for _, dry := range []bool{true, false} {
				o := shadowOrder(ops.VerbShadow, id, "of "+id[:1], `{"fail_max": 2}`)
				o.DryRun = dry
				if r := mustDo(t, p, o); (r.Note == "") != (says == "") || !strings.Contains(r.Note, says) {
					t.Errorf("%s, order %d, dry run %v: note %q, want %q", id, i, dry, r.Note, says)
				}
			}
		}
		for _, dry := range []bool{true, false} {
			o := shadowOrder(ops.VerbShadow, id, breaker.BeforeShadow, `{"fail_max": 2}`)
			o.DryRun = dry
			if _, err := p.Do(o, program); !errors.Is(err, breaker.ErrOrder) {
				t.Errorf("%s, dry run %v: got %v, want ErrOrder", id, dry, err)
			}
		}
	}
}

func TestShadowOrdersThatMakeNoSense(t *testing.T) {
	m := shop(t)
	p := planeOf(t, m, ops.Options{})
	version := shadowOrder(ops.VerbShadow, "payments", "s", `{"fail_max": 2}`)
	version.IfVersion = 1
	states := shadowOrder(ops.VerbPromote, "payments", "s", "")
	states.States = []breaker.State{breaker.Open}
	for _, c := range []struct {
		o    ops.Order
		says string
	}{
		{shadowOrder(ops.VerbShadow, "payments", "s", ""), "shadow without settings"},
		{shadowOrder(ops.VerbShadow, "payments", "", `{"fail_max": 2}`), "without the name of a shadow"},
		{shadowOrder(ops.VerbUnshadow, "payments", "", ""), "without the name of a shadow"},
		{shadowOrder(ops.VerbPromote, "payments", "s", `{"fail_max": 2}`), "with settings, want them with set and shadow only"},
		{shadowOrder(ops.VerbPromote, "*", "s", ""), "want an id or name/*"},
		{shadowOrder(breaker.VerbOpen, "payments", "s", ""), "open with the name of a shadow"},
		{shadowOrder(ops.VerbShadow, "payments", strings.Repeat("s", 300), `{"fail_max": 2}`), "shadow"},
		{shadowOrder(ops.VerbShadow, "payments", "a/b", `{"fail_max": 2}`), `shadow "a/b"`},
		{shadowOrder(ops.VerbShadow, "tenants/a", "s", `{"fail_max": 2}`), "want tenants/*"},
		{version, "changes no version"},
		{states, "does not depend on a state"},
	} {
		breaker.SetOf[string](m, "tenants").Breaker("a")
		for _, dry := range []bool{true, false} {
			c.o.DryRun = dry
			if _, err := p.Do(c.o, program); !errors.Is(err, breaker.ErrOrder) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s of %s, dry run %v: %v, want %q", c.o.Verb, c.o.ID, dry, err, c.says)
			}
		}
	}
	for i := range 5 {
		o := shadowOrder(ops.VerbShadow, "payments", string(rune('a'+i)), `{"fail_max": 2}`)
		o.DryRun = i == 4
		if _, err := p.Do(o, program); (err == nil) != (i < 4) || err != nil && !errors.Is(err, breaker.ErrShadow) {
			t.Errorf("shadow %d: %v", i, err)
		}
	}
	if len(p.Shadows()) != 1 {
		t.Errorf("%+v", p.Shadows())
	}
}
