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
	"slices"
	"strconv"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	maxBody    = 64 << 10
	maxAskedID = 200 // ids in one request
)

// door is one way into a plane: the unix socket or an HTTP handler.
type door struct {
	*Plane
	socket bool
	writes bucket // of orders, unlimited on the socket
	reads  bucket
}

type route struct {
	method, path string
	serve        func(*door, http.ResponseWriter, *http.Request) error
}

// routes are all that the API has; openapi.json describes them, and a test
// compares the two.
var routes = []route{
	{http.MethodGet, processPath, (*door).getProcess},
	{http.MethodGet, "/v1/status", (*door).getStatus},
	{http.MethodGet, "/v1/overview", (*door).getOverview},
	{http.MethodGet, "/v1/explain", (*door).getExplain},
	{http.MethodGet, "/v1/history", (*door).getHistory},
	{http.MethodGet, "/v1/plots", (*door).getPlots},
	{http.MethodGet, "/v1/orders", (*door).getOrders},
	{http.MethodPost, "/v1/orders", (*door).postOrder},
	{http.MethodGet, "/v1/events", (*door).getEvents},
	{http.MethodGet, "/v1/openapi.json", (*door).getOpenAPI},
	{http.MethodGet, "/metrics", (*door).getMetrics},
}

func (d *door) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			if err := r.serve(d, w, req); err != nil {
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

func (d *door) describe() Process {
	p := d.process()
	p.ReadOnly = d.readOnly()
	if d.socket {
		p.Args = commandLine(os.Args)
	}
	return p
}

const maxArgs = 16 << 10 // bytes of a command line: a client reads 64 KiB of the answer

// commandLine is args as far as there is room for them.
func commandLine(args []string) []string {
	room := maxArgs
	for i, arg := range args {
		if room -= len(arg); room < 0 {
			return append(slices.Clone(args[:i]), "…")
		}
	}
	return args
}

func (d *door) readOnly() bool { return !d.socket && d.o.Authorize == nil }

func (d *door) getProcess(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, d.describe())
}

func (d *door) getOverview(w http.ResponseWriter, r *http.Request) error {
	o := overview(d.m.Status(), d.plots.recent())
	o.Process = d.describe()
	out, end := d.compressed(w, r)
	defer end()
	_ = json.NewEncoder(out).Encode(o) // the client is gone: nobody to tell
	return nil
}

// compressed is w for an answer that may be large. On the socket it would cost
// more than it saves.
func (d *door) compressed(w http.ResponseWriter, r *http.Request) (out io.Writer, end func()) {
	w.Header().Set("Content-Type", "application/json")
	if d.socket || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return w, func() {}
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Vary", "Accept-Encoding")
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is good
	return z, func() { _ = z.Close() }
}

// getStatus answers with the breakers that are asked for. There may be very
// many, so it writes them one by one.
func (d *door) getStatus(w http.ResponseWriter, r *http.Request) error {
	ask, err := parseStatusQuery(r)
	if err != nil {
		return err
	}
	found, err := ask.find(d.m)
	if err != nil {
		return err
	}
	z, end := d.compressed(w, r)
	defer end()
	out := bufio.NewWriterSize(z, 64<<10)
	var row bytes.Buffer
	enc := json.NewEncoder(&row)
	fmt.Fprintf(out, `{"total":%d,"breakers":[`, len(found))
	for i := range found[:min(len(found), ask.Limit)] {
		row.Reset()
		if err := enc.Encode(ask.tell(&found[i])); err != nil {
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

// each answers with what of says of each id that is asked for.
func each[T any](m *breaker.Manager, r *http.Request, of func(*breaker.Manager, string) (T, error)) ([]T, error) {
	ids := r.URL.Query()["id"]
	if len(ids) == 0 || len(ids) > maxAskedID {
		return nil, refuse(http.StatusBadRequest, "order", "%d ids, want 1 to %d: ?id=NAME", len(ids), maxAskedID)
	}
	out := make([]T, len(ids))
	for i, id := range ids {
		var err error
		if out[i], err = of(m, id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *door) getExplain(w http.ResponseWriter, r *http.Request) error {
	all, err := each(d.m, r, Explain)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string][]Explanation{"explanations": all})
}

func (d *door) getHistory(w http.ResponseWriter, r *http.Request) error {
	all, err := each(d.m, r, HistoryOf)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string][]History{"histories": all})
}

// getPlots answers with an empty plot for a name without calls.
func (d *door) getPlots(w http.ResponseWriter, r *http.Request) error {
	names := r.URL.Query()["name"]
	if len(names) == 0 || len(names) > maxAskedID {
		return refuse(http.StatusBadRequest, "order", "%d names, want 1 to %d: ?name=NAME", len(names), maxAskedID)
	}
	return writeJSON(w, map[string][]Plot{"plots": d.plots.of(names)})
}

func (d *door) getOrders(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string][]Event{"orders": d.hub.lastOrders()})
}

func (d *door) postOrder(w http.ResponseWriter, r *http.Request) error {
	if d.readOnly() {
		return refuse(http.StatusForbidden, "refused", "read-only: this handler was given no Authorize")
	}
	o, err := readOrder(w, r)
	if err != nil {
		return err
	}
	if err := d.allow(r, &o); err != nil {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
		d.record(o, peerOf(r), new(Receipt), err) // Process shows what is wrong with the log
		return err
	}
	receipt, err := d.Do(o, peerOf(r))
	if err != nil {
		return err
	}
	return writeJSON(w, receipt)
}

// allow decides on an order before it is looked at.
func (d *door) allow(r *http.Request, o *Order) error {
	if !d.socket {
		if err := d.o.Authorize(r, o); err != nil {
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

// peerOf is who sent r, as far as its door knows.
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
