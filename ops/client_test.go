package ops_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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
