package ops

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// ErrAttached is matched by the error of Attach for a name that is taken or
// invalid.
var ErrAttached = errors.New("ops: cannot attach")

// attachedName keeps names out of the way of those of the API.
var attachedName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Attach serves h as a part of the plane, over HTTP and on the sockets. Package
// fleet uses it. Its pages are under NAME/, where h sees the path without NAME, and
// its API is under v1/NAME. Process lists the name, and the dashboard links to it.
//
// The plane's checks of hosts, origins and allowances apply to the requests for h.
// Only GET, HEAD and POST are passed on, and POST not where the plane is read-only.
// h must call MayOrder before it carries out an order. If h has a method
// WriteMetrics(io.Writer), it must write metrics in the Prometheus text format,
// which become part of the plane's. If h has a method Annotate(*Status), it is
// called for each status before it is shown, with no lock held, and may add what
// happens next. detach removes h.
func (p *Plane) Attach(name string, h http.Handler) (detach func(), err error) {
	if !attachedName.MatchString(name) || name == "v1" || name == "metrics" {
		return nil, fmt.Errorf("%w: name %q, want lower-case letters and digits, and not v1 or metrics", ErrAttached, name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.attached[name]; taken {
		return nil, fmt.Errorf("%w: %q is attached already", ErrAttached, name)
	}
	if p.attached == nil {
		p.attached = make(map[string]http.Handler)
	}
	p.attached[name] = h
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.attached, name)
	}, nil
}

// annotator is what is attached and has more to say about breakers.
type annotator interface{ Annotate(*Status) }

func (p *Plane) annotators() (out []annotator) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.attached {
		if a, ok := h.(annotator); ok {
			out = append(out, a)
		}
	}
	return out
}

// annotate adds to s what people wrote about its breaker, and what others have to
// say about it.
func (p *Plane) annotate(s *Status, others []annotator) {
	p.notes.onto(s)
	for _, a := range others {
		a.Annotate(s)
	}
}

// attachedNames are the names of what is attached.
func (p *Plane) attachedNames() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.attached {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TakesOrders reports whether the plane accepts orders over the connection that r
// came on: on a socket always, and over HTTP if Options.Authorize is set.
func (p *Plane) TakesOrders(r *http.Request) bool {
	e := endpoint{Plane: p, socket: peerOf(r).Transport == "socket"}
	return !e.readOnly()
}

// MayOrder decides whether the sender of r may give the order, as the plane does for
// its own orders: over HTTP it calls Options.Authorize, which may change the actor;
// on a socket every order is allowed. It returns the sender.
func (p *Plane) MayOrder(r *http.Request, o *Order) (peer Peer, err error) {
	peer = peerOf(r)
	if !p.TakesOrders(r) {
		return peer, refuse(http.StatusForbidden, "refused", "read-only: this handler was given no Authorize")
	}
	e := endpoint{Plane: p, socket: peer.Transport == "socket"}
	if err := e.allow(r, o); err != nil {
		return peer, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return peer, nil
}

// attach adds the APIs of what is attached to the mux of an endpoint. Which names
// there are is looked up with each request.
func (e *endpoint) attach(mux *http.ServeMux) {
	for _, method := range []string{http.MethodGet, http.MethodPost} { // GET is HEAD as well
		for _, path := range []string{" /v1/{attached}", " /v1/{attached}/{rest...}"} {
			mux.HandleFunc(method+path, func(w http.ResponseWriter, r *http.Request) {
				if err := e.serveAttached(w, r, r.PathValue("attached"), false); err != nil {
					writeError(w, err)
				}
			})
		}
	}
}

// attachedPage is the name of what a path below the handler's own belongs to; ""
// for the plane's own page. The mux would take a pattern for it as a reason to
// redirect every file of the page to a folder.
func (e *endpoint) attachedPage(path string) string {
	name, _, below := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !below {
		return ""
	}
	e.Plane.mu.Lock()
	defer e.Plane.mu.Unlock()
	if e.attached[name] == nil {
		return ""
	}
	return name
}

func (e *endpoint) serveAttached(w http.ResponseWriter, r *http.Request, name string, page bool) error {
	e.Plane.mu.Lock()
	h := e.attached[name]
	e.Plane.mu.Unlock()
	if h == nil {
		return refuse(http.StatusNotFound, "path", "nothing is served at %.200q", r.URL.Path)
	}
	kind := reads
	if r.Method == http.MethodPost {
		if kind = orders; e.readOnly() {
			return refuse(http.StatusForbidden, "refused", "read-only: this handler was given no Authorize")
		}
	}
	if err := e.admit(r, kind); err != nil {
		return err
	}
	if page {
		h = http.StripPrefix("/"+name, h)
	}
	h.ServeHTTP(w, r)
	return nil
}
