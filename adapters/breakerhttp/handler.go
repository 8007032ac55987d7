package breakerhttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

type handler struct {
	next     http.Handler
	breaker  *breaker.Breaker
	rejected func(http.ResponseWriter, *http.Request, error)
	rules
}

// NewHandler guards next: its 5xx answers and its panics, including
// http.ErrAbortHandler, are failures; a panic continues. A failure after the
// client has gone, or after its request's body could not be read, is not
// evidence, because clients could otherwise open the breaker. A call is slow
// by the time to the header of the answer. NewHandler panics if an option does
// not apply to a handler.
func NewHandler(next http.Handler, b *breaker.Breaker, opts ...Option) http.Handler {
	c := newConfig(opts, serverOutcome)
	switch {
	case next == nil || b == nil:
		panic("breakerhttp: NewHandler needs a handler and a breaker")
	case c.errors != nil:
		panic("breakerhttp: WithErrors is for transports; a handler is judged by what it answers")
	case c.breakerOf != nil:
		panic("breakerhttp: NewHandler takes its breaker as an argument; WithBreaker, WithBreakerFunc and WithSet are for transports")
	}
	h := &handler{next: next, breaker: b, rejected: c.rejected, rules: c.rules}
	if h.rejected == nil {
		h.rejected = h.unavailable
	}
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	permit, err := h.breaker.AllowContext(r.Context())
	if err != nil {
		h.rejected(w, r, err)
		return
	}
	rw := &writer{ResponseWriter: w, rules: &h.rules, ctx: r.Context(), permit: permit}
	defer rw.end()
	if r.Body != nil && r.Body != http.NoBody {
		rw.upload = &upload{ctx: r.Context()}
		r.Body = rw.upload.watch(r.Body) // the server keeps its own
	}
	h.next.ServeHTTP(rw.shape(), r)
	rw.returned = true
}

func (h *handler) unavailable(w http.ResponseWriter, _ *http.Request, err error) {
	unavailable(w, h.breaker, err)
}

// ErrorHandler is an ErrorHandler for httputil.ReverseProxy: it answers
// requests that a Transport's breaker rejected with 503 Service Unavailable
// and Retry-After. Other errors are passed to next; if next is nil, they are
// answered with 502 Bad Gateway.
func ErrorHandler(next func(http.ResponseWriter, *http.Request, error)) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		var no rejected
		switch {
		case errors.As(err, &no):
			unavailable(w, no.breaker, err)
		case errors.Is(err, breaker.ErrOpen): // of a breaker elsewhere, or replaced by the program
			unavailable(w, nil, err)
		case next != nil:
			next(w, r, err)
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	}
}

// unavailable answers rejected requests. It does not pass on what the
// rejection contains: names and errors of the services behind.
func unavailable(w http.ResponseWriter, b *breaker.Breaker, err error) {
	w.Header().Set("Retry-After", strconv.Itoa(retrySeconds(b, err)))
	http.Error(w, "service unavailable, try again later", http.StatusServiceUnavailable)
}

// retrySeconds rounds up, and never returns 0, which would ask for an
// immediate retry. b is the breaker that rejected, if that is known.
func retrySeconds(b *breaker.Breaker, err error) int {
	wait := time.Duration(0)
	if open := openError(err); open != nil {
		wait = open.RetryAfter()
		if wait == 0 && open.State == breaker.ForcedOpen && b != nil {
			wait = b.Settings().ResetTimeout // until it is released: any value will do
		}
	}
	return max(1, int((wait+time.Second-1)/time.Second))
}

// end settles the call of a handler that returned, panicked or exited.
func (w *writer) end() {
	if w.settled {
		return
	}
	outcome := breaker.Success
	if w.status != 0 {
		outcome = w.rules.outcome(w.status)
	}
	// If the client is gone, or its request could not be read, any handler may
	// fail.
	gone := w.ctx.Err() == context.Canceled || w.upload != nil && w.upload.broken.Load()
	switch {
	case w.returned && outcome == breaker.Success:
		w.permit.Done(nil)
	case gone || w.returned && outcome == breaker.Ignored:
		w.permit.Ignore()
	case !w.returned:
		w.permit.Abandoned()
	default:
		w.permit.Done(newStatusError(w.status, w.Header()))
	}
}
