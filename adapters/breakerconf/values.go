package breakerconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// maxSeconds is the longest time that a time.Duration can hold.
const maxSeconds = float64(1<<63-1) / float64(time.Second)

// set sets the field of a key. A bare number in place of a duration is in
// seconds.
func set(s *breaker.Settings, e entry) error {
	err := s.Set(e.key, e.value)
	if d, secErr := seconds(e.value); err != nil && secErr == nil {
		if timedErr := s.Set(e.key, d.String()); timedErr == nil {
			err = nil
		}
	}
	if err != nil {
		return wrong(e.line, "%w", err)
	}
	// 0 would mean the default, which is not what the line says.
	if e.key == "fail_max" && s.FailMax == 0 || e.key == "reset_timeout" && s.ResetTimeout == 0 {
		return wrong(e.line, "%w: %s is %q, want more than 0, or no such line for the default", breaker.ErrSettings, e.key, e.value)
	}
	return nil
}

// duration parses a time: seconds as Python writes a float, or with a unit.
func duration(e entry) (time.Duration, error) {
	d, err := seconds(e.value)
	if err != nil {
		d, err = time.ParseDuration(e.value)
	}
	if err != nil || d < 0 {
		return 0, wrong(e.line, "%s is %q, want seconds, such as .1, or a time with a unit, such as 100ms", e.key, e.value)
	}
	return d, nil
}

func seconds(text string) (time.Duration, error) {
	x, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return 0, err
	case !(x >= 0 && x < maxSeconds): // also no number
		return 0, errors.New("out of range")
	}
	return time.Duration(x * float64(time.Second)), nil
}

// vars are the keys that a path may refer to.
type vars struct {
	main, def *section
	used      map[string]bool // keys that are not settings
	steps     int             // keys inserted so far
}

// maxSteps stops references that are circular, or would take forever in
// practice.
const maxSteps = 100

func (v *vars) get(key string) (entry, bool) {
	if e, ok := v.main.get(key); ok {
		return e, true
	}
	return v.def.get(key)
}

// entries returns the keys of both sections; those of main take precedence.
func (v *vars) entries() []entry {
	all := v.main.keys
	for _, e := range v.def.keys {
		if _, ok := v.main.get(e.key); !ok {
			all = append(all[:len(all):len(all)], e)
		}
	}
	return all
}

// path returns a path with the values of other keys inserted. {pid} is left as
// it is.
func (v *vars) path(e entry) (string, error) {
	p, err := v.expand(e)
	if err != nil {
		return "", &lineError{e.line, err}
	}
	if strings.ContainsAny(strings.ReplaceAll(p, "{pid}", ""), "{}") {
		return "", wrong(e.line, "%s is %q, want no braces but {pid}", e.key, p)
	}
	if p == "" || strings.ContainsRune(p, 0) {
		return "", wrong(e.line, "%s is %q, want a path, or no such line for the default", e.key, p)
	}
	return p, nil
}

func (v *vars) expand(e entry) (string, error) {
	var b strings.Builder
	before, rest, found := strings.Cut(e.value, "%")
	for ; found; before, rest, found = strings.Cut(rest, "%") {
		b.WriteString(before)
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			b.WriteByte('%')
			rest = after
			continue
		}
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, "("), ")s")
		if !ok || !strings.HasPrefix(rest, "(") {
			return "", fmt.Errorf("%s has a lone %%, want %%%% for a percent sign, or %%(key)s", e.key)
		}
		other, ok := v.get(strings.ToLower(name))
		if !ok {
			return "", fmt.Errorf("%s names %%(%s)s, want a key of this section or of [DEFAULT]", e.key, name)
		}
		if v.steps++; v.steps > maxSteps {
			return "", fmt.Errorf("%s is a circular reference, want a key that does not refer back to it", e.key)
		}
		v.used[other.key] = true
		text, err := v.expand(other)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		rest = after
	}
	b.WriteString(before)
	return b.String(), nil
}
