package breaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

type traceKey struct{}

func traced(id string) context.Context {
	return context.WithValue(context.Background(), traceKey{}, id)
}

func traceOf(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	if id == "panic" {
		panic(id)
	}
	return id
}

// A record has the trace of the newest call that failed with each error. A
// panic of the function, and text that is too long or not UTF-8, do no harm.
func TestTraceIDIsInTheRecord(t *testing.T) {
	for id, want := range map[string]string{
		"4bf92f3577b34da6a3ce929d0e0e4736": "4bf92f3577b34da6a3ce929d0e0e4736",
		"":                                 "",
		"panic":                            "",
		strings.Repeat("x", 100):           strings.Repeat("x", 64),
		"a\xffb":                           "ab",
	} {
		b := breaker.New("db", breaker.Settings{FailMax: 2}, breaker.WithTraceID(traceOf))
		for _, ctx := range []context.Context{traced("first"), traced(id)} {
			_ = b.Do(ctx, func(context.Context) error { return errors.New("down") })
		}
		opened := b.Status().Opened
		if opened == nil || len(opened.Errors) != 1 || opened.Errors[0].TraceID != want || opened.Errors[0].Count != 2 {
			t.Errorf("%q: the record is %+v, want the trace %q", id, opened, want)
		}
	}
}

func TestTraceIDOfPermits(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithTraceID(traceOf))
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Settle(traced("abc"), breaker.Failure, errors.New("down"))
	if got := b.Status().Opened.Errors[0].TraceID; got != "abc" {
		t.Errorf("trace %q, want abc", got)
	}
}

// Links are in the status of a breaker, and of every key of a set.
func TestLinksAreInStatus(t *testing.T) {
	links := breaker.Links{Owner: "team payments", Runbook: "https://runbooks.example/payments"}
	var m breaker.Manager
	if _, err := m.Create("payments", breaker.Settings{}, breaker.WithLinks(links)); err != nil {
		t.Fatal(err)
	}
	set, err := breaker.CreateSet[string](&m, "tenant", breaker.Settings{}, breaker.SetOptions{}, breaker.WithLinks(links))
	if err != nil {
		t.Fatal(err)
	}
	set.Breaker("acme")
	m.Breaker("plain")
	for _, s := range m.Status() {
		if s.ID == "plain" {
			if s.Links != nil {
				t.Errorf("plain has links: %+v", s.Links)
			}
			continue
		}
		if s.Links == nil || *s.Links != links {
			t.Errorf("%s has links %+v, want %+v", s.ID, s.Links, links)
		}
		text, err := json.Marshal(s)
		if err != nil || !strings.Contains(string(text), `"links":{"owner":"team payments","runbook":"https://runbooks.example/payments"}`) {
			t.Errorf("JSON of %s: %s, %v", s.ID, text, err)
		}
	}
}
