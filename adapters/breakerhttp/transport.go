package breakerhttp

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Transport is a guarded http.RoundTripper. Make one with NewTransport; all
// methods may be called by many goroutines at once.
type Transport struct {
	base      http.RoundTripper
	breakerOf func(*http.Request) *breaker.Breaker
	slots     slots
	rules
}

// NewTransport guards base, or http.DefaultTransport if base is nil. It panics
// when an option makes no sense, as options are written in the program's source.
func NewTransport(base http.RoundTripper, opts ...Option) *Transport {
	c := newConfig(opts, clientOutcome)
	if c.rejected != nil {
		panic("breakerhttp: WithRejected is for handlers; a transport's caller gets an error that matches breaker.ErrOpen")
	}
	if c.breakerOf == nil {
		WithSet(breaker.NewSet[string]("http", breaker.Settings{}, breaker.SetOptions{}), Host)(&c)
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{base: base, breakerOf: c.breakerOf, rules: c.rules}
}

// RoundTrip sends the request, unless its breaker rejects it. It changes
// neither the request nor, but for watching the bodies of both, what is sent and
// what is answered.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil || req.URL.Host == "" {
		return t.base.RoundTrip(req) // goes nowhere, and says so
	}
	b := t.breakerOf(req)
	if b == nil {
		return t.base.RoundTrip(req)
	}
	permit, err := b.AllowContext(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper's duty, whatever happens
		}
		return nil, rejection(b, err)
	}
	sent, upload := watchUpload(req)
	sent, slot := t.watchSlot(sent)
	c := &call{transport: t, req: req, upload: upload, slot: slot, permit: permit, running: true}
	defer c.unwind()
	resp, err := t.base.RoundTrip(sent)
	c.running = false
	switch {
	case err != nil:
		c.upload.noteStall()
		return resp, c.failed(err)
	case resp == nil:
		c.slot.free()
		c.permit.Ignore() // a mistake of the transport, like a panic
		return nil, nil   // http.Client words it
	}
	if sent != req && resp.Request == sent {
		resp.Request = req
	}
	t.answered(c, resp)
	return resp, nil
}

// CloseIdleConnections closes those of the guarded transport, for
// http.Client.CloseIdleConnections.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// answered judges an answer by its head. One that began well is judged when its
// body ends, if it has one that ends.
func (t *Transport) answered(c *call, resp *http.Response) {
	watched := false
	defer func() {
		if !watched {
			c.slot.free() // the body's end will not be seen
		}
	}()
	switch t.outcome(resp.StatusCode) {
	case breaker.Failure:
		c.upload.noteStall()
		if c.upload != nil && c.upload.broken.Load() {
			c.permit.Ignore() // an answer to half a request
			return
		}
		c.permit.Done(newStatusError(resp.StatusCode, resp.Header))
	case breaker.Ignored:
		c.permit.Ignore()
	default:
		c.permit.Answered()
		if _, upgraded := resp.Body.(io.Writer); upgraded || resp.Body == nil || resp.Body == http.NoBody ||
			c.req.Method == http.MethodConnect || t.stream(resp.StatusCode, resp.Header) {
			c.permit.Done(nil)
			return
		}
		watched = true
		resp.Body = c.watch(resp.Body)
	}
}

// rejected is a rejection that says when to retry.
type rejected struct {
	error
	breaker *breaker.Breaker
}

func rejection(b *breaker.Breaker, err error) error {
	if openError(err) != nil {
		return rejected{err, b}
	}
	return err // the program's own: it says what it wants to
}

func (e rejected) Error() string {
	text := e.error.Error()
	if wait := openError(e.error).RetryAfter(); wait > 0 {
		text += ", retry in " + max(wait.Round(time.Second), time.Second).String()
	}
	return text
}

func (e rejected) Unwrap() error { return e.error }

// openError is the breaker's own rejection in err's tree, or nil.
func openError(err error) *breaker.OpenError {
	if open, ok := err.(*breaker.OpenError); ok { //nolint:errorlint // the usual case, without the allocation
		return open
	}
	var open *breaker.OpenError
	errors.As(err, &open)
	return open
}
