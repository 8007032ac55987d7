package breakerprom_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/switchgear-go/switchgear/adapters/breakerprom"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func fail(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return errors.New("down") })
	}
}

func succeed(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return nil })
	}
}

// text returns the result of a scrape of cs.
func text(t *testing.T, cs ...prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("a scrape got %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// exercise makes some of everything happen.
func exercise(m *breaker.Manager) {
	succeed(m.Breaker("payments"), 3)
	fail(m.Breaker("payments"), 7)
	tenants := breaker.SetOf[string](m, "tenants")
	fail(tenants.Breaker("a"), 5)
	fail(tenants.Breaker("we\"ird\\\n\xff"), 2)
	tenants.Breaker("fine")
	tenants.Breaker("released").ForceClosed(breaker.Order{})
	m.Breaker("search").ForceOpen(breaker.Order{For: time.Minute})
	m.Breaker("mail").HalfOpen(breaker.Order{})
	_, _ = m.Breaker("mail").Allow()
	m.CapOpen(0.1)
	fail(m.Breaker("held back"), 7)
	_ = m.Breaker("search").Do(breaker.WithBypass(context.Background(), "x"), func(context.Context) error { return nil })
}

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		c := breakerprom.NewCollector(m, breakerprom.WithCalls(), breakerprom.WithKeys(3))
		exercise(m)
		time.Sleep(10 * time.Second)
		got := text(t, c)
		lines := strings.Split(got, "\n")
		for _, want := range []string{
			`switchgear_breakers{name="payments",state="open"} 1`,
			`switchgear_breakers{name="payments",state="closed"} 0`,
			`switchgear_breakers{name="tenants",state="closed"} 2`,
			`switchgear_breakers{name="tenants",state="forced-closed"} 1`,
			`switchgear_auto_breakers{name="search",state="closed"} 1`,
			`switchgear_consecutive_failures{name="tenants"} 5`,
			`switchgear_probes{name="mail"} 1`,
			`switchgear_override_remaining_seconds{name="search"} 50`,
			`switchgear_overrides_without_expiry{name="tenants"} 1`,
			`switchgear_transitions_total{cause="consecutive-failures",name="payments",to="open"} 1`,
			`switchgear_transitions_total{cause="order",name="search",to="forced-open"} 1`,
			`switchgear_open_seconds_total{name="payments"} 10`,
			`switchgear_held_back_total{name="held back"} 1`,
			`switchgear_calls_total{name="payments",outcome="success"} 3`,
			`switchgear_calls_total{name="payments",outcome="failure"} 5`,
			`switchgear_calls_total{name="payments",outcome="rejected"} 2`,
			`switchgear_bypassed_calls_total{name="payments"} 0`,
			`switchgear_panics_total{name="mail"} 0`,
			`switchgear_key_state{key="a",name="tenants",state="open"} 1`,
			`switchgear_key_state{key="\"we\\\"ird\\\\\\n\\xff\"",name="tenants",state="closed"} 1`,
			`switchgear_keys_left_out{name="tenants"} 1`,
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("no line %s", want)
			}
		}
		if t.Failed() {
			t.Log(got)
		}
	})
}

func TestKeysAndCallsAreOptIn(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	c := breakerprom.NewCollector(m)
	for i := range 1000 {
		fail(breaker.SetOf[int](m, "many").Breaker(i), 1)
	}
	if n := testutil.CollectAndCount(c); n != 12 {
		t.Errorf("a set of 1000 keys makes %d series, want 12", n)
	}
	if got := text(t, c); strings.Contains(got, "key=") || strings.Contains(got, "switchgear_calls_total") {
		t.Errorf("keys or calls are shown although they were not requested:\n%s", got)
	}
}

// A scrape of the ops handler and one of the collector show the same.
func TestSameAsOps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		p := ops.New(m, ops.Options{})
		defer p.Close()
		c := breakerprom.NewCollector(m, breakerprom.WithCalls(), breakerprom.WithKeys(1000))
		exercise(m)
		time.Sleep(10 * time.Second)
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics?keys=tenants", nil))
		theirs, ours := samples(w.Body.String()), samples(text(t, c))
		if len(theirs) == 0 || !slices.Equal(theirs, ours) {
			t.Errorf("ops shows\n%s\nthe collector\n%s", strings.Join(theirs, "\n"), strings.Join(ours, "\n"))
		}
	})
}

func TestKeysThatLookTheSame(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	c := breakerprom.NewCollector(m, breakerprom.WithKeys(10))
	for _, key := range []string{"\xff", `"\xff"`, "\xfe"} {
		breaker.SetOf[string](m, "tenants").Breaker(key)
	}
	if got := text(t, c); !strings.Contains(got, `switchgear_keys_left_out{name="tenants"} 1`) {
		t.Errorf("one of two that look the same is not left out:\n%s", got)
	}
}

// samples are the lines of a text that both have, with sorted labels.
func samples(text string) (out []string) {
	for line := range strings.Lines(text) {
		name, rest, labelled := strings.Cut(strings.TrimSpace(line), "{")
		switch name {
		case "switchgear_orders_total", "switchgear_keys_left_out": // each has one of its own
			continue
		}
		if labelled {
			labels, value, _ := strings.Cut(rest, "} ")
			pairs := strings.Split(labels, `",`)
			for i := range pairs {
				pairs[i] = strings.TrimSuffix(pairs[i], `"`)
			}
			slices.Sort(pairs)
			out = append(out, fmt.Sprint(name, pairs, value))
		}
	}
	slices.Sort(out)
	return out
}

// promtool runs promtool, or skips by name.
func promtool(t *testing.T, in []byte, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("needs promtool, and SWITCHGEAR_REQUIRE_ALL=1 allows no skip")
		}
		t.Skip("SKIP: needs promtool")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestMetricsSatisfyPromtool(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	c := breakerprom.NewCollector(m, breakerprom.WithCalls(), breakerprom.WithKeys(10))
	exercise(m)
	promtool(t, []byte(text(t, c)), "check", "metrics")
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("the linter says %v, %v", problems, err)
	}
}
