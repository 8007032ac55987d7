package ops_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/ops"
)

// Whatever an order contains, it is answered and creates no breaker, and an
// order that is carried out leaves valid settings.
func FuzzOrder(f *testing.F) {
	for _, seed := range []string{
		`{"id":"payments","verb":"open","actor":"ana"}`,
		`{"id":"payments","verb":"force_open","actor":"ana","reason":"INC-42","for":"10m"}`,
		`{"id":"tenants/*","verb":"close","actor":"ana","confirm":3}`,
		`{"id":"tenants/c/d","verb":"set","actor":"ana","settings":{"fail_max":3,"window":"10s"}}`,
		`{"id":"tenants/*","verb":"set","actor":"ana","confirm":9,"settings":{"fail_max":"off"}}`,
		`{"id":"search","verb":"release","actor":"ana","dry_run":true,"if_version":1}`,
		`{"id":"*","verb":"half_open","actor":"\u0000","confirm":-1}`,
		`{"id":"paymnets","verb":"open","actor":"ana"}{}`, `[`, `null`, `{"settings":null}`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m := shop(t)
		before := len(m.Status())
		p := ops.New(m, ops.Options{Authorize: anybody})
		defer p.Close()
		req := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%d for %q: %s", w.Code, body, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d with no JSON for %q: %q", w.Code, body, w.Body)
		}
		after := m.Status()
		if len(after) != before {
			t.Errorf("%q made or lost a breaker: %d, then %d", body, before, len(after))
		}
		for _, s := range after {
			if err := s.Settings.Validate(); err != nil {
				t.Errorf("%q left %s with settings that are %v", body, s.ID, err)
			}
		}
	})
}
