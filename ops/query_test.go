package ops_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

type page struct {
	Total    int
	Breakers []struct{ ID, Key string }
	Next     string
}

func getPage(t *testing.T, h http.Handler, query string) (p page) {
	t.Helper()
	w := get(h, "/v1/status?"+query)
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %.200s, %v", query, w.Code, w.Body, err)
	}
	return p
}

// However many breakers there are, a page has a bounded number of them, and
// all pages together have each once, in order, whatever bytes the keys
// contain.
func TestStatusComesInPages(t *testing.T) {
	m, set := tenants(t, 12_000)
	for _, key := range []string{"", "\xff", "\xfe\xff", "\ufffd", "é", "a b&c=d", "日本", strings.Repeat("x", 4000)} {
		set.Breaker(key)
	}
	m.Breaker("alone")
	for i := range 7000 {
		set.Breaker(fmt.Sprintf("t%06d", i)).Open(breaker.Order{})
	}
	h := planeOf(t, m, ops.Options{}).Handler()
	for _, c := range []struct {
		query string
		total int
		most  int
	}{
		{"", 12_009, 5000},
		{"limit=5001", 12_009, 5000},
		{"limit=999999999", 12_009, 5000},
		{"limit=1000", 12_009, 1000},
		{"id=tenants/*&limit=4000", 12_008, 4000},
		{"state=open", 7000, 5000},
		{"state=open&state=open&state=closed&limit=3000", 12_009, 3000},
		{"match=T0000&limit=33", 100, 33},
		{"id=alone", 1, 5000},
	} {
		var got []string
		for after := ""; ; {
			query := c.query
			if after != "" {
				query += "&after=" + after
			}
			p := getPage(t, h, query)
			if p.Total != c.total || len(p.Breakers) > c.most || p.Next != "" && len(p.Breakers) < min(c.most, 4000) {
				t.Fatalf("%s: %d breakers of %d, next %q, want at most %d of %d", query, len(p.Breakers), p.Total, p.Next, c.most, c.total)
			}
			for _, b := range p.Breakers {
				got = append(got, b.ID)
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if len(got) != c.total || !slices.IsSortedFunc(got[:min(len(got), 11_000)], strings.Compare) {
			t.Errorf("%s: all pages have %d breakers, want %d in order", c.query, len(got), c.total)
		}
	}
	for _, bad := range []string{"after=%25", "limit=0", "limit=-1", "limit=x", "state=ajar", "id=" + strings.Repeat("x&id=", 201)} {
		if w := get(h, "/v1/status?"+bad); w.Code != http.StatusBadRequest {
			t.Errorf("%.30s: %d, want 400", bad, w.Code)
		}
	}
}

// A page ends when it has reached a number of bytes.
func TestPagesAreBoundedInBytes(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	set := breaker.SetOf[string](m, "tenants")
	for i := range 3000 {
		set.Breaker(fmt.Sprint(i, strings.Repeat("x", 2000)))
	}
	h := planeOf(t, m, ops.Options{}).Handler()
	n := 0
	for after := ""; ; {
		w := get(h, "/v1/status?after="+after)
		if w.Body.Len() > 3<<20 {
			t.Errorf("a page has %d bytes", w.Body.Len())
		}
		var p page
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		n += len(p.Breakers)
		if after = url.QueryEscape(p.Next); after == "" {
			break
		}
	}
	if n != 3000 {
		t.Errorf("all pages have %d breakers, want 3000", n)
	}
}

// A client puts the pages together.
func TestClientAsksForAllPages(t *testing.T) {
	m, set := tenants(t, 6_000)
	set.Breaker("t000007").Open(breaker.Order{})
	server := httptest.NewServer(planeOf(t, m, ops.Options{}).Handler())
	defer server.Close()
	c, err := ops.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tt := range []struct {
		ask  ops.StatusQuery
		want int
	}{
		{ops.StatusQuery{}, 6_000},
		{ops.StatusQuery{Limit: 5_555}, 5_555},
		{ops.StatusQuery{Limit: 5000}, 5000},
		{ops.StatusQuery{IDs: []string{"tenants/*"}, Full: true}, 6_000},
		{ops.StatusQuery{States: []breaker.State{breaker.Open}}, 1},
		{ops.StatusQuery{Match: "nothing"}, 0},
	} {
		all, err := c.Status(ctx, tt.ask)
		if err != nil || len(all) != tt.want || !slices.IsSortedFunc(all, func(a, b ops.Status) int { return strings.Compare(a.ID, b.ID) }) {
			t.Errorf("%+v: %d breakers, %v, want %d in order", tt.ask, len(all), err, tt.want)
		}
	}
}

// Only what is returned is read completely: a request for a few of very many
// breakers costs no more than one for a few of a few.
func TestWorkIsProportionalToTheAnswer(t *testing.T) {
	cost := func(keys int, target string) float64 {
		m, set := tenants(t, keys)
		for i := range 5 {
			set.Breaker(fmt.Sprintf("t%06d", rand.IntN(keys))).ForceOpen(breaker.Order{})
			_ = i
		}
		p := ops.New(m, ops.Options{})
		defer p.Close()
		h := p.Handler()
		get(h, target)
		return testing.AllocsPerRun(3, func() {
			if w := get(h, target); w.Code != http.StatusOK {
				t.Fatal(target, w.Code, w.Body)
			}
		})
	}
	for _, target := range []string{"/v1/status?limit=10", "/v1/status?state=forced-open", "/metrics?keys=tenants", "/metrics?keys=tenants&keys=a&keys=b&keys=c&keys=d"} {
		few, many := cost(2000, target), cost(20_000, target)
		// The id is computed for each breaker that may be selected; a status
		// needs much more.
		if each := (many - few) / 18_000; each > 1.2 {
			t.Errorf("%s: %.1f allocations for each breaker that is not in the answer", target, each)
		}
	}
}

// A client that requests the keys of too many sets gets an error.
func TestKeysOfManySets(t *testing.T) {
	m, _ := tenants(t, 10)
	h := planeOf(t, m, ops.Options{}).Handler()
	q := make([]string, 9999)
	for i := range q {
		q[i] = fmt.Sprintf("keys=%d", i)
	}
	if w := get(h, "/metrics?"+strings.Join(q, "&")); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "want at most 10") {
		t.Errorf("%d %.200s", w.Code, w.Body)
	}
	if w := get(h, "/metrics?"+strings.Repeat("keys=tenants&", 5000)); w.Code != http.StatusOK || strings.Count(w.Body.String(), "\nswitchgear_key_state{") != 10 {
		t.Errorf("one set over and over: %d, %d keys, want 200 and 10", w.Code, strings.Count(w.Body.String(), "\nswitchgear_key_state{"))
	}
}

// The worst keys come first if not all are shown.
func TestMetricsShowTheWorstKeys(t *testing.T) {
	m, set := tenants(t, 5000)
	for i := range 10 {
		set.Breaker(fmt.Sprintf("t%06d", 4000+i)).Open(breaker.Order{})
		set.Breaker(fmt.Sprintf("t%06d", 3000+i)).ForceClosed(breaker.Order{})
		fail(set.Breaker(fmt.Sprintf("t%06d", 2000+i)), 3)
	}
	text := get(planeOf(t, m, ops.Options{}).Handler(), "/metrics?keys=tenants").Body.String()
	if n := strings.Count(text, "\nswitchgear_key_state{"); n != 1000 {
		t.Errorf("%d keys, want 1000", n)
	}
	for _, want := range []string{`key="t004003",state="open"} 1`, `key="t003003",state="forced-closed"} 1`, `key="t002003",state="closed"} 1`, `key="t000000",state="closed"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func BenchmarkStatusPage(b *testing.B) {
	m, _ := tenants(b, 100_000)
	for _, target := range []string{"/v1/status", "/v1/status?limit=100", "/v1/status?state=open", "/v1/overview", "/metrics", "/metrics?keys=tenants"} {
		b.Run(target, func(b *testing.B) {
			p := ops.New(m, ops.Options{})
			defer p.Close()
			for b.Loop() {
				p.ForgetOverview()
				if w := get(p.Handler(), target); w.Code != http.StatusOK && w.Code != http.StatusTooManyRequests {
					b.Fatal(w.Code)
				}
				p.FreshGate()
			}
		})
	}
}
