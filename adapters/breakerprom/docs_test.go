package breakerprom_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/switchgear-go/switchgear/adapters/breakerprom"
	"github.com/switchgear-go/switchgear/breaker"
)

const docs = "../../docs"

func readDoc(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(docs, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// expressions returns the dashboard's queries, by panel. Variables are filled
// in with everything, and with a rate interval that suits the test.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	var board struct {
		Annotations struct{ List []struct{ Name, Expr string } }
		Panels      []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(readDoc(t, "grafana-dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "10s", "$__range_s", "10", "$__range", "10s",
		"$job", ".*", "$instance", ".*", "$name", ".*")
	out := map[string]string{}
	for _, a := range board.Annotations.List {
		out[a.Name] = fill.Replace(a.Expr)
	}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			out[p.Title+" "+q.RefID] = fill.Replace(q.Expr)
		}
	}
	if len(out) < 10 {
		t.Fatalf("the dashboard has the queries %v", out)
	}
	return out
}

func TestAlerts(t *testing.T) {
	promtool(t, nil, "check", "rules", filepath.Join(docs, "alerts.yml"))
	promtool(t, nil, "test", "rules", filepath.Join(docs, "alerts_test.yml"))
}

var (
	selector = regexp.MustCompile(`(switchgear_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)\\?["']([^"'\\]*)`)
)

// What the dashboard and the alerts query, and what the alerts' tests make up,
// must really be exported, with these labels and these values.
func TestDocsNameWhatIsExported(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m := breaker.NewManager(breaker.Settings{})
	r.MustRegister(breakerprom.NewCollector(m, breakerprom.WithCalls()))
	exercise(m)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string][]string{} // labels by name
	for _, f := range families {
		exported[f.GetName()] = []string{"job", "instance"}
		for _, l := range f.GetMetric()[0].GetLabel() {
			exported[f.GetName()] = append(exported[f.GetName()], l.GetName())
		}
	}
	for _, doc := range []string{"grafana-dashboard.json", "alerts.yml", "alerts_test.yml"} {
		found := selector.FindAllStringSubmatch(string(readDoc(t, doc)), -1)
		if len(found) == 0 {
			t.Errorf("%s asks for nothing", doc)
		}
		for _, s := range found {
			labels, ok := exported[s[1]]
			if !ok {
				t.Errorf("%s: %s is not exported", doc, s[1])
			}
			for _, l := range matcher.FindAllStringSubmatch(s[2], -1) {
				if !slices.Contains(labels, l[1]) {
					t.Errorf("%s: %s has no label %s", doc, s[1], l[1])
				}
				for _, v := range strings.Split(l[2], "|") {
					if !isValue(l[1], v) {
						t.Errorf("%s: %s never has %s %q", doc, s[1], l[1], v)
					}
				}
			}
		}
	}
}

// isValue reports whether a label can have this value.
func isValue(label, value string) bool {
	switch label {
	case "state", "to":
		return new(breaker.State).UnmarshalText([]byte(value)) == nil
	case "cause":
		return slices.Contains([]breaker.Cause{
			breaker.CauseConsecutive, breaker.CauseFailureRate, breaker.CauseConfidence, breaker.CauseSlowRate,
			breaker.CauseRule, breaker.CauseProbeFailed, breaker.CauseProbesPassed, breaker.CauseElapsed,
			breaker.CauseOrder, breaker.CauseExpired,
		}, breaker.Cause(value))
	case "outcome":
		return slices.Contains([]string{"success", "failure", "rejected"}, value)
	default:
		return true
	}
}

// Every query of the dashboard gets something from a Prometheus that scrapes a
// collector.
func TestDashboardAgainstPrometheus(t *testing.T) {
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
	m := breaker.NewManager(breaker.Settings{})
	r := prometheus.NewRegistry()
	r.MustRegister(breakerprom.NewCollector(m, breakerprom.WithCalls()))
	exercise(m)
	app := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	defer app.Close()
	api := startPrometheus(t, app.Listener.Addr().String())

	waiting := expressions(t)
	for deadline := time.Now().Add(30 * time.Second); len(waiting) > 0 && time.Now().Before(deadline); {
		m.Breaker("mail").Open(breaker.Order{}) // something goes on
		<-time.After(200 * time.Millisecond)
		m.Breaker("mail").Close(breaker.Order{})
		for name, expr := range waiting {
			if n, err := query(api, expr); err == nil && n > 0 {
				delete(waiting, name)
			}
		}
	}
	for name, expr := range waiting {
		n, err := query(api, expr)
		t.Errorf("%s: got %d series and %v for %s", name, n, err, expr)
	}
}

// startPrometheus starts one that scrapes target, in a folder of its own.
func startPrometheus(t *testing.T, target string) (api string) {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("needs prometheus, and SWITCHGEAR_REQUIRE_ALL=1 allows no skip")
		}
		t.Skip("SKIP: needs prometheus")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("{scrape_configs: [{job_name: app, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{targets: [%q]}]}]}", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--config.file", config, "--web.listen-address", addr, "--storage.tsdb.path", filepath.Join(dir, "data"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return "http://" + addr
}

// query returns the number of series that expr matches.
func query(api, expr string) (int, error) {
	res, err := http.Get(api + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []any }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, fmt.Errorf("prometheus: %s", answer.Error)
	}
	return len(answer.Data.Result), nil
}
