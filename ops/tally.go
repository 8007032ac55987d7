package ops

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// tally counts what breakers go through, by the name of a breaker or a set.
// Its counts only grow, also when a set forgets a key.
type tally struct {
	mu   sync.Mutex // guards the fields below
	by   map[transitionKey]uint64
	shut map[string]*shutTime
}

type transitionKey struct {
	name  string
	to    breaker.State
	cause breaker.Cause
}

// shutTime is the time that the breakers of a name reject.
type shutTime struct {
	sum   time.Duration        // of the stretches that are over
	since map[string]time.Time // by id: those under way
}

func newTally() *tally {
	return &tally{by: make(map[transitionKey]uint64), shut: make(map[string]*shutTime)}
}

// begin takes in what is shut already. Transitions that are told meanwhile wait
// for it, and are no news to what it saw.
func (y *tally) begin(m *breaker.Manager) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, s := range m.Status() {
		if isShut(s.State) {
			y.shutOf(s.Name).since[s.ID] = s.Since
		}
	}
}

func isShut(s breaker.State) bool { return s == breaker.Open || s == breaker.ForcedOpen }

func (y *tally) shutOf(name string) *shutTime {
	s := y.shut[name]
	if s == nil {
		s = &shutTime{since: make(map[string]time.Time)}
		y.shut[name] = s
	}
	return s
}

func (y *tally) moved(b *breaker.Breaker, t *breaker.Transition) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.by[transitionKey{b.Name(), t.To, t.Cause}]++
	if t.Shadow {
		return
	}
	s, id := y.shutOf(b.Name()), b.ID()
	since, was := s.since[id]
	switch is := isShut(t.To); {
	case is && !was:
		s.since[id] = t.At
	case was && !is:
		s.sum += t.At.Sub(since)
		delete(s.since, id)
	}
}

func (y *tally) write(out *bytes.Buffer, now time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	head(out, "switchgear_transitions_total", "counter", "Transitions by the state they led to and by what decided.")
	for _, k := range slices.SortedFunc(maps.Keys(y.by), compareBy) {
		sample(out, "switchgear_transitions_total", y.by[k], "name", k.name, "to", k.to.String(), "cause", string(k.cause))
	}
	head(out, "switchgear_open_seconds_total", "counter", "Time that the breakers of a name have been open or forced open, all together.")
	for _, name := range slices.Sorted(maps.Keys(y.shut)) {
		s := y.shut[name]
		sum := s.sum
		for _, since := range s.since {
			sum += max(0, now.Sub(since))
		}
		sample(out, "switchgear_open_seconds_total", sum.Seconds(), "name", name)
	}
}

// orderTally counts orders.
type orderTally struct {
	mu sync.Mutex // guards the field below
	by map[orderKey]uint64
}

type orderKey struct{ verb, result string }

// add counts an order. A verb that there is none of goes by "other": it is
// somebody's input.
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

var verbs = []breaker.Verb{
	breaker.VerbOpen, breaker.VerbClose, breaker.VerbHalfOpen,
	breaker.VerbForceOpen, breaker.VerbForceClosed, breaker.VerbRelease, VerbSet,
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
