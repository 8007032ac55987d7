package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody    = 64 << 10
	maxAskedID = 200 // ids in one request
)

// endpoint is one way to reach a plane: the unix socket or an HTTP handler.
type endpoint struct {
	*Plane
	*gate
	socket bool
}

type route struct {
	method, path string
	kind         kind
	serve        func(*endpoint, http.ResponseWriter, *http.Request) error
}

// routes are all routes of the API. openapi.json describes them, and a test
// compares the two.
var routes = []route{
	{http.MethodGet, processPath, reads, (*endpoint).getProcess},
	{http.MethodGet, "/v1/status", reads, (*endpoint).getStatus},
	{http.MethodGet, "/v1/overview", reads, (*endpoint).getOverview},
	{http.MethodGet, "/v1/explain", reads, (*endpoint).getExplain},
	{http.MethodGet, "/v1/history", reads, (*endpoint).getHistory},
	{http.MethodGet, "/v1/timeline", reads, (*endpoint).getTimeline},
	{http.MethodGet, "/v1/settings", reads, (*endpoint).getSettings},
	{http.MethodGet, "/v1/shadows", reads, (*endpoint).getShadows},
	{http.MethodGet, "/v1/plots", reads, (*endpoint).getPlots},
	{http.MethodGet, "/v1/orders", reads, (*endpoint).getOrders},
	{http.MethodPost, "/v1/orders", orders, (*endpoint).postOrder},
	{http.MethodGet, "/v1/events", follows, (*endpoint).getEvents},
	{http.MethodGet, "/v1/recording", reads, (*endpoint).getRecording},
	{http.MethodGet, "/v1/openapi.json", reads, (*endpoint).getOpenAPI},
	{http.MethodGet, "/metrics", scrapes, (*endpoint).getMetrics},
}

func (e *endpoint) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.method+" "+route.path, func(w http.ResponseWriter, r *http.Request) {
			var err error
			if route.kind != orders { // an order counts against an allowance only if its sender may give it
				err = e.admit(r, route.kind)
			}
			if err == nil {
				err = route.serve(e, w, r)
			}
			if err != nil {
				writeError(w, err)
			}
		})
	}
	e.attach(mux)
	return mux
}

// refuse returns an error with a code that no exported error stands for.
func refuse(status int, code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

func (e *endpoint) describe() Process {
	p := e.Process()
	p.ReadOnly = e.readOnly()
	if e.socket {
		p.Args = commandLine(os.Args)
	}
	return p
}

const maxArgs = 16 << 10 // bytes of a command line; a client reads 64 KiB of the answer

// commandLine returns as many of the arguments as there is room for.
func commandLine(args []string) []string {
	room := maxArgs
	for i, arg := range args {
		if room -= len(arg); room < 0 {
			return append(slices.Clone(args[:i]), "…")
		}
	}
	return args
}

func (e *endpoint) readOnly() bool { return !e.socket && e.o.Authorize == nil }

func (e *endpoint) getProcess(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, r, e.describe())
}

func (e *endpoint) getOverview(w http.ResponseWriter, r *http.Request) error {
	return e.answerJSON(w, r, func() (any, error) {
		o := e.Overview()
		o.Process = e.describe()
		return o, nil
	})
}

// maxPage is the size in bytes at which a page of breakers ends.
const maxPage = 2 << 20

// getStatus answers with a page of the requested breakers.
func (e *endpoint) getStatus(w http.ResponseWriter, r *http.Request) error {
	ask, after, err := parseStatusQuery(r)
	if err != nil {
		return err
	}
	return e.answer(w, r, "application/json", func(out *bytes.Buffer) error {
		found, err := ask.find(e.m, after)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, `{"total":%d,"breakers":[`, found.total)
		enc := json.NewEncoder(out)
		next, others := found.next, e.annotators()
		for i, b := range found.page {
			if out.Len() > maxPage {
				next = cursor(found.page[i-1].ID())
				break
			}
			if i > 0 {
				out.WriteByte(',')
			}
			s := b.Status()
			shown := ask.show(&s)
			e.annotate(&shown, others)
			shown.addShadows(b)
			if err := enc.Encode(shown); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		if next != "" {
			fmt.Fprintf(out, `,"next":%q`, next)
		}
		out.WriteString("}\n")
		return nil
	})
}

