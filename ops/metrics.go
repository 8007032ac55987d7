package ops

import (
	"net/http"
	"sync"

	"github.com/switchgear-go/switchgear/breaker"
)

// transitionCounts counts transitions by the name of a breaker or a set, and by
// cause: as many series as the program's text has names.
type transitionCounts struct {
	mu sync.Mutex // guards the field below
	by map[transitionKey]uint64
}

type transitionKey struct {
	name  string
	cause breaker.Cause
}

func newTransitionCounts() *transitionCounts {
	return &transitionCounts{by: make(map[transitionKey]uint64)}
}

func (c *transitionCounts) add(name string, cause breaker.Cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[transitionKey{name, cause}]++
}

func (d *door) getMetrics(w http.ResponseWriter, r *http.Request) error { return nil }
