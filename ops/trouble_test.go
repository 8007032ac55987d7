package ops_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// What a client reports if the other side is not an operations plane, or the
// connection breaks.
func TestClientInTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string
		gone  bool
	}{
		"another server": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusNotFound) }, "404 Not Found: is it a switchgear handler?", false},
		"no JSON":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "invalid character '<'", false},
		"cut off":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"breakers":[{"id":"pay`) }, "unexpected EOF", false},
		"hangs up":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", true},
		"redirects":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusSeeOther) }, "303 See Other", false},
	} {
		s := httptest.NewServer(c.serve)
		client, err := ops.NewClient(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.Overview(ctx); err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ops.ErrUnreachable) != c.gone {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if _, err = client.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}); c.gone && !strings.Contains(err.Error(), "may yet be carried out") {
			t.Errorf("%s: an order: %v, want that it may yet be carried out", name, err)
		}
		if _, err = client.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", DryRun: true}); err == nil || strings.Contains(err.Error(), "carried out") {
			t.Errorf("%s: a dry run: %v", name, err)
		}
		for _, err := range client.Events(ctx, "") {
			if err == nil {
				t.Errorf("%s: an event", name)
			}
			break
		}
		s.Close()
		if _, err = client.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}); !errors.Is(err, ops.ErrUnreachable) || strings.Contains(err.Error(), "carried out") {
			t.Errorf("%s, closed: %v, want ErrUnreachable, and nothing was sent", name, err)
		}
	}
}

func TestClientLooksAtAllThereIs(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{RuntimeDir: t.TempDir()})
	defer p.Close()
	s, err := p.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := ops.NewClient(s.Path())
	if err != nil || c.Address() != s.Path() {
		t.Fatal(c.Address(), err)
	}
	defer c.Close()
	if _, err := c.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana"}); err != nil {
		t.Fatal(err)
	}
	if all, err := c.Orders(ctx); err != nil || len(all) != 1 || all[0].Order.Actor != "ana" {
		t.Errorf("Orders = %+v, %v", all, err)
	}
	if all, err := c.Plots(ctx, "payments"); err != nil || len(all) != 1 || all[0].Name != "payments" {
		t.Errorf("Plots = %+v, %v", all, err)
	}
	if _, err := c.Plots(ctx); !errors.Is(err, breaker.ErrOrder) {
		t.Errorf("Plots of nothing: %v, want ErrOrder", err)
	}
	if text, err := c.Metrics(ctx); err != nil || !strings.Contains(text, `breaker="payments"`) && !strings.Contains(text, "payments") {
		t.Errorf("Metrics: %v\n%.300s", err, text)
	}
}

// The receipt of an order for very many keys can be read.
func TestReceiptOfManyIsShort(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	keys := breaker.SetOf[int](m, "tenants")
	for k := range 1500 {
		keys.Breaker(k)
	}
	p := ops.New(m, ops.Options{})
	defer p.Close()
	r, err := p.Do(ops.Order{ID: "tenants/*", Verb: breaker.VerbOpen, Actor: "ana", Confirm: 1500}, program)
	if err != nil || r.Matched != 1500 || r.Touched != 1500 || len(r.Results) != 1000 || r.Omitted != 500 {
		t.Errorf("matched %d, touched %d, %d results, %d omitted, %v", r.Matched, r.Touched, len(r.Results), r.Omitted, err)
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
	planeOf(t, m, ops.Options{}).Handler().ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var o ops.Overview
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

// In a receipt for many, what changes its state comes first, and counts cover
// the rest, including results that are left out.
func TestReceiptShowsChangesFirst(t *testing.T) {
	m, set := tenants(t, 3000)
	for i := range 20 {
		set.Breaker(fmt.Sprintf("t%06d", 2900+i)).Open(breaker.Order{})
	}
	set.Breaker("t002950").ForceOpen(breaker.Order{})
	p := ops.New(m, ops.Options{})
	defer p.Close()
	o := ops.Order{ID: "tenants/*", Verb: breaker.VerbClose, Actor: "ana", DryRun: true}
	r, err := p.Do(o, program)
	if err != nil {
		t.Fatal(err)
	}
	want := []ops.Move{{From: breaker.Open, To: breaker.Closed, Count: 20}, {From: breaker.ForcedOpen, To: breaker.Closed, Count: 1}, {From: breaker.Closed, To: breaker.Closed, Count: 2979}}
	if !slices.Equal(r.Moves, want) {
		t.Errorf("moves = %+v, want %+v", r.Moves, want)
	}
	for i, x := range r.Results {
		if changes := x.Before != x.After; changes != (i < 21) || i > 0 && i != 21 && x.ID < r.Results[i-1].ID {
			t.Fatalf("result %d is %s: %s -> %s", i, x.ID, x.Before, x.After)
		}
	}
	if r.Omitted != 2000 || len(r.Results) != 1000 {
		t.Errorf("%d results, %d omitted", len(r.Results), r.Omitted)
	}
	o.DryRun, o.Confirm = false, 3000
	if r, err = p.Do(o, program); err != nil || !slices.Equal(r.Moves, want) {
		t.Errorf("done: %+v, %v", r.Moves, err)
	}
	one, err := p.Do(ops.Order{ID: "tenants/t000001", Verb: breaker.VerbOpen, Actor: "ana"}, program)
	if err != nil || one.Moves != nil {
		t.Errorf("of one: %+v, %v", one, err)
	}
}
