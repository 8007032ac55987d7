package ops

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// orderTally counts orders.
type orderTally struct {
	mu sync.Mutex // guards the field below
	by map[orderKey]uint64
}

type orderKey struct{ verb, result string }

// add counts an order. An unknown verb, which may be any input, is counted as
// "other".
func (y *orderTally) add(o *Order, err error) {
	k := orderKey{string(o.Verb), "done"}
	switch {
	case err != nil:
		k.result = "refused"
	case o.DryRun:
		k.result = "dry-run"
	}
	if !slices.Contains(verbs, o.Verb) {
		k.verb = "other"
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.by == nil {
		y.by = make(map[orderKey]uint64)
	}
	y.by[k]++
}

func (y *orderTally) each(f func(orderKey, uint64)) {
	y.mu.Lock()
	defer y.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(y.by), func(a, b orderKey) int {
		return strings.Compare(a.verb+a.result, b.verb+b.result)
	})
	for _, k := range keys {
		f(k, y.by[k])
	}
}
