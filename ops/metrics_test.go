package ops_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		m.Breaker("before").ForceOpen(breaker.Order{})
		time.Sleep(time.Second)
		p := ops.New(m, ops.Options{})
		defer p.Close()
		h := p.Handler()
		tenants := breaker.SetOf[string](m, "tenants")
		succeed(m.Breaker("payments"), 3)
		fail(m.Breaker("payments"), 7)
		fail(tenants.Breaker("a"), 5)
		fail(tenants.Breaker(`we"ird\`+"\n"), 2)
		for _, o := range []ops.Order{
			{ID: "search", Verb: breaker.VerbForceClosed, Reason: "x", For: ops.Duration(time.Minute)},
			{ID: "tenants/b", Verb: breaker.VerbForceClosed, Reason: "x", NoExpiry: true},
			{ID: "search", Verb: breaker.VerbOpen, DryRun: true},
			{ID: "search", Verb: "\x00"},
		} {
			o.Actor = "ana"
			_, _ = p.Do(o, program) // one is refused
		}
		m.CapOpen(0.1)
		fail(m.Breaker("held back"), 7)
		time.Sleep(10 * time.Second)
		text := get(h, "/metrics?keys=tenants").Body.String()
		lines := strings.Split(text, "\n")
		for _, want := range []string{
			`switchgear_breakers{name="payments",state="open"} 1`,
			`switchgear_breakers{name="payments",state="closed"} 0`,
			`switchgear_breakers{name="tenants",state="closed"} 2`,
			`switchgear_breakers{name="tenants",state="forced-closed"} 1`,
			`switchgear_auto_breakers{name="tenants",state="closed"} 3`,
			`switchgear_consecutive_failures{name="tenants"} 5`,
			`switchgear_transitions_total{name="payments",to="open",cause="consecutive-failures"} 1`,
			`switchgear_transitions_total{name="search",to="forced-closed",cause="order"} 1`,
			`switchgear_open_seconds_total{name="payments"} 10`,
			`switchgear_open_seconds_total{name="before"} 11`,
			`switchgear_held_back_total{name="held back"} 1`,
			`switchgear_calls_total{name="payments",outcome="success"} 3`,
			`switchgear_calls_total{name="payments",outcome="failure"} 5`,
			`switchgear_calls_total{name="payments",outcome="rejected"} 2`,
			`switchgear_override_remaining_seconds{name="search"} 50`,
			`switchgear_overrides_without_expiry{name="tenants"} 1`,
			`switchgear_orders_total{verb="force-closed",result="done"} 2`,
			`switchgear_orders_total{verb="open",result="dry-run"} 1`,
			`switchgear_orders_total{verb="other",result="refused"} 1`,
			`switchgear_key_state{name="tenants",key="a",state="open"} 1`,
			`switchgear_key_state{name="tenants",key="we\"ird\\\n",state="closed"} 1`,
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("no line %s", want)
			}
		}
		if plain := get(h, "/metrics").Body.String(); strings.Contains(plain, "key=") {
			t.Error("keys are shown although they were not requested")
		}
		if t.Failed() {
			t.Log(text)
		}
	})
}

func TestMetricsSatisfyPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip("SKIP: needs promtool")
	}
	m := shop(t)
	p := ops.New(m, ops.Options{Audit: t.TempDir() + "/audit"})
	defer p.Close()
	fail(m.Breaker("payments"), 7)
	order(t, p, "search")
	if _, err := p.Do(ops.Order{ID: "search", Verb: breaker.VerbForceOpen, Actor: "ana", Reason: "x", For: ops.Duration(time.Hour)}, program); err != nil {
		t.Fatal(err)
	}
	tenants := breaker.SetOf[string](m, "tenants")
	for _, key := range []string{"\xff", "\xfe", `"\xff"`, "\xffa", "\ufffd", "\r\n\t", "é"} {
		tenants.Breaker(key)
	}
	text := get(p.Handler(), "/metrics?keys=tenants&keys=tenants&keys=nosuch").Body.String()
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if series, _, ok := strings.Cut(line, "} "); ok {
			if seen[series] {
				t.Errorf("twice: %s", series)
			}
			seen[series] = true
		}
	}
	if n := strings.Count(text, "\nswitchgear_key_state{"); n != 9 {
		t.Errorf("%d keys are shown, want 9: two of the ten look alike", n)
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestPlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		p := ops.New(m, ops.Options{})
		defer p.Close()
		b := m.Breaker("payments")
		succeed(b, 2)
		time.Sleep(6 * time.Second) // within a step: at its end the timer and the calls would race
		fail(b, 7)
		time.Sleep(5 * time.Second)
		body := get(p.Handler(), "/v1/plots?name=payments&name=search").Body.String()
		for _, want := range []string{`"success":[` + strings.Repeat("0,", 57) + `2,0,0]`, `0,5,0]`, `0,2,0]`, `"step":"5s"`, `"name":"search"`} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
		time.Sleep(292 * time.Second) // the first step is out, the second is the oldest
		body = get(p.Handler(), "/v1/plots?name=payments").Body.String()
		if !strings.Contains(body, `"success":[0,0,`) || !strings.Contains(body, `"failure":[5,`) {
			t.Errorf("five minutes later: %s", body)
		}
	})
}

// The plots and explanations say how long calls took in the last five minutes,
// where they are timed.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		p := ops.New(m, ops.Options{})
		defer p.Close()
		timed, err := m.Create("timed", breaker.Settings{SlowCall: time.Second, SlowRate: 1})
		if err != nil {
			t.Fatal(err)
		}
		call := func(b *breaker.Breaker, took time.Duration) {
			_ = b.Do(t.Context(), func(context.Context) error { time.Sleep(took); return nil })
		}
		for range 8 {
			call(timed, 35*time.Millisecond)
		}
		call(timed, 150*time.Millisecond)
		call(timed, 2*time.Minute)
		call(m.Breaker("untimed"), time.Second)
		latency := func(id string) *ops.Latency {
			t.Helper()
			x, err := p.Explain(id)
			if err != nil {
				t.Fatal(err)
			}
			return x.Latency
		}
		want := ops.Latency{Calls: 10, P50: ops.Duration(50 * time.Millisecond), P90: ops.Duration(200 * time.Millisecond)}
		if got := latency("timed"); got == nil || *got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if got := latency("untimed"); got != nil {
			t.Errorf("%+v of calls that are not timed, want none", got)
		}
		if body := get(p.Handler(), "/v1/plots?name=timed&name=untimed").Body.String(); strings.Count(body, `"latency":{"calls":10,"p50":"50ms","p90":"200ms","p99":"0s"}`) != 1 || strings.Count(body, `"latency"`) != 1 {
			t.Errorf("plots: %s", body)
		}
		time.Sleep(6 * time.Minute)
		if got := latency("timed"); got != nil {
			t.Errorf("six minutes later: %+v, want none", got)
		}
	})
}
