package ops_test

import (
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

// What is attached is served at its places under any mount, and keeps to what the
// plane's own handler keeps to.
func TestAttach(t *testing.T) {
	authorize := func(_ *http.Request, o *ops.Order) error {
		if o.Actor == "eve" {
			return errors.New("not eve")
		}
		o.Actor = "ana"
		return nil
	}
	for _, test := range []struct {
		name, method, path string
		authorize          func(*http.Request, *ops.Order) error
		actor              string
		header             [2]string
		code               int
		want               string
	}{
		{name: "the page", method: "GET", path: "/fleet/app.js", code: 200, want: "path /app.js, order refused"},
		{name: "the API", method: "GET", path: "/v1/fleet", code: 200, want: "path /v1/fleet, order refused"},
		{name: "beneath the API", method: "GET", path: "/v1/fleet/orders", code: 200, want: "path /v1/fleet/orders, order refused"},
		{name: "another name", method: "GET", path: "/v1/flat", code: 404, want: "nothing is served at"},
		{name: "the plane's own", method: "GET", path: "/v1/process", code: 200, want: `"attached":["fleet"]`},
		{name: "read-only", method: "POST", path: "/v1/fleet/orders", code: 403, want: "read-only"},
		{name: "allowed", method: "POST", path: "/v1/fleet/orders", authorize: authorize, code: 200, want: "order by ana through http"},
		{name: "not allowed", method: "POST", path: "/v1/fleet/orders", authorize: authorize, actor: "eve", code: 200, want: "order refused: not eve"},
		{name: "another origin", method: "POST", path: "/v1/fleet/orders", authorize: authorize, header: [2]string{"Origin", "https://elsewhere.example"}, code: 403, want: "another origin"},
		{name: "a file of the plane's own page", method: "GET", path: "/style.css", code: 200, want: "color-scheme"},
		{name: "an order through the page", method: "POST", path: "/fleet/v1/fleet/orders", authorize: authorize, code: 200, want: "path /v1/fleet/orders, order by ana"},
		{name: "a POST to nothing", method: "POST", path: "/style.css", code: 405},
		{name: "another verb", method: "PUT", path: "/v1/fleet", code: 405},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := ops.New(new(breaker.Manager), ops.Options{Authorize: test.authorize})
			defer p.Close()
			if _, err := p.Attach("fleet", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				o := ops.Order{Actor: test.actor}
				peer, err := p.MayOrder(r, &o)
				said := "by " + o.Actor + " through " + peer.Transport
				if err != nil {
					said = "refused: " + strings.TrimPrefix(err.Error(), ops.ErrRefused.Error()+": ")
				}
				fmt.Fprintf(w, "path %s, order %s", r.URL.Path, said)
			})); err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			mux.Handle("/ops/", p.Handler())
			s := httptest.NewServer(mux)
			defer s.Close()
			req, err := http.NewRequest(test.method, s.URL+"/ops"+test.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if test.header[0] != "" {
				req.Header.Set(test.header[0], test.header[1])
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != test.code || !strings.Contains(string(body), test.want) {
				t.Errorf("got %d %s, want %d and %q", res.StatusCode, body, test.code, test.want)
			}
		})
	}
}

func TestAttachRefuses(t *testing.T) {
	p := ops.New(new(breaker.Manager), ops.Options{})
	defer p.Close()
	detach, err := p.Attach("fleet", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "v1", "metrics", "Fleet", "a/b", "..", "fleet"} {
		if _, err := p.Attach(name, http.NotFoundHandler()); !errors.Is(err, ops.ErrAttached) {
			t.Errorf("Attach(%q): %v, want ErrAttached", name, err)
		}
	}
	detach()
	if names := p.Process().Attached; len(names) != 0 {
		t.Errorf("%q is still attached", names)
	}
	if _, err := p.Attach("fleet", http.NotFoundHandler()); err != nil {
		t.Errorf("after detach: %v", err)
	}
}

// annotating is attached, and says what happens next.
type annotating struct{ http.Handler }

func (annotating) Annotate(s *ops.Status) {
	if s.Next != "" {
		s.Next, s.Explain = "It waits for the others.", s.ID+" waits."
	}
}

// What is attached has a say in every status that is shown, until it is detached.
func TestAttachedAnnotates(t *testing.T) {
	var m breaker.Manager
	m.Breaker("db").Open(breaker.Order{})
	keys := breaker.SetOf[string](&m, "tenant")
	keys.Breaker("acme").Open(breaker.Order{})
	p := ops.New(&m, ops.Options{})
	defer p.Close()
	said := func(id string) []string {
		t.Helper()
		e, err := p.Explain(id)
		all, err2 := p.Status(ops.StatusQuery{IDs: []string{id}, Full: true})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		o := p.Overview()
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/v1/status?full=1&id="+id, nil))
		var page struct{ Breakers []ops.Status }
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		overview := o.Breakers[0].Next
		if id != "db" {
			overview = o.Sets[0].Worst[0].Next
		}
		return []string{e.Next, e.Explain, all[0].Next, all[0].Explain, overview, page.Breakers[0].Next, page.Breakers[0].Explain}
	}
	const next = "It waits for the others."
	detach, err := p.Attach("fleet", annotating{http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"db", "tenant/acme"} {
		if got, want := said(id), []string{next, id + " waits.", next, id + " waits.", next, next, id + " waits."}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
	detach()
	for _, id := range []string{"db", "tenant/acme"} {
		for _, text := range said(id) {
			if strings.Contains(text, "waits") {
				t.Errorf("%s: after it was detached: %q", id, text)
			}
		}
	}
}