// each returns what get returns for each requested id.
func each[T any](r *http.Request, get func(id string) (T, error)) ([]T, error) {
	ids := r.URL.Query()["id"]
	if len(ids) == 0 || len(ids) > maxAskedID {
		return nil, refuse(http.StatusBadRequest, "order", "%d ids, want 1 to %d: ?id=NAME", len(ids), maxAskedID)
	}
	out := make([]T, len(ids))
	for i, id := range ids {
		var err error
		if out[i], err = get(id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *endpoint) getExplain(w http.ResponseWriter, r *http.Request) error {
	return e.answerJSON(w, r, func() (any, error) {
		all, err := each(r, e.Explain)
		return map[string][]Explanation{"explanations": all}, err
	})
}

func (e *endpoint) getHistory(w http.ResponseWriter, r *http.Request) error {
	return e.answerJSON(w, r, func() (any, error) {
		all, err := each(r, e.History)
		return map[string][]History{"histories": all}, err
	})
}

// getPlots answers with an empty plot for a name that has no calls.
func (e *endpoint) getPlots(w http.ResponseWriter, r *http.Request) error {
	names := r.URL.Query()["name"]
	if len(names) == 0 || len(names) > maxAskedID {
		return refuse(http.StatusBadRequest, "order", "%d names, want 1 to %d: ?name=NAME", len(names), maxAskedID)
	}
	return e.answerJSON(w, r, func() (any, error) { return map[string][]Plot{"plots": e.plots.of(names)}, nil })
}

func (e *endpoint) getOrders(w http.ResponseWriter, r *http.Request) error {
	return e.answerJSON(w, r, func() (any, error) { return map[string][]Event{"orders": e.hub.lastOrders()}, nil })
}

// postOrder decides first whether the sender may give orders: an order that is
// refused for that reason counts against no allowance.
func (e *endpoint) postOrder(w http.ResponseWriter, r *http.Request) error {
	if e.readOnly() {
		return refuse(http.StatusForbidden, "refused", "read-only: this handler was given no Authorize")
	}
	o, err := readOrder(w, r)
	if err != nil {
		return err
	}
	if err := e.allow(r, &o); err != nil {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
		e.record(time.Now(), o, peerOf(r), new(Receipt), err) // Process shows what is wrong with the log
		return err
	}
	if err := e.admit(r, orders); err != nil {
		return err
	}
	receipt, err := e.Do(o, peerOf(r))
	if err != nil {
		return err
	}
	return writeJSON(w, r, receipt)
}

// allow decides on an order before it is carried out.
func (e *endpoint) allow(r *http.Request, o *Order) error {
	if !e.socket {
		if err := e.o.Authorize(r, o); err != nil {
			return err
		}
	}
	if givenUp(r) {
		return errors.New("its sender has stopped waiting for the answer")
	}
	return nil
}

// readTime is how long an order may take to arrive.
const readTime = 10 * time.Second

func readOrder(w http.ResponseWriter, r *http.Request) (o Order, err error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return o, refuse(http.StatusUnsupportedMediaType, "media-type", "Content-Type is %.100q, want application/json", r.Header.Get("Content-Type"))
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(readTime)) == nil {
		defer func() { _ = c.SetReadDeadline(time.Time{}) }() // the server sets its own for the next request
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return o, refuse(http.StatusRequestEntityTooLarge, "too-large", "the order is larger than %d bytes", large.Limit)
	case err != nil:
		return o, bad("%s, want one JSON object", err)
	}
	err = ParseOrder(body, &o)
	return o, err
}

// peerOf returns the sender of r, as far as its endpoint knows.
func peerOf(r *http.Request) Peer {
	if c, ok := r.Context().Value(peerKey{}).(peerConn); ok {
		return c.peer
	}
	return Peer{Transport: "http", Addr: r.RemoteAddr}
}

// peerKey is the key under which the socket's server keeps a connection in its
// context.
type peerKey struct{}

// givenUp reports whether the sender of r has stopped waiting for the answer.
// This process may have been stopped since the request was sent, and an order
// that was right then may be wrong now.
func givenUp(r *http.Request) bool {
	c, ok := r.Context().Value(peerKey{}).(peerConn)
	return r.Context().Err() != nil || ok && hungUp(c.UnixConn)
}

// eventID returns the id of a place in the stream. It contains an id of the
// process, so that a reader that reconnects to another process does not
// mistake it for the same one.
func (p *Plane) eventID(seq uint64) string {
	return strconv.FormatInt(p.started.UnixNano(), 36) + "-" + strconv.FormatUint(seq, 10)
}

// place is the inverse of eventID. ok is false if id belongs to another plane.
func (p *Plane) place(id string) (seq uint64, ok bool) {
	epoch, num, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(num, 10, 64)
	return seq, err == nil && epoch == strconv.FormatInt(p.started.UnixNano(), 36)
}
