package breaker

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxNameLen = 128

// checkName reports whether name may be a breaker's or a set's. A name ends at
// the first slash of an id, stands in a table and on a line, so it has no
// slash, no control character and no blank at its ends.
func checkName(name string) error {
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
