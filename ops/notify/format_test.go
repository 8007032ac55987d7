package notify_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/notify"
)

// episodes makes a notice of every kind, in the given format.
func episodes(t *testing.T, o notify.Options) (r *receiver) {
	t.Helper()
	r = &receiver{}
	links := breaker.WithLinks(breaker.Links{Owner: "<!here> team", Runbook: "https://wiki/a|b?x=<y>&z", Dashboard: "https://graphs/"})
	m := breaker.NewManager(breaker.Settings{ResetTimeout: time.Second, FailMax: 1}, links)
	folder := t.TempDir() + "/later"
	o.FailingFor, o.FlapsPerHour = time.Minute, 2
	p := start(t, m, r, o, ops.Options{Audit: folder + "/audit"})
	b := breaker.SetOf[string](m, "tenants").Breaker("<@U1> & *co*\n" + strings.Repeat("é", 700))
	fail(b, 1)
	time.Sleep(3 * time.Minute) // failing
	succeed(b)
	for range 3 { // flapping
		fail(b, 1)
		time.Sleep(30 * time.Second)
		succeed(b)
	}
	order(t, p, ops.Order{ID: b.ID(), Verb: breaker.VerbForceOpen, Reason: "INC-42", For: ops.Duration(time.Hour)})
	mkdir(t, folder)
	order(t, p, ops.Order{ID: b.ID(), Verb: breaker.VerbForceOpen, Reason: "INC-42", For: ops.Duration(time.Hour)})
	p.Report("", "deploying")
	time.Sleep(3 * time.Hour)
	synctest.Wait()
	return r
}

// strictly decodes a body that has no other fields than v.
func strictly(t *testing.T, body []byte, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kinds := map[notify.Kind]bool{}
		for _, n := range episodes(t, notify.Options{}).notices(t) {
			kinds[n.Kind] = true
			if n.At.IsZero() || n.Service != "shop" || n.Text == "" || len(n.Text) > 1000 || strings.Contains(n.Text, "\n") || !utf8.ValidString(n.Text) {
				t.Errorf("notice %+v", n)
			}
		}
		for _, k := range notify.Kinds() {
			if !kinds[k] && k != notify.OverrideLost {
				t.Errorf("there is no notice of kind %s", k)
			}
		}
	})
}

func TestSlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := episodes(t, notify.Options{Format: notify.Slack})
		all := ""
		for _, req := range r.take() {
			var body struct{ Text string }
			strictly(t, req.body, &body)
			all += body.Text
		}
		for _, want := range []string{
			":warning: tenants/&lt;@U1&gt; &amp; *co* é", ":rotating_light: ", ":white_check_mark: ", ":information_source: deploying (shop/", " opened: 1 failure in a row; last error: connection refused",
			"owner: &lt;!here&gt; team", "<https://wiki/a%7Cb?x=&lt;y&gt;&amp;z|runbook>", "<https://graphs/|dashboard>",
		} {
			if !strings.Contains(all, want) && !strings.HasPrefix(want, " opened") {
				t.Errorf("no %q in\n%s", want, all)
			}
		}
		if strings.Contains(all, "<@U1>") || strings.Contains(all, "<!here>") {
			t.Error("an id or an owner mentions people")
		}
	})
}

// A message for Slack has a limited length.
func TestSlackCountsNoticesWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		p := start(t, m, r, notify.Options{Format: notify.Slack}, ops.Options{})
		for i := range 300 {
			p.Report("", fmt.Sprint(i, " ", strings.Repeat("x", 3000)))
		}
		time.Sleep(time.Minute)
		all := r.take()
		var body struct{ Text string }
		strictly(t, all[0].body, &body)
		if len(all) != 1 || !strings.HasSuffix(body.Text, "\nand 280 more\n") || strings.Count(body.Text, "\n") != 21 || len(body.Text) > 40_000 || !strings.Contains(body.Text, " 299 ") {
			t.Errorf("%d requests; %d bytes: %.300s", len(all), len(body.Text), body.Text)
		}
	})
}

