package ops_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/filled"
	"github.com/switchgear-go/switchgear/ops"
)

// schema is the part of JSON Schema that the document uses.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Enum       []string           `json:"enum"`
	Format     string             `json:"format"`
	Items      *schema            `json:"items"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Additional json.RawMessage    `json:"additionalProperties"`
}

type document struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct {
				Schema *schema `json:"schema"`
			} `json:"content"`
		} `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

// check reports where v does not match s, and notes which schemas were used.
func (d *document) check(s *schema, v any, at string, covered map[string]bool) []string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		covered[name] = true
		if d.Components.Schemas[name] == nil {
			return []string{at + ": no schema " + name}
		}
		return d.check(d.Components.Schemas[name], v, at, covered)
	}
	wrong := func(format string, args ...any) []string { return []string{at + ": " + fmt.Sprintf(format, args...)} }
	switch v := v.(type) {
	case string:
		if s.Type != "string" && s.Type != "" || s.Enum != nil && !slices.Contains(s.Enum, v) {
			return wrong("%q", v)
		}
		if _, err := time.Parse(time.RFC3339Nano, v); s.Format == "date-time" && err != nil {
			return wrong("%v", err)
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || v != math.Trunc(v)) && s.Type != "" {
			return wrong("%v is not of type %s", v, s.Type)
		}
	case bool:
		if s.Type != "boolean" {
			return wrong("%v is not of type %s", v, s.Type)
		}
	case []any:
		if s.Type != "array" {
			return wrong("an array, want %s", s.Type)
		}
		var all []string
		for i, x := range v {
			all = append(all, d.check(s.Items, x, at+"["+strconv.Itoa(i)+"]", covered)...)
		}
		return all
	case map[string]any:
		return d.checkObject(s, v, at, covered)
	default:
		return wrong("%v", v)
	}
	return nil
}

func (d *document) checkObject(s *schema, v map[string]any, at string, covered map[string]bool) (all []string) {
	if s.Type != "object" {
		return []string{at + ": an object, want " + s.Type}
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			all = append(all, at+": no "+name)
		}
	}
	for name, x := range v {
		switch p := s.Properties[name]; {
		case p != nil:
			all = append(all, d.check(p, x, at+"."+name, covered)...)
		case string(s.Additional) == "false":
			all = append(all, at+": "+name+" is not in the document")
		case len(s.Additional) > 0 && s.Additional[0] == '{':
			var each schema
			if err := json.Unmarshal(s.Additional, &each); err != nil {
				all = append(all, err.Error())
			}
			all = append(all, d.check(&each, x, at+"."+name, covered)...)
		}
	}
	return all
}

