package ops

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// An overview is reused for ten times as long as it took, unless an order is
// carried out.
func TestOverviewIsKeptAsLongAsItCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		m.Breaker("payments")
		p := New(m, Options{})
		defer p.Close()
		open := func() (n int) {
			for _, b := range p.overview.get(m, nil).Breakers {
				n += btoi(b.State == breaker.Open)
			}
			return n
		}
		if n := open(); n != 0 {
			t.Fatal(n)
		}
		p.overview.cost = time.Second // in a bubble it took no time
		m.Breaker("payments").Open(breaker.Order{For: time.Hour})
		time.Sleep(9 * time.Second)
		if n := open(); n != 0 {
			t.Error("a look of 9 s ago that took 1 s was made anew")
		}
		time.Sleep(time.Second)
		if n := open(); n != 1 {
			t.Error("a look of 10 s ago that took 1 s was kept")
		}
		p.overview.cost = time.Hour
		if _, err := p.Do(Order{ID: "payments", Verb: breaker.VerbClose, Actor: "ana"}, Peer{}); err != nil {
			t.Fatal(err)
		}
		if n := open(); n != 0 {
			t.Error("a look from before an order was kept")
		}
	})
}

// An overview has a limited number of breakers, the worst of them, and says
// how many it leaves out.
func TestOverviewIsBounded(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	for i := range maxListed + 10 {
		m.Breaker(string(rune('a'+i%26)) + time.Duration(i).String())
	}
	m.Breaker("zzz").Open(breaker.Order{})
	page := overviewOf(m)
	o := page.with(nil)
	if len(o.Breakers) != maxListed || o.Omitted != 11 || o.Breakers[0].ID != "zzz" {
		t.Errorf("%d breakers, %d omitted, the first is %s", len(o.Breakers), o.Omitted, o.Breakers[0].ID)
	}
}

// The worst set comes first, and sets without anything to report are sorted by
// name.
func TestOverviewPutsTheWorstSetFirst(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	for _, name := range []string{"d", "c", "b", "a"} {
		breaker.SetOf[string](m, name).Breaker("x")
	}
	breaker.SetOf[string](m, "c").Breaker("x").HalfOpen(breaker.Order{})
	breaker.SetOf[string](m, "d").Breaker("x").Open(breaker.Order{})
	r := httptest.NewRequest(http.MethodGet, "/v1/overview", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	New(m, Options{}).Handler().ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var o Overview
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range o.Sets {
		got += s.Name
	}
	if got != "dcab" {
		t.Errorf("sets in the order %s, want dcab", got)
	}
}
