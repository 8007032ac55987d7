package ops

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// entries returns the lines of a log, which must verify.
func entries(t *testing.T, path string) (all []AuditEntry) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyAudit(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for e, err := range ReadAudit(bytes.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		if !e.Start {
			all = append(all, e)
		}
	}
	return all
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// locked is a handler that accepts no orders from clients that are not signed
// in.
func lockedHandler(p *Plane) http.Handler {
	p.o.Authorize = func(r *http.Request, o *Order) error {
		if r.Header.Get("Authorization") == "" {
			return errors.New("sign in first")
		}
		return nil
	}
	return p.Handler()
}

func sendOrder(h http.Handler, addr, body string, auth string) int {
	r := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(body))
	r.RemoteAddr = addr
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", auth)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// Clients that may give no orders cannot fill the log, whatever they send and
// from however many addresses, and yet what they did is reported.
func TestUnauthorizedOrdersCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit")
		m := breaker.NewManager(breaker.Settings{})
		m.Breaker("payments")
		p := New(m, Options{Audit: path})
		h := lockedHandler(p)
		const each = 200
		for i := range each {
			body := fmt.Sprintf(`{"verb": "v%d", "id": "%s", "actor": "%s", "reason": "%s"}`, i, strings.Repeat("i", i), strings.Repeat("A", 100), strings.Repeat("B", 60_000))
			for _, addr := range []string{"192.0.2.1:", "[2001:db8::1]:"} {
				if code := sendOrder(h, addr+fmt.Sprint(1000+i), body, ""); code != http.StatusForbidden {
					t.Fatal(code)
				}
			}
		}
		synctest.Wait()
		if n := size(t, path); n > 4000 {
			t.Errorf("%d refused orders made the log %d bytes long", 2*each, n)
		}
		time.Sleep(foldTime)
		synctest.Wait()
		all := entries(t, path)
		repeats := 0
		for _, e := range all {
			repeats += e.Repeats
			if !strings.Contains(e.Error, "sign in first") || e.Peer.Addr == "" || len(e.Order.Reason) > maxShortRef+10 || e.Receipt != nil {
				t.Errorf("entry = %+v", e)
			}
		}
		if len(all) != 4 || repeats+2 != 2*each {
			t.Errorf("%d lines that stand for %d more, want 4 that stand for %d", len(all), repeats, 2*each-2)
		}
		before := size(t, path)
		for i := range 10_000 {
			sendOrder(h, fmt.Sprintf("10.%d.%d.1:1", i>>8, i&255), `{"verb": "open", "id": "payments", "actor": "eve"}`, "")
		}
		time.Sleep(foldTime)
		synctest.Wait()
		if grown := size(t, path) - before; grown > 10_000 {
			t.Errorf("10,000 addresses made the log %d bytes longer in a minute", grown)
		}
		sendOrder(h, "192.0.2.1:1", `{"verb": "open", "id": "payments", "actor": "ana"}`, "ana")
		for range 3 {
			sendOrder(h, "192.0.2.1:1", `{"verb": "open", "id": "payments", "actor": "eve"}`, "")
		}
		if err := p.Close(); err != nil { // what is due is written
			t.Fatal(err)
		}
		all = entries(t, path)
		if n := len(all); all[n-3].Receipt == nil || all[n-3].Order.Actor != "ana" || all[n-2].Repeats != 0 || all[n-1].Repeats != 2 {
			t.Errorf("the last three lines = %+v", all[n-3:])
		}
	})
}

// Each mistake of a client that may give orders is recorded, and one that is
// repeated is counted.
func TestMistakesAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit")
		m := breaker.NewManager(breaker.Settings{})
		m.Breaker("payments")
		p := New(m, Options{Audit: path})
		for range 100 {
			for _, o := range []Order{
				{ID: "paymnets", Verb: breaker.VerbOpen, Actor: "ana"},
				{ID: "paymnets", Verb: breaker.VerbOpen, Actor: "bob"},
				{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", IfVersion: 99},
				{ID: "payments", Verb: breaker.VerbOpen, Actor: "ana", Reason: strings.Repeat("x", 60_000), Settings: []byte(`"` + strings.Repeat("x", 1000) + `"`)},
			} {
				if _, err := p.Do(o, Peer{Transport: "socket"}); err == nil {
					t.Fatalf("%+v was carried out", o)
				}
			}
		}
		if all := entries(t, path); len(all) != 4 || len(all[3].Order.Reason) > 300 || all[3].Order.Settings != nil {
			t.Errorf("%d lines at first, want 4, the last one short", len(all))
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		all := entries(t, path)
		if len(all) != 8 || all[7].Repeats != 99 {
			t.Errorf("%d lines, the last stands for %d more, want 8 and 99", len(all), all[len(all)-1].Repeats)
		}
	})
}

// The order of a client that may give none does not wait for a disk.
func TestUnauthorizedOrdersDoNotWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := hangingAuditor(t)
		began := time.Now()
		refused := fmt.Errorf("%w: sign in first", ErrRefused)
		for i := range 1000 {
			if err := a.write(Order{ID: "payments"}, Peer{Transport: "http", Addr: fmt.Sprintf("192.0.2.%d:1", i%250)}, nil, refused); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("1,000 refusals waited %s", took)
		}
		if n := len(a.queue); n > maxStrange+1 {
			t.Errorf("%d lines of strangers wait to be written, want at most %d", n, maxStrange+1)
		}
		a.drain() // it hangs no more
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"abc", "abc"}, {"abcd", "abc…"}, {"ab日本", "ab…"}, {"日本", "日…"}} {
		if got := cut(c[0], 3); got != c[1] {
			t.Errorf("cut(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}
