package fleet_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

// ask asks a member's plane, as its own page does.
func (x *mate) ask(t *testing.T, method, path, body string, v any) int {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1/"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	x.Plane.Handler().ServeHTTP(w, r)
	if v != nil {
		if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, w.Code, w.Body, err)
		}
	}
	return w.Code
}

// Any member shows the whole fleet beside its own process, takes orders for all as
// its plane takes them for itself, and says that it is alone when it is.
func TestHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 4, time.Second, "a", "b").withPlanes()
		writer := c.all[1]
		writer.Plane.Close()
		writer.Plane = ops.New(&writer.m, ops.Options{Authorize: func(*http.Request, *ops.Order) error { return nil }})
		defer writer.Plane.Close()
		c.start().joined()
		time.Sleep(time.Second)

		var a fleet.Answer
		if code := c.all[0].ask(t, "GET", "v1/fleet", "", &a); code != http.StatusOK || a.View == nil || len(a.View.Members) != 4 || a.Self == nil || a.Self.Member != "pod-0" || !a.ReadOnly {
			t.Fatalf("%d %+v", code, a)
		}
		if len(a.Explains) != 1 || a.Explains[0] != "db is closed in all 4 processes." {
			t.Errorf("explained: %q", a.Explains)
		}
		if got := c.all[0].ask(t, "GET", "fleet/", "", nil); got != http.StatusOK {
			t.Errorf("the page: %d", got)
		}
		order := `{"id": "db", "verb": "force-open", "actor": "ana", "reason": "INC-42", "for": "1h"}`
		if code := c.all[0].ask(t, "POST", "v1/fleet/orders", order, nil); code != http.StatusForbidden {
			t.Errorf("an order to a read-only member: %d, want %d", code, http.StatusForbidden)
		}

		var r fleet.Receipts
		if code := writer.ask(t, "POST", "fleet/v1/fleet/orders", strings.Replace(order, "{", `{"dry_run": true, `, 1), &r); code != http.StatusOK || len(r.Done) != 4 {
			t.Fatalf("dry run: %d %+v", code, r)
		}
		versions, _ := json.Marshal(r.Versions())
		if code := writer.ask(t, "POST", "v1/fleet/orders", strings.Replace(order, "{", `{"versions": `+string(versions)+`, `, 1), &r); code != http.StatusOK {
			t.Fatalf("order: %d", code)
		}
		time.Sleep(2 * time.Second)
		if writer.ask(t, "GET", "v1/fleet", "", &a); a.ReadOnly || len(a.Orders) != 1 || a.Orders[0].Done != 4 || a.Orders[0].Silent != 0 || len(a.View.Standing) != 1 {
			t.Errorf("%+v", a.Orders)
		}
		if closed, _ := c.states(); closed != 0 {
			t.Errorf("%d are closed", closed)
		}
		for body, want := range map[string]int{
			`{"id": "db", "verb": "close"}`: http.StatusBadRequest,
			`nonsense`:                      http.StatusBadRequest,
			`{"id": "db", "verb": "close", "actor": "ana", "colour": 1}`:                                                        http.StatusBadRequest,
			`{"id": "db", "verb": "close", "actor": "ana", "versions": 7}`:                                                      http.StatusBadRequest,
			`{"id": "db", "verb": "extend", "actor": "ana", "for": "1h"}`:                                                       http.StatusBadRequest,
			`{"id": "db", "verb": "release", "verb": "force-open", "actor": "ana", "reason": "x", "for": "1h", "versions": {}}`: http.StatusBadRequest,
			`{"id": "db", "verb": "release", "actor": "ana", "versions": {"a": 1}, "Versions": {"a": 2}}`:                       http.StatusBadRequest,
			`{"id": "db", "verb": "release", "actor": "ana", "versions": {"a": 1, "a": 2}}`:                                     http.StatusBadRequest,
			`{"id": "db", "verb": "close", "actor": "ana", "if_version": 3}`:                                                    http.StatusBadRequest,
			`{"id": "db", "verb": "note", "actor": "ana", "reason": "x", "versions": {"none": 17}}`:                             http.StatusOK, // all refuse
		} {
			if got := writer.ask(t, "POST", "v1/fleet/orders", body, nil); got != want {
				t.Errorf("%s: %d, want %d", body, got, want)
			}
		}

		w := httptest.NewRecorder()
		writer.Plane.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
		for _, line := range []string{"switchgear_fleet_members{group=\"test\"} 4\n", "switchgear_fleet_alone{group=\"test\"} 0\n", "# TYPE switchgear_fleet_beats_total counter\n", "switchgear_breakers{"} {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("the metrics have no %q:\n%s", line, w.Body)
			}
		}

		var past []fleet.Past
		time.Sleep(10 * time.Second)
		if writer.ask(t, "GET", "v1/fleet/history?id=db", "", &past); len(past) != 4 || past[0].To != breaker.ForcedOpen || !strings.Contains(past[0].Why, "ana") {
			t.Errorf("%+v", past)
		}
		c.store.Down(true)
		time.Sleep(10 * time.Second)
		a = fleet.Answer{}
		if code := writer.ask(t, "GET", "v1/fleet", "", &a); code != http.StatusOK || a.Error == "" || a.View != nil || !a.Self.Alone {
			t.Errorf("without a store: %d %+v", code, a)
		}
		if code := writer.ask(t, "GET", "v1/fleet/history", "", nil); code != http.StatusServiceUnavailable {
			t.Errorf("history without a store: %d", code)
		}
		if code := writer.ask(t, "POST", "v1/fleet/orders", order, nil); code != http.StatusServiceUnavailable {
			t.Errorf("an order without a store: %d", code)
		}
	})
}

// Many who look cost the store one look each half second.
func TestHandlerSharesLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, time.Second).withPlanes().start().joined()
		h := c.all[0].f.Handler(nil)
		began := c.store.Commands()
		for range 200 {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/fleet", nil))
		}
		if n := c.store.Commands() - began; n > 10 {
			t.Errorf("200 looks at once cost %d operations, want those of one", n)
		}
	})
}

// A second fleet has no place on the same plane.
func TestOneFleetForAPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, time.Second).withPlanes().start()
		if f, err := fleet.Join(t.Context(), &c.all[0].m, c.all[0].Options); err == nil {
			f.Close()
			t.Error("joined twice with one plane")
		}
		c.all[0].f.Close()
		f, err := fleet.Join(t.Context(), &c.all[0].m, c.all[0].Options)
		if err != nil {
			t.Fatalf("after the first has left: %v", err)
		}
		f.Close()
	})
}
