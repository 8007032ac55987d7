package fleet

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

//go:embed assets
var assets embed.FS

const (
	viewKept  = 500 * time.Millisecond // how long one look at the store serves all readers
	lookTime  = 2 * time.Second        // what a look may take
	orderTime = 5 * time.Second        // what a dry run waits for receipts at most
	maxOrder  = wire.MaxOrder          // bytes of an order over HTTP

	// What an Answer has at most: it is asked for each second.
	maxOrders = 50
	maxSeen   = 2000
	maxNamed  = 8
)

// Answer is the answer of the API at v1/fleet.
type Answer struct {
	At time.Time `json:"at"` // by the clock of the process that answers
	// Self is the state of the process that answers; nil: it is not a member.
	Self     *State          `json:"self,omitempty"`
	View     *View           `json:"view,omitempty"`
	Orders   []OrderProgress `json:"orders"`   // those of Group.Recent, the newest 50
	History  []Past          `json:"history"`  // the newest 2,000
	Explains []string        `json:"explains"` // of each of View.Breakers
	ReadOnly bool            `json:"read_only"`
	// Error says why there is no View: the store does not answer.
	Error string `json:"error,omitempty"`
}

// OrderProgress is a summary of Receipts.
type OrderProgress struct {
	ID      string          `json:"id"`
	Age     ops.Duration    `json:"age"`
	Order   ops.Order       `json:"order"`
	Members int             `json:"members"`
	Done    int             `json:"done"`
	Refused int             `json:"refused"`
	Silent  int             `json:"silent"`
	Why     []MemberReceipt `json:"why"`   // of those that refused, the first eight
	Names   []string        `json:"names"` // of the silent, the first eight
}

func (r *Receipts) progress() OrderProgress {
	return OrderProgress{
		ID: r.ID, Age: r.Age, Order: r.Order, Members: r.Members, Done: len(r.Done), Refused: len(r.Refused), Silent: len(r.Silent),
		Why: r.Refused[:min(len(r.Refused), maxNamed)], Names: r.Silent[:min(len(r.Silent), maxNamed)],
	}
}

// groupHandler serves a Group over HTTP.
type groupHandler struct {
	*Group
	mux    *http.ServeMux
	member *Fleet     // nil: there is no member here
	plane  *ops.Plane // decides who may give orders; nil: read-only

	mu   sync.Mutex // guards the fields below; held while the store is looked at
	at   time.Time
	last Answer
}

// Handler serves the fleet's screen, and its API:
//
//	GET  v1/fleet                    all of Answer
//	GET  v1/fleet/history?id=ID      []Past, of all breakers without an id
//	GET  v1/fleet/orders             []Receipts, see Recent
//	POST v1/fleet/orders             an ops.Order; with "versions", see Order.Versions
//
// With "dry_run", a POST is answered when all receipts have come in, or after five
// seconds or ?wait=DURATION, and the answer names the members that are silent.
// Otherwise it is answered at once, and GET v1/fleet shows the receipts as they
// come in. The plane decides on each order, see ops.Plane.MayOrder; if it is nil,
// the handler is read-only.
//
// The handler itself checks neither who asks nor hosts and origins. Attach it to a
// plane, as Join does with Options.Plane, and the plane's checks apply to it.
func (g *Group) Handler(plane *ops.Plane) http.Handler { return newHandler(g, nil, plane) }

// Handler is Group.Handler, with the state of this member.
func (f *Fleet) Handler(plane *ops.Plane) http.Handler { return newHandler(f.Group(), f, plane) }

func newHandler(g *Group, member *Fleet, plane *ops.Plane) http.Handler {
	h := &groupHandler{Group: g, mux: http.NewServeMux(), member: member, plane: plane}
	mux := h.mux
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic("fleet: " + err.Error()) // the program was built without its assets
	}
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /v1/fleet", h.getAll)
	mux.HandleFunc("GET /v1/fleet/history", h.getHistory)
	mux.HandleFunc("GET /v1/fleet/orders", h.getOrders)
	mux.HandleFunc("POST /v1/fleet/orders", h.postOrder)
	return h
}