// Every route is in the document and vice versa, and what the real handler
// answers, in every way that the document knows, matches it.
func TestOpenAPIDocumentIsTrue(t *testing.T) {
	m := shop(t)
	standing := t.TempDir() + "/standing"
	lost := `{"version":1,"settings":[{"id":"payments","key":"gone","value":1,"actor":"ana","since":"2026-01-01T00:00:00Z"}]}`
	if err := os.WriteFile(standing, []byte(lost), 0o600); err != nil {
		t.Fatal(err)
	}
	p := ops.New(m, ops.Options{
		Audit:    t.TempDir() + "/no/such/folder",
		Standing: standing,
		Authorize: func(r *http.Request, _ *ops.Order) error {
			if r.Header.Get("X-User") == "eve" {
				return os.ErrPermission
			}
			return nil
		},
	})
	defer p.Close()
	h := p.Handler()
	var doc document
	raw := get(h, "/v1/openapi.json").Body.Bytes()
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	routes := ops.Routes()
	for path, methods := range doc.Paths {
		for method := range methods {
			if route := strings.ToUpper(method) + " " + path; !slices.Contains(routes, route) {
				t.Errorf("%s is in the document and nowhere else", route)
			}
		}
	}

	busy(t, m, p)
	covered, seen := map[string]bool{}, map[string]bool{}
	answer := func(method, target string, w *httptest.ResponseRecorder) {
		t.Helper()
		path, _, _ := strings.Cut(target, "?")
		seen[method+" "+path] = true
		known, ok := doc.Paths[path][strings.ToLower(method)].Responses[strconv.Itoa(w.Code)]
		if !ok {
			t.Errorf("%s %s answers %d, which is not in the document: %s", method, target, w.Code, w.Body)
			return
		}
		kind := w.Header().Get("Content-Type")
		content, ok := known.Content[kind]
		if !ok {
			t.Errorf("%s %s answers with %s, which is not in the document", method, target, kind)
			return
		}
		var v any = w.Body.String()
		if kind == "application/json" {
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
				t.Errorf("%s %s: %v", method, target, err)
				return
			}
		}
		for _, wrong := range doc.check(content.Schema, v, method+" "+target, covered) {
			t.Error(wrong)
		}
	}
	for _, target := range []string{
		"/v1/process", "/v1/status", "/v1/status?full=1", "/v1/status?id=payments&full=1", "/v1/status?id=paymnets", "/v1/status?state=shut",
		"/v1/status?limit=x", "/v1/status?id=tenants/*&state=open&state=closed", "/v1/overview", "/v1/explain?id=payments", "/v1/explain?id=rated", "/v1/status?id=rated", "/v1/explain", "/v1/explain?id=tenants",
		"/v1/history?id=payments&id=search", "/v1/history?id=x", "/v1/timeline", "/v1/timeline?since=1h&id=payments", "/v1/timeline?since=x", "/v1/timeline?id=x", "/v1/plots?name=payments", "/v1/plots", "/v1/shadows", "/v1/orders", "/v1/recording", "/v1/openapi.json", "/metrics", "/metrics?keys=tenants",
		"/v1/settings", "/v1/settings?id=tenants/*&id=payments", "/v1/settings?id=x", "/v1/settings?" + strings.Repeat("id=payments&", 201), "/v1/explain?id=rated&id=search", "/v1/status?limit=2", "/v1/status?after=%25", "/metrics?keys=1&keys=2&keys=3&keys=4&keys=5&keys=6&keys=7&keys=8&keys=9&keys=10&keys=11",
	} {
		answer(http.MethodGet, target, get(h, target))
	}
	ended := httptest.NewRecorder()
	p2 := ops.New(m, ops.Options{})
	p2.Close()
	p2.Handler().ServeHTTP(ended, httptest.NewRequest(http.MethodGet, "/v1/events", nil))
	answer(http.MethodGet, "/v1/events", ended)
	for body, header := range map[string][]string{
		openPayments: nil,
		`{"id": "tenants/*", "verb": "set", "actor": "ana", "dry_run": true, "settings": {"fail_max": 3}}`: nil,
		`{"id": "payments", "verb": "set", "actor": "ana", "settings": {"fail_max": 3}}`:                   nil,
		`{"id": "payments", "verb": "extend", "actor": "ana", "for": "5m"}`:                                nil,
		`{"id": "*", "verb": "close", "states": ["half-open"], "actor": "ana"}`:                            nil,
		`{"verb": "mark", "actor": "ci", "reason": "v2"}`:                                                  nil,
		`{"id": "payments", "verb": "shadow", "shadow": "s", "actor": "ana", "settings": {"fail_max": 9}}`: nil,
		`{"id": "payments", "verb": "promote", "shadow": "other", "actor": "ana"}`:                         nil,
		`{"id": "payments", "verb": "set", "actor": "ana", "settings": {"x": 3}}`:                          nil,
		`{"id": "payments", "verb": "trip", "actor": "ana"}`:                                               nil,
		`{"id": "x", "verb": "open", "actor": "ana"}`:                                                      nil,
		`{"id": "*", "verb": "open", "actor": "ana"}`:                                                      nil,
		`{"id": "payments", "verb": "open", "actor": "ana", "if_version": 999}`:                            nil,
		`{"id": "` + strings.Repeat("x", 70_000) + `"}`:                                                    nil,
		openPayments + " ":   {"Content-Type", "text/plain"},
		openPayments + "  ":  {"X-User", "eve"},
		openPayments + "   ": {"Sec-Fetch-Site", "cross-site"},
	} {
		answer(http.MethodPost, "/v1/orders", post(h, "/v1/orders", body, header...))
	}
	for range 100 {
		post(h, "/v1/orders", openPayments)
	}
	answer(http.MethodPost, "/v1/orders", post(h, "/v1/orders", openPayments))
	elsewhere := ops.New(m, ops.Options{Hosts: []string{"ops.example"}})
	defer elsewhere.Close()
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		r := httptest.NewRequest(method, path, nil)
		w := httptest.NewRecorder()
		elsewhere.Handler().ServeHTTP(w, r)
		if answer(method, path, w); w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%s for another host: %d", route, w.Code)
		}
	}
	for _, route := range routes {
		if !seen[route] {
			t.Errorf("%s was not asked", route)
		}
	}
	for name := range doc.Components.Schemas {
		if !covered[name] && name != "Order" {
			t.Errorf("schema %s was not met", name)
		}
	}
}

