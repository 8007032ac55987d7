package breaker

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// What may be a name, and what the error says of what may not.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"a":                      "",
		"ä b.c:d":                "",
		strings.Repeat("a", 128): "",
		strings.Repeat("a", 129): `of 129 bytes, beginning "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": want 1 to 128 bytes`,
		"":                       `"": want 1 to 128 bytes`,
		"\xff":                   `"\xff": want valid UTF-8`,
		"a/b":                    `"a/b": want no slash, which separates the name from the key in an id`,
		"a\nb":                   `"a\nb": want no control characters`,
		" a":                     `" a": want no leading or trailing white space`,
		"a ":                     `"a ": want no leading or trailing white space`,
	} {
		err := ValidateName(name)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrName) || err.Error() != "invalid breaker name "+want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

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

// FuzzID looks up what may or may not be an id: what exists is found by its
// ID and by nothing else, and looking makes nothing (I12).
func FuzzID(f *testing.F) {
	for _, id := range []string{"a", "set/k", "set/", "set//", "a/b", "", "/", "set/(overflow)", "\x00", "größe", "a ", strings.Repeat("x", 129)} {
		f.Add(id, "k")
	}
	f.Fuzz(func(t *testing.T, id, key string) {
		var m Manager
		set := SetOf[string](&m, "set")
		keyed := set.Breaker(key)
		made, err := m.Create(id, Settings{})
		if valid := ValidateName(id) == nil; valid && id != "set" && err != nil || !valid && !errors.Is(err, ErrName) {
			t.Fatalf("Create(%q) = %v", id, err)
		}
		if err == nil {
			if got, err := m.Lookup(made.ID()); got != made {
				t.Fatalf("Lookup(%q) = %v, %v, want what Create made", made.ID(), got, err)
			}
		}
		if got, err := m.Lookup(keyed.ID()); got != keyed {
			t.Fatalf("Lookup(%q) = %v, %v, want the breaker of key %q", keyed.ID(), got, err, key)
		}
		before := len(m.Status())
		got, err := m.Lookup(id)
		if err == nil && got.ID() != id {
			t.Fatalf("Lookup(%q) found %q", id, got.ID())
		}
		var unknown *UnknownError
		if err != nil && (!errors.As(err, &unknown) || unknown.ID != id) {
			t.Fatalf("Lookup(%q) = %v, want an UnknownError with that id", id, err)
		}
		if after := len(m.Status()); after != before {
			t.Fatalf("Lookup(%q) made %d breakers", id, after-before)
		}
	})
}

func TestStructKeys(t *testing.T) {
	type shard struct {
		Region string
		N      int
	}
	var m Manager
	set := SetOf[shard](&m, "shard")
	_ = set.Do(bg, shard{"eu", 1}, broken)
	b, err := m.Lookup("shard/{eu 1}")
	if err != nil || b != set.Breaker(shard{"eu", 1}) {
		t.Errorf("Lookup gave %v, %v", b, err)
	}
}
