package breakerhttp

import (
	"net/http"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
)

// Option changes what NewTransport or NewHandler returns.
type Option func(*config)

type config struct {
	breakerOf func(*http.Request) *breaker.Breaker
	outcomes  map[int]breaker.Outcome
	rejected  func(http.ResponseWriter, *http.Request, error)
	rules
}

// rules judge an answer by its header, and the error in place of an answer.
type rules struct {
	statuses [600]breaker.Outcome
	stream   func(status int, header http.Header) bool
	errors   func(error) breaker.Outcome // nil: failures
}

// WithBreaker guards all requests of a transport with one breaker. Of
// WithBreaker, WithBreakerFunc and WithSet the last one given applies.
func WithBreaker(b *breaker.Breaker) Option {
	if b == nil {
		panic("breakerhttp: WithBreaker got no breaker; leave the option out for a breaker per host")
	}
	return WithBreakerFunc(func(*http.Request) *breaker.Breaker { return b })
}

// WithBreakerFunc guards each request of a transport with the breaker that f
// returns for it; nil leaves the request unguarded. f runs on many goroutines
// at once, and must neither keep nor change the request.
func WithBreakerFunc(f func(*http.Request) *breaker.Breaker) Option {
	return func(c *config) { c.breakerOf = f }
}

// WithSet guards each request of a transport with the breaker of set for the
// key that keyOf returns. Default: a separate set named "http", with default
// settings, keyed by Host. keyOf runs on many goroutines at once, and must
// neither keep nor change the request.
func WithSet[K comparable](set *breaker.Set[K], keyOf func(*http.Request) K) Option {
	return WithBreakerFunc(func(req *http.Request) *breaker.Breaker { return set.Breaker(keyOf(req)) })
}

// Host returns the request's host and port, such as "example.com:443": in
// lower case, always with the port. It returns "" for a request without a
// host.
func Host(req *http.Request) string {
	if req.URL == nil || req.URL.Host == "" {
		return ""
	}
	host := strings.ToLower(req.URL.Host)
	if req.URL.Port() != "" {
		return host
	}
	host = strings.TrimSuffix(host, ":")
	if strings.EqualFold(req.URL.Scheme, "https") {
		return host + ":443"
	}
	return host + ":80"
}

// WithStatus changes what status codes mean for the dependency; codes that are
// not in the map keep their meaning. Default: 5xx is breaker.Failure, and for
// a transport so is 429, while 407 is breaker.Ignored; all others are
// breaker.Success.
func WithStatus(outcomes map[int]breaker.Outcome) Option {
	return func(c *config) { c.outcomes = outcomes }
}

// WithErrors judges the errors of a transport, and those of reading an
// answer's body, by what f returns. The default is breaker.Failure for all of
// them. f is not called for errors that are not evidence anyway; see the
// package documentation. f runs on many goroutines at once.
func WithErrors(f func(error) breaker.Outcome) Option {
	return func(c *config) { c.errors = f }
}

// WithStream says which answers continue for as long as both sides like. They
// are judged by their header, because waiting for their end would keep a
// half-open breaker waiting. Default: 101 Switching Protocols and
// text/event-stream, as well as CONNECT.
func WithStream(f func(status int, header http.Header) bool) Option {
	return func(c *config) { c.stream = f }
}

// WithRejected answers the requests that a handler's breaker rejects. err is
// the rejection, a *breaker.OpenError unless the program replaces it. Default:
// 503 Service Unavailable with Retry-After, and a body that says nothing about
// the breaker.
func WithRejected(f func(w http.ResponseWriter, r *http.Request, err error)) Option {
	return func(c *config) { c.rejected = f }
}

func newConfig(opts []Option, byDefault func(status int) breaker.Outcome) config {
	c := config{rules: rules{stream: isStream}}
	for status := range c.statuses {
		c.statuses[status] = byDefault(status)
	}
	for _, opt := range opts {
		opt(&c)
	}
	for status, o := range c.outcomes {
		if status < 100 || status >= len(c.statuses) {
			panic("breakerhttp: WithStatus has an invalid status code, want 100 to 599")
		}
		c.statuses[status] = o
	}
	return c
}

// outcome judges a status code. Codes from 600 up are not HTTP's: they are not
// evidence.
func (r *rules) outcome(status int) breaker.Outcome {
	if status < 0 || status >= len(r.statuses) {
		return breaker.Ignored
	}
	return r.statuses[status]
}

func clientOutcome(status int) breaker.Outcome {
	switch status {
	case http.StatusTooManyRequests:
		return breaker.Failure
	case http.StatusProxyAuthRequired: // a proxy lets nothing through
		return breaker.Ignored
	}
	return serverOutcome(status)
}

func serverOutcome(status int) breaker.Outcome {
	if status >= 500 {
		return breaker.Failure
	}
	return breaker.Success
}

func isStream(status int, header http.Header) bool {
	if status == http.StatusSwitchingProtocols {
		return true
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}
