package breakerhttp

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// slots counts the calls of a transport that have a connection, by scheme and
// host. Only so can a wait for one of http.Transport.MaxConnsPerHost connections,
// which is the program's own, be distinguished from a server that hangs.
type slots struct {
	mu   sync.Mutex // guards the field below
	held map[string]int
}

func (s *slots) add(key string, n int) (held int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = map[string]int{}
	}
	if held = s.held[key] + n; held == 0 {
		delete(s.held, key)
	} else {
		s.held[key] = held
	}
	return held
}

// slot is the place of one call among them.
type slot struct {
	of    *slots
	key   string
	limit int
	state atomic.Int32
}

// The states of a slot.
const (
	slotNone = iota // no connection yet
	slotHeld
	slotFree // the call has ended
)

// watchSlot returns the request to send, and the slot of its call: nil where the
// transport has no limit, so that other calls do not pay for it.
func (t *Transport) watchSlot(req *http.Request) (*http.Request, *slot) {
	base, ok := t.base.(*http.Transport)
	if !ok || base.MaxConnsPerHost <= 0 {
		return req, nil
	}
	s := &slot{of: &t.slots, key: req.URL.Scheme + " " + Host(req), limit: base.MaxConnsPerHost}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			if s.state.CompareAndSwap(slotNone, slotHeld) { // not again for a second attempt
				s.of.add(s.key, 1)
			}
		},
	})), s
}

// waited reports whether the caller's time has ended in the queue for a
// connection: other calls have all there may be.
func (s *slot) waited(ctx context.Context) bool {
	return s != nil && s.state.Load() == slotNone && ctx.Err() == context.DeadlineExceeded && s.of.add(s.key, 0) >= s.limit
}

// free notes that the call has ended, as far as the breaker sees it. Only its
// first time counts.
func (s *slot) free() {
	if s != nil && s.state.CompareAndSwap(slotHeld, slotFree) {
		s.of.add(s.key, -1)
	}
}
