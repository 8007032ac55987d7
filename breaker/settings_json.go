package breaker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settingOff is the text of a rule that is turned off, in JSON and elsewhere.
const settingOff = "off"

// settingField describes a field of Settings in JSON and text.
type settingField struct {
	key    string              // the name in JSON
	name   string              // the name in Go
	canOff bool                // a negative value turns it off
	of     func(*Settings) any // returns *int, *time.Duration or *float64
}

// settingFields is every field, in the order of the struct.
var settingFields = []settingField{
	{"fail_max", "FailMax", true, func(s *Settings) any { return &s.FailMax }},
	{"successes_to_forgive", "SuccessesToForgive", true, func(s *Settings) any { return &s.SuccessesToForgive }},
	{"fail_within", "FailWithin", true, func(s *Settings) any { return &s.FailWithin }},
	{"fail_for", "FailFor", true, func(s *Settings) any { return &s.FailFor }},
	{"reset_timeout", "ResetTimeout", false, func(s *Settings) any { return &s.ResetTimeout }},
	{"success_threshold", "SuccessThreshold", false, func(s *Settings) any { return &s.SuccessThreshold }},
	{"probes", "Probes", false, func(s *Settings) any { return &s.Probes }},
	{"probe_timeout", "ProbeTimeout", false, func(s *Settings) any { return &s.ProbeTimeout }},
	{"window", "Window", false, func(s *Settings) any { return &s.Window }},
	{"window_calls", "WindowCalls", true, func(s *Settings) any { return &s.WindowCalls }},
	{"min_calls", "MinCalls", false, func(s *Settings) any { return &s.MinCalls }},
	{"failure_rate", "FailureRate", true, func(s *Settings) any { return &s.FailureRate }},
	{"confidence", "Confidence", true, func(s *Settings) any { return &s.Confidence }},
	{"slow_call", "SlowCall", true, func(s *Settings) any { return &s.SlowCall }},
	{"slow_rate", "SlowRate", true, func(s *Settings) any { return &s.SlowRate }},
	{"bad_rate", "BadRate", true, func(s *Settings) any { return &s.BadRate }},
	{"reset_backoff", "ResetBackoff", false, func(s *Settings) any { return &s.ResetBackoff }},
	{"reset_max", "ResetMax", true, func(s *Settings) any { return &s.ResetMax }},
	{"reset_jitter", "ResetJitter", false, func(s *Settings) any { return &s.ResetJitter }},
	{"ramp", "Ramp", true, func(s *Settings) any { return &s.Ramp }},
}

// keyOf returns the key of the field with this name in Go.
func keyOf(name string) string {
	i := slices.IndexFunc(settingFields, func(f settingField) bool { return f.name == name })
	return settingFields[i].key
}

// All yields the key and the value of every field, in the order of the struct,
// in the notation of String. The value of a zero field, which means its
// default, is "".
func (s Settings) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for _, f := range settingFields {
			text, _, set := f.text(&s)
			if !set {
				text = ""
			}
			if !yield(f.key, text) {
				return
			}
		}
	}
}

// SettingsChange is a field that differs between two Settings.
type SettingsChange struct {
	Key  string `json:"key"`
	From string `json:"from"` // in the notation of All
	To   string `json:"to"`
}

// Diff returns the fields in which to differs from s. Both should have their
// defaults filled in, or neither; see WithDefaults.
func (s Settings) Diff(to Settings) (changes []SettingsChange) {
	for _, f := range settingFields {
		was, _, _ := f.text(&s)
		is, _, _ := f.text(&to)
		if was != is {
			changes = append(changes, SettingsChange{f.key, was, is})
		}
	}
	return changes
}

// MarshalJSON writes the fields that are set, with keys in snake_case,
// durations such as "10s", and "off" for a rule that is turned off. It leaves
// out zero fields, which mean their defaults.
func (s Settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range settingFields {
		text, quote, set := f.text(&s)
		if !set {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		if quote {
			text = strconv.Quote(text)
		}
		fmt.Fprintf(&b, "%q:%s", f.key, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON writes, as a patch of s: a key that is
// absent leaves its field unchanged, 0 or "0s" restores the default, and "off"
// turns a rule off if it can be off.
//
// The following are errors, which match ErrSettings, and name the key and what
// would be right: an unknown key, a key that appears twice, a duration without
// a unit, a number in place of a duration, and a negative value. After an error
// s is unchanged. Ranges are not checked; see Validate.
func (s *Settings) UnmarshalJSON(data []byte) error {
	if string(bytes.TrimSpace(data)) == "null" {
		return nil // the convention of json.Unmarshaler
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf(`%w: want a JSON object, such as {"fail_max": 5}`, ErrSettings)
	}
	patched := *s
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSettings, err)
		}
		key := t.(string) // within an object, dec.More guarantees a key
		if seen[key] {
			return fmt.Errorf("%w: %s appears twice, want it once", ErrSettings, key)
		}
		seen[key] = true
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSettings, key, err)
		}
		if err := patched.setJSON(key, v); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	*s = patched
	return nil
}

