// Package meter is what ops and the metrics adapters share: what the breakers of a
// manager add up to by name, and a count of what happens to them. Names stand
// in the program's text, so that there are boundedly many; keys do not.
package meter

import (
	"cmp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

// States and AutoStates are the effective and the automatic states, in order.
var (
	States     = []breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed}
	AutoStates = States[:3]
)

// Sum is what the breakers of one name have together: a breaker's own, or that
// of all keys which a set remembers.
type Sum struct {
	Name      string
	States    [5]int            // breakers by effective state
	Auto      [3]int            // breakers by automatic state
	Fails     int               // consecutive failures; of a set, its worst key's
	Probes    int               // probes in flight
	Overrides int               // without an expiry
	Remaining time.Duration     // until the next override ends
	Expiring  bool              // there is an override that ends
	Bypassed  uint64            // calls let through; not of sets, which forget keys
	Panics    uint64            // of listeners and classifiers
	Keyed     bool              // this is a set
	Keys      []*breaker.Status // of a set, in no order; Add leaves them out
}

// Sums adds up all, which must be sorted by ID. They are sorted by name.
func Sums(all []breaker.Status, now time.Time) []*Sum {
	byName := make(map[string]*Sum)
	var sums []*Sum
	for i := range all {
		s := &all[i]
		n := byName[s.Name]
		if n == nil {
			n = &Sum{Name: s.Name}
			byName[s.Name], sums = n, append(sums, n)
		}
		n.Add(s, now)
		if n.Keyed {
			n.Keys = append(n.Keys, s)
		}
	}
	slices.SortFunc(sums, func(a, b *Sum) int { return cmp.Compare(a.Name, b.Name) })
	return sums
}

// Add adds a breaker of this name.
func (n *Sum) Add(s *breaker.Status, now time.Time) {
	n.Keyed = s.ID != s.Name
	if !n.Keyed {
		n.Bypassed = s.Bypassed
	}
	n.States[s.State]++
	n.Auto[s.Auto]++
	n.Fails = max(n.Fails, s.FailCount)
	n.Probes += s.ProbesOut
	n.Panics = s.ListenerPanics // each key tells of the whole set
	switch {
	case s.Override == nil:
	case s.Override.Expires.IsZero():
		n.Overrides++
	default:
		left := max(0, s.Override.Expires.Sub(now))
		if !n.Expiring || left < n.Remaining {
			n.Remaining, n.Expiring = left, true
		}
	}
}

// Worst is up to most keys of a set, those that want attention first: not
// closed, then by their failures.
func (n *Sum) Worst(most int) []*breaker.Status {
	slices.SortFunc(n.Keys, func(a, b *breaker.Status) int {
		return cmp.Or(
			cmp.Compare(btoi(b.State != breaker.Closed), btoi(a.State != breaker.Closed)),
			cmp.Compare(b.FailCount+b.Window.Failures, a.FailCount+a.Window.Failures),
			cmp.Compare(a.ID, b.ID))
	})
	return n.Keys[:min(most, len(n.Keys))]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// KeyLabel is a key as a label's value. Keys are the program's data, and one
// that is no UTF-8 is quoted as in Go, so that it stays another than its like.
// It may look like a key with those very letters: whoever shows several has to
// look.
func KeyLabel(key string) string {
	if utf8.ValidString(key) {
		return key
	}
	return strconv.Quote(key)
}
