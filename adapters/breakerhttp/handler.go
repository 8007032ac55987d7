package breakerhttp

import (
	"context"
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

// NewHandler guards next: what it answers with 5xx, and its panics,
// http.ErrAbortHandler included, are failures; the panic goes on. A failure
// after the client has gone is no evidence, or clients that hang up could open
// the breaker. The time that makes a call slow is that to the head of the
// answer. It panics when an option makes no sense for a handler.
func NewHandler(next http.Handler, b *breaker.Breaker, opts ...Option) http.Handler {
	c := newConfig(opts, serverOutcome)
	switch {
	case next == nil || b == nil:
		panic("breakerhttp: NewHandler needs a handler and a breaker")
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
	h.next.ServeHTTP(rw.shape(), r)
	rw.returned = true
}

// unavailable is the answer to rejected requests. It keeps to itself what the
// rejection tells: names and errors of what is behind.
func (h *handler) unavailable(w http.ResponseWriter, _ *http.Request, err error) {
	w.Header().Set("Retry-After", strconv.Itoa(h.retrySeconds(err)))
	http.Error(w, "service unavailable, try again later", http.StatusServiceUnavailable)
}

// retrySeconds rounds up, and is never 0: that would ask for a retry at once.
func (h *handler) retrySeconds(err error) int {
	wait := time.Duration(0)
	if open := openError(err); open != nil {
		wait = open.RetryAfter()
		if wait == 0 && open.State == breaker.ForcedOpen {
			wait = h.breaker.Settings().ResetTimeout // until somebody releases it: as good as any
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
	gone := w.ctx.Err() == context.Canceled
	switch {
	case w.returned && outcome == breaker.Success:
		w.permit.Done(nil)
	case gone || w.returned && outcome == breaker.Ignored:
		w.permit.Ignore()
	case !w.returned:
		w.permit.Done(errAbandoned)
	default:
		w.permit.Done(newStatusError(w.status, w.Header()))
	}
}