// busy creates some of everything that can be shown.
func busy(t *testing.T, m *breaker.Manager, p *ops.Plane) {
	t.Helper()
	rated, err := m.Create("rated", breaker.Settings{FailureRate: 0.5, MinCalls: 2, FailMax: -1, SlowCall: time.Hour, SlowRate: 1}, breaker.WithLinks(breaker.Links{Owner: "a", Runbook: "b", Dashboard: "c", Traces: "d"}))
	if err != nil {
		t.Fatal(err)
	}
	succeed(rated, 3)
	fail(rated, 2)
	fail(m.Breaker("search"), 6)
	fail(breaker.SetOf[string](m, "tenants").Breaker("a"), 5)
	for _, o := range []ops.Order{
		{ID: "payments", Verb: breaker.VerbForceClosed, Reason: "INC-42", For: ops.Duration(time.Hour)},
		{ID: "tenants/b", Verb: breaker.VerbForceOpen, Reason: "INC-42", NoExpiry: true},
		{ID: "rated", Verb: ops.VerbSet, Settings: json.RawMessage(`{"min_calls": 5}`)},
		{ID: "payments", Verb: ops.VerbExtend, For: ops.Duration(time.Minute)},
		{ID: "rated", Verb: ops.VerbNote, Reason: "flaky since the deployment"},
		{ID: "search", Verb: ops.VerbAck},
		{Verb: ops.VerbMark, Reason: "v1.2.3"},
		{ID: "search", Verb: ops.VerbShadow, Shadow: "tight", Settings: json.RawMessage(`{"fail_max": 2}`)},
		{ID: "tenants/*", Verb: ops.VerbShadow, Shadow: "tight", Settings: json.RawMessage(`{"fail_max": 2}`)},
		{ID: "rated", Verb: ops.VerbShadow, Shadow: "loose", Settings: json.RawMessage(`{"min_calls": 9}`)},
		{ID: "rated", Verb: ops.VerbPromote, Shadow: "loose"},
	} {
		o.Actor = "ana"
		if _, err := p.Do(o, program); err != nil {
			t.Fatal(err)
		}
	}
	fail(m.Breaker("payments"), 5)
	fail(breaker.SetOf[string](m, "tenants").Breaker("c"), 3)
	p.Report("payments", "deploying")
	m.CapOpen(0.1)
	fail(m.Breaker("held back"), 5)
}

// What a page may send must be what the document says, no more and no less.
func TestOrderSchemaIsTheOrder(t *testing.T) {
	var doc document
	if err := json.Unmarshal(get(planeOf(t, shop(t), ops.Options{}).Handler(), "/v1/openapi.json").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal(ops.Order{ID: "a", Verb: "open", Actor: "a", Reason: "a", For: 1, NoExpiry: true, IfVersion: 1, Confirm: 1, DryRun: true, Shadow: "a", States: []breaker.State{breaker.Open}, Settings: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.NewDecoder(bytes.NewReader(all)).Decode(&v); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range doc.check(doc.Components.Schemas["Order"], v, "order", map[string]bool{}) {
		t.Error(wrong)
	}
	if props := doc.Components.Schemas["Order"].Properties; len(props) != len(v) {
		t.Errorf("the document has %d fields, an order has %d", len(props), len(v))
	}
}

// The document has every field of what is written, also those that no test
// provokes, and durations are strings in it.
func TestOpenAPIDocumentHasEveryField(t *testing.T) {
	var doc document
	if err := json.Unmarshal(get(planeOf(t, shop(t), ops.Options{}).Handler(), "/v1/openapi.json").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	answer := func(path string) *schema {
		return doc.Paths[path]["get"].Responses["200"].Content["application/json"].Schema
	}
	each := func(path, field string) *schema { return answer(path).Properties[field].Items }
	for _, c := range []struct {
		name string
		s    *schema
		v    any
	}{
		{"Order", doc.Components.Schemas["Order"], filled.New[ops.Order]()},
		{"Receipt", doc.Components.Schemas["Receipt"], filled.New[ops.Receipt]()},
		{"Process", doc.Components.Schemas["Process"], filled.New[ops.Process]()},
		{"Status", doc.Components.Schemas["Status"], filled.New[ops.Status]()},
		{"Set", doc.Components.Schemas["Set"], filled.New[ops.Set]()},
		{"Transition", doc.Components.Schemas["Transition"], filled.New[breaker.Transition]()},
		{"Event", doc.Components.Schemas["Event"], filled.New[ops.Event]()},
		{"Plot", doc.Components.Schemas["Plot"], filled.New[ops.Plot]()},
		{"Latency", doc.Components.Schemas["Latency"], filled.New[ops.Latency]()},
		{"Note", doc.Components.Schemas["Note"], filled.New[ops.Note]()},
		{"explanation", each("/v1/explain", "explanations"), filled.New[ops.Explanation]()},
		{"history", each("/v1/history", "histories"), filled.New[ops.History]()},
		{"shadows", each("/v1/shadows", "shadows"), filled.New[ops.ShadowsOf]()},
		{"settings", each("/v1/settings", "settings"), filled.New[ops.SettingsOf]()},
		{"timeline", answer("/v1/timeline"), filled.New[ops.Timeline]()},
		{"overview", answer("/v1/overview"), filled.New[ops.Overview]()},
	} {
		text, err := json.Marshal(c.v)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		for _, wrong := range doc.check(c.s, v, c.name, map[string]bool{}) {
			// Values are arbitrary, so texts need not be one of a list.
			if strings.Contains(wrong, "is not in the document") || strings.Contains(wrong, "is not of type") {
				t.Error(wrong)
			}
		}
	}
}