// postableAlert is what the API of Alertmanager accepts, version 2: see
// api/v2/openapi.yaml of github.com/prometheus/alertmanager.
type postableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// fingerprint is how Alertmanager identifies an alert.
func (a *postableAlert) fingerprint() string {
	var all []string
	for k, v := range a.Labels {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func TestAlertmanager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := episodes(t, notify.Options{Format: notify.Alertmanager})
		active := map[string]*postableAlert{}
		names := map[string]bool{}
		for _, req := range r.take() {
			var all []postableAlert
			strictly(t, req.body, &all)
			for i := range all {
				a := &all[i]
				names[a.Labels["alertname"]] = true
				if a.StartsAt.IsZero() || a.EndsAt.Before(a.StartsAt) || a.Annotations["summary"] == "" || a.Labels["severity"] == "" || a.Labels["service"] != "shop" {
					t.Errorf("alert %+v", a)
				}
				for k, v := range a.Labels {
					if v == "" {
						t.Errorf("the label %s of %v is empty, which Alertmanager drops", k, a.Labels)
					}
				}
				if a.EndsAt.After(req.at) {
					active[a.fingerprint()] = a
				} else {
					delete(active, a.fingerprint())
				}
			}
		}
		for _, want := range []string{"BreakerOpened", "BreakerFlapping", "BreakerFailing", "BreakerOverrideEnding", "BreakerAuditFailing", "BreakerReport"} {
			if !names[want] {
				t.Errorf("no alert %s", want)
			}
		}
		for _, a := range active {
			if a.EndsAt.After(time.Now()) {
				t.Errorf("after all has ended, %v is active until %s", a.Labels, a.EndsAt)
			}
		}
	})
}

// pagerDutyEvent is what the Events API of PagerDuty accepts, version 2: see
// reference/events-v2/openapiv3.json of github.com/PagerDuty/api-schema.
type pagerDutyEvent struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Payload    *struct {
		Summary   string         `json:"summary"`
		Source    string         `json:"source"`
		Severity  string         `json:"severity"`
		Timestamp time.Time      `json:"timestamp"`
		Component string         `json:"component"`
		Group     string         `json:"group"`
		Class     string         `json:"class"`
		Details   map[string]any `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
}

func TestPagerDuty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := episodes(t, notify.Options{Format: notify.PagerDuty, Key: "0123456789abcdef0123456789abcdef", Kinds: []notify.Kind{
			notify.Opened, notify.Closed, notify.Failing, notify.Flapping, notify.AuditFailing, notify.AuditWorks,
		}})
		open := map[string]bool{}
		triggers := 0
		var last time.Time
		for _, req := range r.take() {
			var e pagerDutyEvent
			strictly(t, req.body, &e)
			if d := req.at.Sub(last); d < time.Second {
				t.Errorf("two requests are %s apart, want a second", d)
			}
			last = req.at
			if e.RoutingKey != "0123456789abcdef0123456789abcdef" || e.DedupKey == "" || len(e.DedupKey) > 255 {
				t.Errorf("event %+v", e)
			}
			switch p := e.Payload; {
			case e.Action == "resolve":
				delete(open, e.DedupKey)
			case e.Action != "trigger" || p == nil:
				t.Errorf("event %+v", e)
			case p.Summary == "" || len(p.Summary) > 1024 || p.Source == "" || p.Timestamp.IsZero() || !slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity):
				t.Errorf("payload %+v", p)
			default:
				triggers++
				open[e.DedupKey] = true
			}
		}
		if len(open) != 0 || triggers < 4 {
			t.Errorf("%d triggers; after all has ended, %d are open", triggers, len(open))
		}
	})
}

// The usual addresses need not be known.
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		o    notify.Options
		want string
	}{
		{notify.Options{Format: notify.PagerDuty, Key: "k"}, "https://events.pagerduty.com/v2/enqueue"},
		{notify.Options{Format: notify.PagerDuty, Key: "k", URL: "https://events.eu.pagerduty.com/v2/enqueue"}, "https://events.eu.pagerduty.com/v2/enqueue"},
		{notify.Options{Format: notify.Alertmanager, URL: "http://alerts:9093"}, "http://alerts:9093/api/v2/alerts"},
		{notify.Options{Format: notify.Alertmanager, URL: "http://alerts:9093/am/api/v2/alerts"}, "http://alerts:9093/am/api/v2/alerts"},
		{notify.Options{URL: "http://hook"}, "http://hook"},
	} {
		r := &receiver{}
		c.o.Client = &http.Client{Transport: r}
		n, err := notify.New(c.o)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Send(t.Context(), notify.Notice{Kind: notify.Report, Text: "x"}); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if got := r.take()[0].url; got != c.want {
			t.Errorf("%s goes to %s, want %s", c.o, got, c.want)
		}
	}
}
