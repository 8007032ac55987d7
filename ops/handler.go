package ops

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What the HTTP handler lets through at once and by the second, of all clients
// together.
const (
	readBurst, readRate   = 300, 100
	orderBurst, orderRate = 50, 10
)

// Handler serves the dashboard, the JSON API and the metrics:
//
//	mux.Handle("/ops/", plane.Handler())                        // http://host/ops/
//	curl http://host/ops/v1/status?id=payments
//	curl http://host/ops/v1/explain?id=payments
//	curl http://host/ops/metrics
//	curl -H 'Content-Type: application/json' -d '{"verb": "force-open", "id": "payments",
//	  "actor": "ana", "reason": "INC-42", "for": "10m"}' http://host/ops/v1/orders
//
// It works under any prefix of the program's own mux, with http.StripPrefix or
// without. The prefix must end in a slash.
//
// It has no authentication of its own: whoever may mount it knows who may look.
// Orders are refused unless Options.Authorize lets them pass, and refused to
// pages of other origins whatever it says. Authorize should go by what a
// browser sends to this host alone, such as a cookie, or by what a proxy adds;
// not by the address, which a page elsewhere can share by a trick with DNS. The pages run under a strict content
// security policy and cannot be framed. Bodies, rates and the number of
// streams are bounded, for all clients together.
func (p *Plane) Handler() http.Handler {
	e := &endpoint{
		Plane:  p,
		writes: bucket{rate: orderRate, burst: orderBurst},
		reads:  bucket{rate: readRate, burst: readBurst},
	}
	mux := e.mux()
	mux.Handle("GET /", dashboard())
	inner := http.NewCrossOriginProtection()
	inner.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, refuse(http.StatusForbidden, "origin", "orders are not taken from pages of another origin"))
	}))
	protected := inner.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if err := e.admit(r); err != nil {
			writeError(w, err)
			return
		}
		path, ok := below(r)
		if !ok {
			http.Redirect(w, r, strings.TrimSuffix(pathOf(r.RequestURI), "/")+"/", http.StatusPermanentRedirect)
			return
		}
		inside := r.Clone(r.Context())
		inside.URL.Path, inside.URL.RawPath = path, ""
		protected.ServeHTTP(w, inside)
	})
}

// admit keeps the rates.
func (e *endpoint) admit(r *http.Request) error {
	kind, b := "requests", &e.reads
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		kind, b = "orders", &e.writes
	}
	if !b.take(time.Now()) {
		return refuse(http.StatusTooManyRequests, "rate", "too many %s: more than %g a second", kind, b.rate)
	}
	return nil
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// below is the part of the path below the place where the handler is mounted.
// A mux leaves in r.Pattern where that is; what the request was for tells
// whether somebody has cut it off already. ok is false when the path is that
// place without its slash.
func below(r *http.Request) (path string, ok bool) {
	path = r.URL.Path
	mount := mountOf(r.Pattern)
	if cut, was := strings.CutSuffix(pathOf(r.RequestURI), path); was && endsWith(segments(cut), mount) {
		return path, path != ""
	}
	for range mount {
		if _, path, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/"); !ok {
			return "", false
		}
		path = "/" + path
	}
	return path, path != ""
}

// mountOf is the path of a mux's pattern, in segments; none when the handler
// is mounted at the root, or without a mux.
func mountOf(pattern string) []string {
	_, path, _ := strings.Cut(pattern, "/")
	return segments(path)
}

func segments(path string) []string {
	if path = strings.Trim(path, "/"); path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// endsWith reports whether path ends with mount, whose {wildcards} match all.
func endsWith(path, mount []string) bool {
	if len(path) < len(mount) {
		return false
	}
	for i, want := range mount {
		if got := path[len(path)-len(mount)+i]; got != want && !strings.HasPrefix(want, "{") {
			return false
		}
	}
	return true
}

// pathOf is the decoded path of a request's target.
func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	if u, err := url.PathUnescape(path); err == nil {
		return u
	}
	return path
}