func (h *groupHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// getAll answers all requests of half a second from one look at the store, so that
// many open screens cost the store no more than one.
func (h *groupHandler) getAll(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	if time.Since(h.at) > viewKept {
		// Not r's context: others wait for the same look.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookTime)
		h.last = h.look(ctx)
		cancel()
		h.at = time.Now()
	}
	a := h.last
	h.mu.Unlock()
	if h.member != nil {
		s := h.member.State()
		a.Self = &s
	}
	a.ReadOnly = h.plane == nil || !h.plane.TakesOrders(r) || len(h.seal.Key) == 0
	writeJSON(w, http.StatusOK, a)
}

func (h *groupHandler) look(ctx context.Context) Answer {
	a := Answer{At: time.Now(), Orders: []OrderProgress{}, History: []Past{}, Explains: []string{}}
	var orders []Receipts
	var past []Past
	v, err := h.View(ctx)
	if err == nil {
		orders, err = h.recent(ctx, maxOrders)
	}
	if err == nil {
		past, err = h.History(ctx, "")
	}
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.View, a.History = v, past[:min(len(past), maxSeen)]
	for i := range orders {
		a.Orders = append(a.Orders, orders[i].progress())
	}
	for i := range v.Breakers {
		a.Explains = append(a.Explains, v.Breakers[i].Explain())
	}
	return a
}

func (h *groupHandler) getHistory(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	all, err := h.History(ctx, r.URL.Query().Get("id"))
	answer(w, all, err)
}

func (h *groupHandler) getOrders(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	all, err := h.Recent(ctx)
	answer(w, all, err)
}

func (h *groupHandler) postOrder(w http.ResponseWriter, r *http.Request) {
	if h.plane == nil {
		writeError(w, &ops.Error{Code: "refused", Message: "read-only: this screen takes no orders", Status: http.StatusForbidden})
		return
	}
	o, err := readOrder(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		writeError(w, err)
		return
	}
	if _, err := h.plane.MayOrder(r, &o.Order); err != nil {
		writeError(w, err)
		return
	}
	wait, err := time.ParseDuration(r.URL.Query().Get("wait"))
	if err != nil || wait <= 0 {
		wait = orderTime
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(wait, orderTime))
	defer cancel()
	got, err := h.Order(ctx, *o, func(*Receipts) {
		if !o.DryRun {
			cancel() // the screen shows the receipts come in
		}
	})
	if errors.Is(err, context.Canceled) && got != nil && r.Context().Err() == nil {
		err = nil
	}
	h.mu.Lock()
	h.at = time.Time{} // its giver wants to see what became of it
	h.mu.Unlock()
	answer(w, got, err)
}

// readOrder reads an order as ops does, and the versions that it is for.
func readOrder(body io.Reader) (*Order, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", breaker.ErrOrder, err)
	}
	o := new(Order)
	return o, ops.ParseOrder(text, o)
}

// answer answers with what was found, or with why it was not.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// errorCode is the status of HTTP for an error. One that is not of an order is the
// store's.
func errorCode(err error) int {
	var e *ops.Error
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &e):
		return e.Status
	case errors.Is(err, ops.ErrRefused), errors.Is(err, ErrUnsigned):
		return http.StatusForbidden
	case errors.Is(err, breaker.ErrOrder), errors.Is(err, ErrStanding):
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

func writeError(w http.ResponseWriter, err error) {
	code := errorCode(err)
	e := &ops.Error{Code: "store", Message: "the store does not answer: " + err.Error()}
	if code != http.StatusServiceUnavailable {
		if e = ops.AsError(err); errors.Is(err, ErrStanding) || errors.Is(err, ErrUnsigned) {
			e.Code = "order"
		}
	}
	writeJSON(w, code, map[string]*ops.Error{"error": e})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		code, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be written"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // its reader has gone
}
