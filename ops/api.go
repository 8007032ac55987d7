package ops

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
)

const (
	maxBody    = 64 << 10
	maxAskedID = 200 // ids in a request
)

// endpoint is one way into a plane: the unix socket or an HTTP handler.
type endpoint struct {
	*Plane
	socket bool
	writes bucket // of orders, unlimited on the socket
	reads  bucket
}

type route struct {
	method, path string
	serve        func(*endpoint, http.ResponseWriter, *http.Request) error
}

// routes are all that the API has; openapi.json describes them, and a test
// compares the two.
var routes = []route{
	{http.MethodGet, "/v1/process", (*endpoint).getProcess},
	{http.MethodGet, "/v1/status", (*endpoint).getStatus},
	{http.MethodGet, "/v1/overview", (*endpoint).getOverview},
	{http.MethodGet, "/v1/explain", (*endpoint).getExplain},
	{http.MethodGet, "/v1/history", (*endpoint).getHistory},
	{http.MethodGet, "/v1/plots", (*endpoint).getPlots},
	{http.MethodGet, "/v1/orders", (*endpoint).getOrders},
	{http.MethodPost, "/v1/orders", (*endpoint).postOrder},
	{http.MethodGet, "/v1/events", (*endpoint).getEvents},
	{http.MethodGet, "/v1/openapi.json", (*endpoint).getOpenAPI},
	{http.MethodGet, "/metrics", (*endpoint).getMetrics},
}

func (e *endpoint) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			if err := r.serve(e, w, req); err != nil {
				writeError(w, err)
			}
		})
	}
	return mux
}

func writeError(w http.ResponseWriter, err error) {
	e := AsError(err)
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(map[string]*Error{"error": e}) // the client is gone: nobody to tell
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
	return nil
}

// refuse makes an error with a code that has no error of its own.
func refuse(status int, code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status}
}

func (e *endpoint) describe() Process {
	p := e.process()
	p.ReadOnly = e.readOnly()
	if e.socket {
		p.Args = os.Args
	}
	return p
}

func (e *endpoint) readOnly() bool { return !e.socket && e.o.Authorize == nil }

func (e *endpoint) getProcess(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, e.describe())
}

func (e *endpoint) getOverview(w http.ResponseWriter, r *http.Request) error {
	o := e.Overview()
	o.Process = e.describe()
	out, end := e.compressed(w, r)
	defer end()
	_ = json.NewEncoder(out).Encode(o) // the client is gone: nobody to tell
	return nil
}

// compressed is w for an answer that may be large. On the socket it would cost
// more than it saves.
func (e *endpoint) compressed(w http.ResponseWriter, r *http.Request) (out io.Writer, end func()) {
	w.Header().Set("Content-Type", "application/json")
	if e.socket || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return w, func() {}
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Vary", "Accept-Encoding")
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is good
	return z, func() { _ = z.Close() }
}

// getStatus answers with the breakers that are asked for. There may be very
// many, so it writes them one by one.
func (e *endpoint) getStatus(w http.ResponseWriter, r *http.Request) error {
	ask, err := parseStatusQuery(r)
	if err != nil {
		return err
	}
	found, err := ask.find(e.m)
	if err != nil {
		return err
	}
	z, end := e.compressed(w, r)
	defer end()
	out := bufio.NewWriterSize(z, 64<<10)
	var row bytes.Buffer
	enc := json.NewEncoder(&row)
	fmt.Fprintf(out, `{"total":%d,"breakers":[`, len(found))
	for i := range found[:min(len(found), ask.Limit)] {
		row.Reset()
		if err := enc.Encode(ask.show(&found[i])); err != nil {
			return nil // a reply that is cut short is no JSON: the client notices
		}
		if i > 0 {
			_ = out.WriteByte(',') // Flush tells
		}
		_, _ = out.Write(row.Bytes())
	}
	_, _ = out.WriteString("]}\n")
	_ = out.Flush() // the client is gone: nobody to tell
	return nil
}

// each calls of for each id that is asked for.
func each[T any](r *http.Request, of func(id string) (T, error)) ([]T, error) {
	ids := r.URL.Query()["id"]
	if len(ids) == 0 || len(ids) > maxAskedID {
		return nil, refuse(http.StatusBadRequest, "order", "%d ids, want 1 to %d: ?id=NAME", len(ids), maxAskedID)
	}
	out := make([]T, len(ids))
	for i, id := range ids {
		var err error
		if out[i], err = of(id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *endpoint) getExplain(w http.ResponseWriter, r *http.Request) error {
	all, err := each(r, e.Explain)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string][]Explanation{"explanations": all})
}

func (e *endpoint) getHistory(w http.ResponseWriter, r *http.Request) error {
	all, err := each(r, e.History)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string][]History{"histories": all})
}

// getPlots answers with an empty plot for a name without calls.
func (e *endpoint) getPlots(w http.ResponseWriter, r *http.Request) error {
	names := r.URL.Query()["name"]
	if len(names) == 0 || len(names) > maxAskedID {
		return refuse(http.StatusBadRequest, "order", "%d names, want 1 to %d: ?name=NAME", len(names), maxAskedID)
	}
	return writeJSON(w, map[string][]Plot{"plots": e.plots.of(names)})
}

func (e *endpoint) getOrders(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string][]Event{"orders": e.hub.lastOrders()})
}

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
		e.record(o, peerOf(r), new(Receipt), err) // Process shows what is wrong with the log
		return err
	}
	receipt, err := e.Do(o, peerOf(r))
	if err != nil {
		return err
	}
	return writeJSON(w, receipt)
}

// allow decides on an order before it is looked at.
func (e *endpoint) allow(r *http.Request, o *Order) error {
	if !e.socket {
		if err := e.o.Authorize(r, o); err != nil {
			return err
		}
	}
	if givenUp(r) {
		return errors.New("its giver has given up waiting for the answer")
	}
	return nil
}

func readOrder(w http.ResponseWriter, r *http.Request) (o Order, err error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return o, refuse(http.StatusUnsupportedMediaType, "media-type", "Content-Type is %q, want application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return o, refuse(http.StatusRequestEntityTooLarge, "too-large", "the order is larger than %d bytes", large.Limit)
	case err != nil:
		return o, bad("%s, want one JSON object", err)
	}
	return ParseOrder(body)
}

// peerOf is who sent r, as far as its endpoint knows.
func peerOf(r *http.Request) Peer {
	if c, ok := r.Context().Value(peerKey{}).(peerConn); ok {
		return c.peer
	}
	return Peer{Transport: "http", Addr: r.RemoteAddr}
}

// peerKey is where the socket's server keeps a connection in its context.
type peerKey struct{}

// givenUp reports whether nobody waits for the answer to r any more. This
// process may have been stopped since it was sent, and what was right then may
// be wrong now.
func givenUp(r *http.Request) bool {
	c, ok := r.Context().Value(peerKey{}).(peerConn)
	return r.Context().Err() != nil || ok && hungUp(c.UnixConn)
}

// eventID is how a place in the stream is called: the process's, so that a
// reader which comes back to another process does not take it for the same.
func (p *Plane) eventID(seq uint64) string {
	return strconv.FormatInt(p.started.UnixNano(), 36) + "-" + strconv.FormatUint(seq, 10)
}

// place is the reverse of eventID; ok is false when it is of another plane.
func (p *Plane) place(id string) (seq uint64, ok bool) {
	epoch, num, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(num, 10, 64)
	return seq, err == nil && epoch == strconv.FormatInt(p.started.UnixNano(), 36)
}
