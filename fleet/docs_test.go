package fleet_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs promtool, or skips by name.
func promtool(t *testing.T, in string, args ...string) {
	t.Helper()
	need(t, "promtool")
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// metrics is what the plane of a member serves of its fleet.
func metrics(t *testing.T) (text string) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 10, 200*time.Millisecond).withPlanes().start().joined()
		time.Sleep(5 * time.Second)
		c.set(func(x *mate) bool { return x != c.all[0] }, 0)
		c.until(20*time.Second, "nine are open", func() bool { _, open := c.states(); return open == 9 })
		time.Sleep(time.Second)
		for i, want := range []string{"switchgear_fleet_overruled{group=\"test\"} 1\n", "switchgear_fleet_held{group=\"test\"} 1\n"} {
			w := httptest.NewRecorder()
			c.all[i].Plane.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
			if text = w.Body.String(); !strings.Contains(text, want) {
				t.Errorf("pod-%d: no %q in\n%s", i, want, text)
			}
		}
	})
	return text
}

var sample = regexp.MustCompile(`(?m)^(switchgear_fleet_\w+)\{group="test"\} `)

// The alerts fire when they should. What they and the dashboard ask for is what a
// member's plane serves, and each query of the dashboard finds something there.
func TestAlertsAndDashboard(t *testing.T) {
	alerts := filepath.Join("..", "docs", "fleet-alerts.yml")
	promtool(t, "", "check", "rules", alerts)
	promtool(t, "", "test", "rules", filepath.Join("..", "docs", "fleet-alerts_test.yml"))
	text := metrics(t)
	promtool(t, text, "check", "metrics")
	var names []string
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	if len(names) < 10 {
		t.Fatalf("served are %q", names)
	}
	for _, doc := range []string{"fleet-alerts.yml", "fleet-alerts_test.yml", "fleet-dashboard.json"} {
		for _, name := range regexp.MustCompile(`switchgear_\w+`).FindAllString(readDoc(t, doc), -1) {
			if !slices.Contains(names, name) {
				t.Errorf("%s: %s is not served", doc, name)
			}
		}
	}
	page := readDoc(t, "fleet.md")
	for _, name := range names {
		if short := strings.TrimPrefix(name, "switchgear_fleet"); !strings.Contains(page, short) {
			t.Errorf("docs/fleet.md does not name %s", name)
		}
	}
	queries(t, names)
}

// queries has promtool answer each query of the dashboard from samples of these
// names.
func queries(t *testing.T, names []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readDoc(t, "fleet-dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("evaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "  - {series: '%s{job=\"shop\",instance=\"a:80\",group=\"test\"}', values: '1+1x10'}\n", name)
	}
	b.WriteString("  promql_expr_test:\n")
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", "shop", "$group", ".*")
	n := 0
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			n++
			fmt.Fprintf(&b, "  - {expr: %q, eval_time: 10m, exp_samples: [{labels: '{}', value: 1}]}\n", "count("+fill.Replace(q.Expr)+")")
		}
	}
	if n < 10 {
		t.Errorf("the dashboard has %d queries", n)
	}
	file := filepath.Join(t.TempDir(), "queries_test.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "test", "rules", file)
}
