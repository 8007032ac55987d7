package ops

import (
	"net/http"
	"net/url"
	"strings"
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
// It has no authentication: the program that mounts it decides who may look.
// Orders are refused unless Options.Authorize admits them. Orders from pages of
// other origins are always refused; requests for another host are refused as
// Options.Hosts describes. The pages run under a strict content
// security policy and cannot be framed.
//
// For orders, queries, scrapes of the metrics and readers of the events, each
// client address has a separate allowance; a request that is refused for other
// reasons does not count against it. Bodies and answers are bounded: a list has
// up to 5,000 breakers at a time, and a client that does not accept an answer
// within 30 seconds is cut off.
func (p *Plane) Handler() http.Handler {
	e := &endpoint{Plane: p, gate: p.web}
	mux := e.mux()
	page := dashboard()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		mux.HandleFunc(method+" /", func(w http.ResponseWriter, r *http.Request) {
			err := error(nil)
			if name := e.attachedPage(r.URL.Path); name != "" {
				err = e.serveAttached(w, r, name, true)
			} else if method == http.MethodPost {
				err = refuse(http.StatusMethodNotAllowed, "path", "%.200q takes no POST", r.URL.Path)
			} else if err = e.admit(r, reads); err == nil {
				page.ServeHTTP(w, r)
			}
			if err != nil {
				writeError(w, err)
			}
		})
	}
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if err := p.o.checkHost(r); err != nil {
			writeError(w, err)
			return
		}
		if err := origins.Check(r); err != nil {
			writeError(w, refuse(http.StatusForbidden, "origin", "orders are not accepted from pages of another origin"))
			return
		}
		path, ok := below(r)
		if !ok {
			http.Redirect(w, r, strings.TrimSuffix(pathOf(r.RequestURI), "/")+"/", http.StatusPermanentRedirect)
			return
		}
		inside := r.Clone(r.Context())
		inside.URL.Path, inside.URL.RawPath = path, ""
		mux.ServeHTTP(w, inside)
	})
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

// below returns the part of the path after the place where the handler is
// mounted. A mux stores that place in r.Pattern, and the target of the request
// shows whether it has been stripped from the path already. ok is false if the
// path is that place without its slash.
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

// mountOf returns the path of a mux's pattern, in segments; none if the
// handler is mounted at the root, or without a mux.
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

// endsWith reports whether path ends with mount, whose {wildcards} match
// anything.
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

// pathOf returns the decoded path of a request's target.
func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	if u, err := url.PathUnescape(path); err == nil {
		return u
	}
	return path
}
