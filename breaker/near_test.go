package breaker

import (
	"errors"
	"slices"
	"testing"
)

// The distance counts insertions, deletions, replacements and swaps of
// neighbours, and is only said to be more than the limit beyond it.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		limit int
		want  int
	}{
		{"", "", 2, 0},
		{"db", "db", 2, 0},
		{"", "ab", 2, 2},
		{"", "abc", 2, 3}, // beyond
		{"abc", "", 2, 3},
		{"db", "dbs", 2, 1},
		{"dbs", "db", 2, 1},
		{"db", "dbase", 3, 3},
		{"dbase", "db", 3, 3},
		{"xdb", "db", 2, 1},
		{"db", "xdb", 2, 1},
		{"db", "dc", 2, 1},
		{"ab", "ba", 2, 1}, // a swap
		{"xabx", "xbax", 2, 1},
		{"ab", "bc", 2, 2}, // no swap: half of it is missing
		{"ab", "ca", 2, 2},
		{"abcd", "badc", 2, 2},
		{"kitten", "sitting", 3, 3},
		{"ca", "abc", 3, 3}, // what was swapped is not changed again
	} {
		if got := distance(c.a, c.b, c.limit); got != c.want {
			t.Errorf("%q to %q, limit %d: %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
	}
}

// The nearest ids come first, then by name; what is far is not named.
func TestNearestFirst(t *testing.T) {
	var m Manager
	for _, name := range []string{"orders-c", "orders-a", "order", "ordersss", "orders-b", "billing", "rders"} {
		m.Breaker(name)
	}
	for id, want := range map[string][]string{
		"orders":   {"order", "rders", "orders-a"}, // one away, then two
		"ORDERS-B": {"orders-b", "orders-a", "orders-c"},
		"bil":      nil,         // four more
		"billi":    {"billing"}, // two more
		"bill":     nil,         // three more
		"zz":       nil,         // as far as it is long
		"billingg": {"billing"}, // one too many
		"x":        nil,         // two may differ, and nothing is that short
		"orderss":  {"ordersss", "order", "orders-a"},
	} {
		_, err := m.Apply(id, Order{Verb: VerbOpen})
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !slices.Equal(unknown.Near, want) {
			t.Errorf("near %q: %v, want %q", id, err, want)
		}
	}
}
