package breaker

import (
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Which names are valid, and what the error says about one that is not.
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
// neighbours. Beyond the limit it is only known to be larger.
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

// The nearest ids come first, then sorted by name; distant ones are not named.
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

// FuzzID looks up strings that may or may not be ids: what exists is found by
// its ID and by nothing else, and looking creates nothing (I12).
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

// The text of a key never ends like the id of all keys, and gives the key again.
func TestTextsOfStringKeys(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "a": "a", "a/b": "a/b", "*": `\*`, `\*`: `\\*`, "a/*": `a/\*`, `a/\*`: `a/\\*`,
		"*/a": "*/a", "a*": "a*", "a/b*": "a/b*", `\`: `\`, "/": "/", "(overflow)": "(overflow)",
	} {
		text := keyText(key)
		if text != want {
			t.Errorf("%q has the text %q, want %q", key, text, want)
		}
		if got, ok := parseKey[string](text); !ok || got != key {
			t.Errorf("%q is the text of %q, want %q", text, got, key)
		}
	}
}

type (
	plainInt   int
	namedInt   int
	failingInt int
	printedInt int
)

func (namedInt) String() string               { return "named" }
func (failingInt) Error() string              { return "failing" }
func (printedInt) Format(s fmt.State, _ rune) { fmt.Fprint(s, "printed") }

// Only strings and plain integers that print as such are identified by their text.
func TestWhichTextsIdentify(t *testing.T) {
	for name, c := range map[string][2]bool{
		"string": {uniqueText[string](), true}, "int": {uniqueText[int](), true}, "uint8": {uniqueText[uint8](), true},
		"a plain type": {uniqueText[plainInt](), true}, "a Stringer": {uniqueText[namedInt](), false}, "an error": {uniqueText[failingInt](), false},
		"a Formatter": {uniqueText[printedInt](), false}, "float64": {uniqueText[float64](), false}, "bool": {uniqueText[bool](), false},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v, want %v", name, c[0], c[1])
		}
	}
}

// A text is a number only in the form that the number prints in.
func TestTextsOfIntegers(t *testing.T) {
	for text, want := range map[string]bool{"7": true, "0": true, "255": true, "256": false, "007": false, "+7": false, "-0": false, "x": false, "": false, "-7": false, "99999999999999999999": false} {
		if k, ok := parseKey[uint8](text); ok != want || ok && fmt.Sprint(k) != text {
			t.Errorf("%q as uint8: %d, %v, want %v", text, k, ok, want)
		}
	}
	for text, want := range map[string]bool{"7": true, "-7": true, "-128": true, "128": false, "007": false, "+7": false, "-0": false, "x": false, "99999999999999999999": false} {
		if k, ok := parseKey[int8](text); ok != want || ok && fmt.Sprint(k) != text {
			t.Errorf("%q as int8: %d, %v, want %v", text, k, ok, want)
		}
	}
}

// A key that comes again gets its text again, also while the garbage collector has
// its earlier breaker still in hand.
func TestClaimAgain(t *testing.T) {
	var texts keyTexts[namesake]
	first, again, other := texts.claim(namesake{1}, "same"), texts.claim(namesake{1}, "same"), texts.claim(namesake{2}, "same")
	if first != "same" || again != "same" || other != "same~2" {
		t.Errorf("%q, again %q, and another key %q", first, again, other)
	}
}

// Many keys with one text get different texts, each always the same, without a
// look at all that are taken.
func TestClaimSameText(t *testing.T) {
	texts := keyTexts[namesake]{seed: maphash.MakeSeed()}
	claimed := map[string]int{}
	for n := range 50 * sameText {
		claimed[texts.claim(namesake{n}, "same")] = n
	}
	if len(claimed) != 50*sameText {
		t.Fatalf("%d texts of %d keys", len(claimed), 50*sameText)
	}
	for text, n := range claimed {
		if k, ok := texts.key(text); !ok || k != (namesake{n}) {
			t.Errorf("%q is the text of %v, want %v", text, k, namesake{n})
		}
		if again := texts.claim(namesake{n}, "same"); again != text {
			t.Errorf("key %d has the text %q, and %q when it comes again", n, text, again)
		}
	}
}

// Which keys may be unequal to themselves.
func TestKeysWithNaN(t *testing.T) {
	type point struct{ _, _ float32 }
	for want, all := range map[bool][]any{
		true: {1.5, float32(1), complex(1, 2), [2]float64{}, point{}, struct{ p [1]point }{}, struct {
			s string
			x any
		}{}},
		false: {1, "a", true, [2]int{}, struct{}{}, struct {
			s string
			n int
		}{}, new(float64)},
	} {
		for _, k := range all {
			if got := hasNaN(reflect.TypeOf(k)); got != want {
				t.Errorf("%T: %v, want %v", k, got, want)
			}
		}
	}
}

// No more keys are compared than that.
func TestIDs(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{})
	for k := range 9 {
		s.Breaker(k)
	}
	if got := len(s.ids(3)); got != 3 {
		t.Errorf("%d ids, want 3", got)
	}
}
