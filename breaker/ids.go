package breaker

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// This file is about what operators call a breaker: its name, the text of its
// key, and what they may have meant by an id that is unknown.

const maxNameLen = 128

// ValidateName reports what is wrong with name as a breaker's or a set's, as an
// error that matches ErrName. A name ends at the first slash of an id, and stands
// in a table and on a line: so it has no slash, no control character and no blank
// at its ends, and 1 to 128 bytes.
func ValidateName(name string) error {
	bad := func(what string) error { return fmt.Errorf("%w %q: %s", ErrName, name, what) }
	switch {
	case name == "":
		return bad("want 1 to 128 bytes")
	case len(name) > maxNameLen:
		return fmt.Errorf("%w of %d bytes, beginning %.32q: want 1 to 128 bytes", ErrName, len(name), name)
	case !utf8.ValidString(name):
		return bad("want valid UTF-8")
	case strings.Contains(name, "/"):
		return bad("want no slash: it divides the name from the key in an id")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("want no control character")
	case strings.TrimSpace(name) != name:
		return bad("want no blank at its ends")
	}
	return nil
}

func joinID(name, key string) string {
	if key == "" {
		return name
	}
	return name + "/" + key
}

// allKeys is how an id names all keys of a set.
const allKeys = "*"

// keyText is how a key stands in an id: a string as it is, anything else as fmt
// prints it. One that ends like an id of all keys gets a backslash before the
// star.
func keyText[K comparable](k K) string {
	text, ok := any(k).(string)
	if !ok {
		text = fmt.Sprint(k)
	}
	if at, escape := starAt(text); escape {
		return text[:at] + `\` + text[at:]
	}
	return text
}

// starAt is where the last part of a key's text begins, if that part is a star,
// with backslashes before it or not.
func starAt(text string) (at int, star bool) {
	at = strings.LastIndexByte(text, '/') + 1
	return at, strings.TrimLeft(text[at:], `\`) == allKeys
}

// keyTexts are the texts of keys of which two could have the same: all but
// strings and plain integers. The second one gets a number.
type keyTexts[K comparable] struct {
	mu   sync.Mutex
	keys map[string]K
}

// claim gives k a text that no other key has.
func (t *keyTexts[K]) claim(k K, text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	free := text
	for n := 2; ; n++ {
		if other, taken := t.keys[free]; !taken || other == k {
			break
		}
		free = fmt.Sprintf("%s~%d", text, n)
	}
	if t.keys == nil {
		t.keys = make(map[string]K)
	}
	t.keys[free] = k
	return free
}

func (t *keyTexts[K]) release(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, text)
}

func (t *keyTexts[K]) key(text string) (K, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.keys[text]
	return k, ok
}

// uniqueText reports whether the text of a K says which key it is.
func uniqueText[K comparable]() bool {
	t := reflect.TypeFor[K]()
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
	default:
		return false
	}
	return !t.Implements(reflect.TypeFor[fmt.Stringer]()) && !t.Implements(reflect.TypeFor[error]()) &&
		!t.Implements(reflect.TypeFor[fmt.Formatter]())
}

// parseKey is the key whose text this is, where uniqueText holds.
func parseKey[K comparable](text string) (k K, ok bool) {
	if at, star := starAt(text); star {
		text = text[:at] + strings.TrimPrefix(text[at:], `\`)
	}
	v := reflect.ValueOf(&k).Elem()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil || strconv.FormatInt(n, 10) != text {
			return k, false
		}
		v.SetInt(n)
	default:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil || strconv.FormatUint(n, 10) != text {
			return k, false
		}
		v.SetUint(n)
	}
	return k, true
}

// hasNaN reports whether a K may differ from itself, as a NaN does.
func hasNaN(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128, reflect.Interface:
		return true
	case reflect.Array:
		return hasNaN(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasNaN(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

const (
	nearShown  = 3
	nearLooked = 10_000 // keys of a set that are compared
)

// near is the ids nearest to one that is unknown: those of the set it names,
// if it names one, else all names.
func (m *Manager) near(id string, of member) []string {
	var ids []string
	if of != nil {
		ids = of.ids(nearLooked)
	} else {
		for _, x := range m.all() {
			ids = append(ids, x.Name())
		}
	}
	type near struct {
		id   string
		away int
	}
	limit := max(2, len(id)/3)
	var close []near
	for _, x := range ids {
		if d := distance(strings.ToLower(id), strings.ToLower(x), limit); d <= limit {
			close = append(close, near{x, d})
		}
	}
	slices.SortFunc(close, func(a, b near) int {
		if a.away != b.away {
			return a.away - b.away
		}
		return strings.Compare(a.id, b.id)
	})
	var out []string
	for _, c := range close[:min(nearShown, len(close))] {
		out = append(out, c.id)
	}
	return out
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours between a and b (the optimal string alignment distance), or more
// than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+btoi(a[i-1] != b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