// setJSON sets one field from JSON.
func (s *Settings) setJSON(key string, v json.RawMessage) error {
	f, err := fieldOf(key)
	if err != nil {
		return err
	}
	text := string(v)
	if v[0] == '"' {
		if err := json.Unmarshal(v, &text); err != nil {
			return f.wrong(string(v))
		}
	}
	_, timed := f.of(s).(*time.Duration)
	// Durations and "off" must be quoted, numbers must not be.
	if (v[0] == '"') != (timed || text == settingOff) {
		return f.wrong(string(v))
	}
	return f.set(s, text)
}

// Set sets one field from text, such as a command-line argument. key is the key
// in JSON; value is the value in JSON without quotes. The errors are those of
// UnmarshalJSON.
func (s *Settings) Set(key, value string) error {
	f, err := fieldOf(key)
	if err != nil {
		return err
	}
	return f.set(s, value)
}

// String returns the fields that are set, such as "fail_max=5
// reset_timeout=10s". Set accepts each key and value.
func (s Settings) String() string {
	var set []string
	for _, f := range settingFields {
		if text, _, ok := f.text(&s); ok {
			set = append(set, f.key+"="+text)
		}
	}
	return strings.Join(set, " ")
}

// fieldOf returns the field with this key, or an *UnknownKeyError.
func fieldOf(key string) (*settingField, error) {
	limit := max(2, len(key)/3)
	near, away := "", limit+1
	for i := range settingFields {
		f := &settingFields[i]
		if f.key == key {
			return f, nil
		}
		if d := distance(plainKey(key), plainKey(f.key), limit); d < away {
			near, away = f.key, d
		}
	}
	return nil, &UnknownKeyError{Key: key, Near: near}
}

// UnknownKeyError is the error for a key that is not the name of a setting. It
// matches ErrSettings.
type UnknownKeyError struct {
	Key  string
	Near string // the closest key, or "" if none is close
}

// Error names the closest key, or lists all keys.
func (e *UnknownKeyError) Error() string {
	if e.Near != "" {
		return fmt.Sprintf("%s: unknown key %q, did you mean %q?", ErrSettings, e.Key, e.Near)
	}
	keys := make([]string, len(settingFields))
	for i, f := range settingFields {
		keys[i] = f.key
	}
	return fmt.Sprintf("%s: unknown key %q, want one of %s", ErrSettings, e.Key, strings.Join(keys, ", "))
}

// Is reports whether target is ErrSettings.
func (e *UnknownKeyError) Is(target error) bool { return target == ErrSettings }

// plainKey removes the differences between the Go name of a field and its key.
func plainKey(key string) string { return strings.ToLower(strings.ReplaceAll(key, "_", "")) }

// text returns the field's value. quote says that JSON needs quotes around it,
// set that it is not zero.
func (f *settingField) text(s *Settings) (text string, quote, set bool) {
	negative := false
	switch p := f.of(s).(type) {
	case *int:
		text, set, negative = strconv.Itoa(*p), *p != 0, *p < 0
	case *time.Duration:
		text, set, negative, quote = p.String(), *p != 0, *p < 0, true
	case *float64:
		text, set, negative = strconv.FormatFloat(*p, 'g', -1, 64), *p != 0, *p < 0
		quote = math.IsNaN(*p) || math.IsInf(*p, 0) // not a number in JSON
	}
	if f.canOff && negative {
		return settingOff, true, true
	}
	return text, quote, set
}

// set sets the field from text, or returns what is wrong with the text.
func (f *settingField) set(s *Settings, text string) error {
	off := f.canOff && text == settingOff
	switch p := f.of(s).(type) {
	case *int:
		n, err := strconv.Atoi(text)
		if off {
			n, err = -1, nil
		}
		if err != nil || n < 0 && !off {
			return f.wrong(text)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if off {
			d, err = -1, nil
		}
		if err != nil || d < 0 && !off {
			return f.wrong(strconv.Quote(text))
		}
		*p = d
	case *float64:
		x, err := strconv.ParseFloat(text, 64)
		if off {
			x, err = -1, nil
		}
		if err != nil || !(x >= 0) && !off || math.IsInf(x, 0) {
			return f.wrong(text)
		}
		*p = x
	}
	return nil
}

// wrong returns the error for a value of the wrong kind.
func (f *settingField) wrong(got string) error {
	want := "a number of 0 or more, such as 0.5"
	switch f.of(new(Settings)).(type) {
	case *int:
		want = "a whole number of 0 or more"
	case *time.Duration:
		want = `a duration with its unit, such as "10s" or "1m30s"`
	}
	if f.canOff {
		want += `, or "off"`
	}
	return &SettingsError{Field: f.key, Key: f.key, Value: got, Want: want}
}
