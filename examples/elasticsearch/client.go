// Package elasticsearch shows the official client behind circuit breakers, one
// for each node. docs/other-clients.md says what it is about.
package elasticsearch

import (
	"errors"

	"github.com/elastic/go-elasticsearch/v8"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// NewClient returns a client of a cluster whose nodes are guarded by the
// breakers of set. The client's own retries continue at the next node. A
// rejection is retried there, too, but nodes whose breaker is open receive no
// request.
func NewClient(set *breaker.Set[string], addresses ...string) (*elasticsearch.Client, error) {
	return elasticsearch.NewClient(elasticsearch.Config{
		Addresses: addresses,
		Transport: breakerhttp.NewTransport(nil, breakerhttp.WithSet(set, breakerhttp.Host)),
		// 429 says that the node's queue is full: breakerhttp counts it as a
		// failure, and the client leaves it to its caller.
		RetryOnStatus: []int{502, 503, 504},
		MaxRetries:    len(addresses),
	})
}

// Unavailable reports whether err is the rejection of a breaker, and the search
// was not tried.
func Unavailable(err error) bool { return errors.Is(err, breaker.ErrOpen) }
