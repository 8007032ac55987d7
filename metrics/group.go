package metrics

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

// States returns the effective states in order, the automatic ones first.
func States() []breaker.State {
	return []breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed}
}

// AutoStates returns the automatic states in order.
func AutoStates() []breaker.State { return States()[:3] }

// Group is the sum of the breakers with one name: a single breaker, or all keys
// that a set remembers.
type Group struct {
	Name      string
	Keyed     bool          // the name is that of a set
	States    [5]int        // number of breakers by effective state
	Auto      [3]int        // number of breakers by automatic state
	FailCount int           // consecutive failures; for a set, the largest number of any key
	Probes    int           // probes running
	Unlimited int           // overrides that do not expire
	Expiring  bool          // at least one override expires
	Remaining time.Duration // until the first of them expires
	Bypassed  uint64        // calls admitted because of WithBypass; 0 for a set, which forgets keys
	Panics    uint64        // recovered panics of the program's functions

	keys []*breaker.Breaker // of a set
}

// Groups adds up the breakers of m and returns the groups sorted by name. For a
// key that is closed and has no counted failures it takes a few atomic loads;
// for all others it takes their full Status.
func Groups(m *breaker.Manager, now time.Time) []*Group {
	byName := make(map[string]*Group)
	for _, b := range m.Breakers() {
		g := byName[b.Name()]
		if g == nil {
			g = &Group{Name: b.Name(), Keyed: b.ID() != b.Name()}
			byName[g.Name] = g
		}
		g.add(b, now)
	}
	groups := make([]*Group, 0, len(byName))
	for _, g := range byName {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(a.Name, b.Name) })
	return groups
}

// add adds a breaker to the group.
func (g *Group) add(b *breaker.Breaker, now time.Time) {
	first := len(g.keys) == 0
	if g.Keyed {
		g.keys = append(g.keys, b)
	}
	if g.Keyed && !first && b.State() == breaker.Closed && b.FailCount() == 0 {
		g.States[breaker.Closed]++
		g.Auto[breaker.Closed]++
		return
	}
	s := b.Status()
	g.States[s.State]++
	g.Auto[s.Auto]++
	g.FailCount = max(g.FailCount, s.FailCount)
	g.Probes += s.ProbesOut
	if first {
		g.Panics = s.Panics // every key reports those of its whole set
	}
	if !g.Keyed {
		g.Bypassed = s.Bypassed
	}
	switch {
	case s.Override == nil:
	case s.Override.Expires.IsZero():
		g.Unlimited++
	default:
		left := max(0, s.Override.Expires.Sub(now))
		if !g.Expiring || left < g.Remaining {
			g.Remaining, g.Expiring = left, true
		}
	}
}

// Len returns the number of breakers in the group.
func (g *Group) Len() int {
	n := 0
	for _, of := range g.States {
		n += of
	}
	return n
}

// Key is a key of a set and its state.
type Key struct {
	Label string // the key as the value of a label
	State breaker.State
}

// Worst returns up to limit keys of a set: first those that are not closed,
// then those with the most failures, then by id. No two of them have the same
// label, because a metrics system would reject that.
func (g *Group) Worst(limit int) []Key {
	type keyState struct {
		key   string
		state breaker.State
		fails int
	}
	all := make([]keyState, len(g.keys))
	for i, b := range g.keys {
		all[i] = keyState{b.Key(), b.State(), b.FailCount()}
	}
	slices.SortFunc(all, func(a, b keyState) int {
		return cmp.Or(
			compareBool(b.state != breaker.Closed, a.state != breaker.Closed),
			cmp.Compare(b.fails, a.fails),
			strings.Compare(a.key, b.key))
	})
	var keys []Key
	labels := make(map[string]bool)
	for _, k := range all {
		label := keyLabel(k.key)
		if len(keys) == limit {
			break
		}
		if !labels[label] {
			labels[label] = true
			keys = append(keys, Key{label, k.state})
		}
	}
	return keys
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// keyLabel returns a key as the value of a label, which must be UTF-8. Any
// other key is quoted as in Go, and may then look like a key that is spelled in
// this way.
func keyLabel(key string) string {
	if utf8.ValidString(key) {
		return key
	}
	return strconv.Quote(key)
}

// Outcome is a kind of outcome and its count, under the name that exporters use.
type Outcome struct {
	Name  string // "success", "failure", "ignored" or "rejected"
	Count uint64
}

// Outcomes returns the outcomes in c, in a fixed order.
func Outcomes(c breaker.Calls) []Outcome {
	return []Outcome{
		{"success", c.Successes}, {"failure", c.Failures}, {"ignored", c.Ignored}, {"rejected", c.Rejected},
	}
}
