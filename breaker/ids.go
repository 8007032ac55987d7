package breaker

import (
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// This file is about how operators identify a breaker: its name, the text of
// its key, and the ids that an unknown id may have been meant for.

// maxNameLen is the length limit of a name, in bytes.
const maxNameLen = 128

// ValidateName reports whether name may be the name of a breaker or a set. If
// not, the error matches ErrName and says what is wrong. A name has 1 to 128
// bytes of valid UTF-8, without slashes (the first slash of an id ends the
// name), control characters, or leading or trailing white space.
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
		return bad("want no slash, which separates the name from the key in an id")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("want no control characters")
	case strings.TrimSpace(name) != name:
		return bad("want no leading or trailing white space")
	}
	return nil
}

// joinID returns the id of a breaker.
func joinID(name, key string) string {
	if key == "" {
		return name
	}
	return name + "/" + key
}

// allKeys stands for all keys of a set in an id.
const allKeys = "*"

// keyText returns the text of a key in an id: a string as it is, any other key
// as fmt prints it. If the text ends like an id of all keys, it gets a
// backslash before the star.
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

// starAt returns where the last part of a key's text begins, and whether that
// part is a star, with or without backslashes before it.
func starAt(text string) (at int, star bool) {
	at = strings.LastIndexByte(text, '/') + 1
	return at, strings.TrimLeft(text[at:], `\`) == allKeys
}

// keyTexts holds the texts of keys of types for which two keys may have the
// same text: all types except strings and plain integers. A second key with the
// same text gets a number appended.
type keyTexts[K comparable] struct {
	seed maphash.Seed
	mu   sync.Mutex // guards keys; may be taken under a shard's mu, and takes no other lock
	keys shrinkingMap[string, K]
}

// sameText is how many keys with the same text are numbered one by one. All
// others get a number that depends on the key, because calls wait while a free
// one is sought.
const sameText = 100

// claim returns a text for k that no other key has, and reserves it.
func (t *keyTexts[K]) claim(k K, text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	free := text
	for n := 2; ; n++ {
		if other, taken := t.keys.m[free]; !taken || other == k {
			break
		}
		if n == sameText {
			n += int(maphash.Comparable(t.seed, k) % 1e9)
		}
		free = fmt.Sprintf("%s~%d", text, n)
	}
	t.keys.put(free, k)
	return free
}

// release frees a text.
func (t *keyTexts[K]) release(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys.remove(text)
}

// key returns the key that has this text.
func (t *keyTexts[K]) key(text string) (K, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.keys.m[text]
	return k, ok
}

// uniqueText reports whether the text of a K identifies the key, so that
// parseKey can return it.
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

// parseKey returns the key with this text, for types for which uniqueText holds.
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

// hasNaN reports whether a K may be unequal to itself, as NaN is.
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
	nearShown  = 3      // ids that an UnknownError suggests
	nearLooked = 10_000 // keys of a set that are compared
)

// near returns the ids closest to an unknown id: keys of the set it names if it
// names one, else names.
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

// distance returns the number of insertions, deletions, replacements and swaps
// of neighbouring bytes that turn a into b (the optimal string alignment
// distance); or some number above limit if it is above limit.
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
