package breakerconf

import (
	"errors"
	"fmt"
	"strings"

	"gopkg.in/ini.v1"
)

// section is a section of the file, with the line of each key.
type section struct {
	name string
	line int
	keys []entry
}

type entry struct {
	key, value string
	line       int
}

func (s *section) get(key string) (entry, bool) {
	for _, e := range s.keys {
		if e.key == key {
			return e, true
		}
	}
	return entry{}, false
}

// iniOptions are Python's rules: quotes and backslashes have no special
// meaning.
var iniOptions = ini.LoadOptions{
	InsensitiveKeys:         true,
	IgnoreContinuation:      true,
	IgnoreInlineComment:     true, // cutComment implements Python's rule
	PreserveSurroundedQuote: true,
	KeyValueDelimiters:      "=:",
}

// lineError is an error of one line of the file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func wrong(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

// parse splits the text into the sections that concern this package.
//
// The INI library gets one line at a time, because it has no line numbers and
// the errors of this package need them. No maintained INI package for Go keeps
// the lines of keys: ini.v1 and gookit/ini do not, and go-configparser and
// tinyini only know the line of a syntax error and are not maintained. Values
// that span several lines are errors here, because they have no meaning.
func parse(text string) ([]*section, error) {
	var all []*section
	var now *section // nil before the first section, and in a section of another program
	begun := false
	text = strings.TrimPrefix(text, "\ufeff")
	for i, line := range strings.Split(text, "\n") {
		line, n := cutComment(line), i+1
		switch {
		case line == "":
		case line[0] == '[':
			name, err := header(line)
			if err != nil {
				return nil, &lineError{n, err}
			}
			begun = true
			now, err = begin(all, name, n)
			if err != nil {
				return nil, err
			}
			if now != nil {
				all = append(all, now)
			}
		case !begun:
			return nil, wrong(n, "%q is before the first section, want [pybreaker] above it", line)
		case now != nil:
			if err := now.add(line, n); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// cutComment removes blanks and the comment from a line. A comment begins the
// line or follows a blank, so a path may contain a # or a ;.
func cutComment(line string) string {
	for i := range len(line) {
		if line[i] != '#' && line[i] != ';' {
			continue
		}
		if i == 0 || line[i-1] == ' ' || line[i-1] == '\t' {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

func header(line string) (string, error) {
	f, err := ini.LoadSources(iniOptions, []byte(line))
	if err != nil || !strings.HasSuffix(line, "]") {
		return "", fmt.Errorf("%q is not a section, want [name]", line)
	}
	names := f.SectionStrings()
	return strings.TrimSpace(names[len(names)-1]), nil
}

// begin begins the section with this name, or returns nil for a section of
// another program. all are the sections before it.
func begin(all []*section, name string, line int) (*section, error) {
	kind, of, _ := strings.Cut(name, " ")
	switch {
	case name == sectionDefault, name == sectionPy, name == sectionOurs:
	case kind == sectionBreaker && strings.TrimSpace(of) != "":
		name = kind + " " + strings.TrimSpace(of)
	case looksLikeOurs(name):
		return nil, wrong(line, "unknown section [%s], want [pybreaker], [switchgear], [DEFAULT] or [breaker NAME]", name)
	default:
		return nil, nil
	}
	for _, s := range all {
		if s.name == name || isMain(s.name) && isMain(name) {
			return nil, wrong(line, "section [%s], but line %d has [%s] already, want one of them", name, s.line, s.name)
		}
	}
	return &section{name: name, line: line}, nil
}

// looksLikeOurs distinguishes a misspelt section from one of another program.
func looksLikeOurs(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "break") || strings.Contains(name, "switchg") || name == "default"
}

func (s *section) add(line string, n int) error {
	f, err := ini.LoadSources(iniOptions, []byte(line))
	var keys []*ini.Key
	if err == nil {
		keys = f.Section("").Keys()
	}
	if len(keys) != 1 {
		return wrong(n, "%q is not a setting, want key = value", line)
	}
	key := keys[0].Name()
	if key == "reset_timout" { // as PyBreaker's documentation spells it
		key = "reset_timeout"
	}
	if e, ok := s.get(key); ok {
		return wrong(n, "%s is set already on line %d, want it once", key, e.line)
	}
	s.keys = append(s.keys, entry{key, keys[0].Value(), n})
	return nil
}

// at puts the file's name before an error of one of its lines.
func at(path string, err error) error {
	if e := (*lineError)(nil); errors.As(err, &e) {
		return fmt.Errorf("%s:%w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
