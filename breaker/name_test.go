package breaker

import (
	"errors"
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
