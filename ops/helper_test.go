package ops_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

var ctx = context.Background()

var program = ops.Peer{Transport: "program"}

// planeOf returns a plane of m, until the test ends.
func planeOf(t testing.TB, m *breaker.Manager, o ops.Options) *ops.Plane {
	t.Helper()
	p := ops.New(m, o)
	t.Cleanup(func() { p.Close() })
	return p
}

// listen returns a client of a plane of m behind its socket.
func listen(t testing.TB, m *breaker.Manager) (*ops.Server, *ops.Client) {
	t.Helper()
	s, err := planeOf(t, m, ops.Options{Service: "shop", RuntimeDir: t.TempDir()}).Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, err := ops.NewClient(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

// shop returns a manager with two breakers and a set of three keys.
func shop(t testing.TB) *breaker.Manager {
	t.Helper()
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("payments")
	m.Breaker("search")
	s := breaker.SetOf[string](m, "tenants")
	for _, k := range []string{"a", "b", "c/d"} {
		s.Breaker(k)
	}
	return m
}

var errDown = errors.New("connection refused")

func fail(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(ctx, func(context.Context) error { return errDown })
	}
}

func succeed(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(ctx, func(context.Context) error { return nil })
	}
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func anybody(*http.Request, *ops.Order) error { return nil }

const openPayments = `{"id": "payments", "verb": "open", "actor": "ana"}`

func post(h http.Handler, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// eventually waits for something that another goroutine or process is about to
// do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

// tenants returns a manager with a set of n keys.
func tenants(t testing.TB, keys int) (*breaker.Manager, *breaker.Set[string]) {
	t.Helper()
	m := breaker.NewManager(breaker.Settings{})
	set, err := breaker.CreateSet[string](m, "tenants", breaker.Settings{}, breaker.SetOptions{MaxKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		set.Breaker(fmt.Sprintf("t%06d", i))
	}
	return m, set
}

func mustDo(t *testing.T, p *ops.Plane, o ops.Order) ops.Receipt {
	t.Helper()
	r, err := p.Do(o, program)
	if err != nil {
		t.Fatalf("%s of %s: %v", o.Verb, o.ID, err)
	}
	return r
}

// long skips one of the tests that take longest, unless SWITCHGEAR_LONG is set. ./check
// sets it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
}
