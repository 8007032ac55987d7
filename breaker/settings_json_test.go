package breaker

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
)

// The table of keys is written by hand: every field must be in it, in order,
// under its own name.
func TestSettingsKeysCoverEveryField(t *testing.T) {
	var s Settings
	v := reflect.ValueOf(&s).Elem()
	if v.NumField() != len(settingFields) {
		t.Fatalf("%d fields of Settings, %d keys", v.NumField(), len(settingFields))
	}
	for i, f := range settingFields {
		name := v.Type().Field(i).Name
		var key strings.Builder
		for j, r := range name {
			if unicode.IsUpper(r) && j > 0 {
				key.WriteByte('_')
			}
			key.WriteRune(unicode.ToLower(r))
		}
		if f.key != key.String() {
			t.Errorf("field %s has key %q, want %q", name, f.key, key.String())
		}
		if got := reflect.ValueOf(f.of(&s)).Pointer(); got != v.Field(i).Addr().Pointer() {
			t.Errorf("key %q is another field than %s", f.key, name)
		}
	}
}

// What may be "off" is what Validate accepts a negative value for.
func TestSettingsOffIsWhatMayBeNegative(t *testing.T) {
	for _, f := range settingFields {
		var s Settings
		switch p := f.of(&s).(type) {
		case *int:
			*p = -1
		case *time.Duration:
			*p = -1
		case *float64:
			*p = -1
		}
		if err := s.Validate(); (err == nil) != f.canOff {
			t.Errorf("%s = -1: Validate says %v, but canOff is %v", f.key, err, f.canOff)
		}
	}
}

func TestSettingsJSON(t *testing.T) {
	full := Settings{
		FailMax: -1, ResetTimeout: 90 * time.Second, SuccessThreshold: 2, Probes: 3, ProbeTimeout: 1500 * time.Millisecond,
		Window: time.Minute, WindowCalls: 100, MinCalls: 10, FailureRate: 0.5, Confidence: -1, SlowCall: 200 * time.Millisecond,
		SlowRate: 0.25, ResetBackoff: 2, ResetMax: 10 * time.Minute, ResetJitter: 0.1, Ramp: -1,
	}
	for _, c := range []struct {
		s          Settings
		json, text string
	}{
		{Settings{}, `{}`, ""},
		{
			Settings{FailMax: 3, ResetTimeout: 10 * time.Second},
			`{"fail_max":3,"reset_timeout":"10s"}`, "fail_max=3 reset_timeout=10s",
		},
		{
			full,
			`{"fail_max":"off","reset_timeout":"1m30s","success_threshold":2,"probes":3,"probe_timeout":"1.5s","window":"1m0s",` +
				`"window_calls":100,"min_calls":10,"failure_rate":0.5,"confidence":"off","slow_call":"200ms","slow_rate":0.25,` +
				`"reset_backoff":2,"reset_max":"10m0s","reset_jitter":0.1,"ramp":"off"}`,
			"fail_max=off reset_timeout=1m30s success_threshold=2 probes=3 probe_timeout=1.5s window=1m0s " +
				"window_calls=100 min_calls=10 failure_rate=0.5 confidence=off slow_call=200ms slow_rate=0.25 " +
				"reset_backoff=2 reset_max=10m0s reset_jitter=0.1 ramp=off",
		},
	} {
		got, err := json.Marshal(c.s)
		if err != nil || string(got) != c.json {
			t.Errorf("Marshal = %s, %v\nwant %s", got, err, c.json)
		}
		var back Settings
		if err := json.Unmarshal(got, &back); err != nil || back != c.s {
			t.Errorf("back from %s: %+v, %v", got, back, err)
		}
		if got := c.s.String(); got != c.text {
			t.Errorf("String = %q\nwant     %q", got, c.text)
		}
		var set Settings
		for _, kv := range strings.Fields(c.text) {
			k, v, _ := strings.Cut(kv, "=")
			if err := set.Set(k, v); err != nil {
				t.Errorf("Set(%q, %q): %v", k, v, err)
			}
		}
		if set != c.s {
			t.Errorf("Set of all of %q makes %v", c.text, set)
		}
	}
}

func TestSettingsJSONIsAPatch(t *testing.T) {
	start := Settings{FailMax: 3, ResetTimeout: time.Second, FailureRate: 0.5, Ramp: time.Minute}
	for _, c := range []struct {
		patch string
		want  Settings
	}{
		{`{}`, start},
		{`null`, start},
		{`{"fail_max": 7}`, Settings{FailMax: 7, ResetTimeout: time.Second, FailureRate: 0.5, Ramp: time.Minute}},
		{`{"fail_max": 0, "reset_timeout": "0s"}`, Settings{FailureRate: 0.5, Ramp: time.Minute}},
		{`{"ramp": "off", "failure_rate": "off"}`, Settings{FailMax: 3, ResetTimeout: time.Second, FailureRate: -1, Ramp: -1}},
		{` { "failure_rate" : 1e-1 } `, Settings{FailMax: 3, ResetTimeout: time.Second, FailureRate: 0.1, Ramp: time.Minute}},
	} {
		got := start
		if err := json.Unmarshal([]byte(c.patch), &got); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.patch, got, err, c.want)
		}
	}
	// Within another value, as in a file of many breakers or in a Status.
	file := map[string]Settings{}
	if err := json.Unmarshal([]byte(`{"db": {"window": "1m"}}`), &file); err != nil || file["db"].Window != time.Minute {
		t.Errorf("in a map: %v, %v", file, err)
	}
	var st Status
	text, err := json.Marshal(New("db", Settings{}).Status())
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	if want := New("db", Settings{}).Settings(); err != nil || st.Settings != want {
		t.Errorf("the settings of a Status came back as %v, %v; want %v", st.Settings, err, want)
	}
}

// Each error names the key and what would be right, and changes nothing.
func TestSettingsJSONErrors(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"reset_timeout": 30}`, `reset_timeout is 30, want a duration with its unit, such as "10s" or "1m30s"`},
		{`{"reset_timeout": "30"}`, `reset_timeout is "30", want a duration with its unit`},
		{`{"reset_timeout": "off"}`, `reset_timeout is "off", want a duration`},
		{`{"reset_timeout": "-3s"}`, `reset_timeout is "-3s", want a duration`},
		{`{"slow_call": "fast"}`, `slow_call is "fast", want a duration with its unit, such as "10s" or "1m30s", or "off"`},
		{`{"fail_max": "5"}`, `fail_max is "5", want a whole number of 0 or more, or "off"`},
		{`{"fail_max": -1}`, `fail_max is -1, want a whole number of 0 or more, or "off"`},
		{`{"fail_max": 2.5}`, `fail_max is 2.5, want a whole number`},
		{`{"fail_max": null}`, `fail_max is null, want a whole number`},
		{`{"fail_max": [5]}`, `fail_max is [5], want a whole number`},
		{`{"fail_max": 99999999999999999999}`, `fail_max is 99999999999999999999, want`},
		{`{"probes": "off"}`, `probes is off, want a whole number of 0 or more`},
		{`{"failure_rate": "0.5"}`, `failure_rate is "0.5", want a number of 0 or more, such as 0.5, or "off"`},
		{`{"failure_rate": 1e999}`, `failure_rate is 1e999, want a number`},
		{`{"failure_rate": true}`, `failure_rate is true, want a number`},
		{`{"fail_mx": 5}`, `unknown key "fail_mx", did you mean "fail_max"?`},
		{`{"FailMax": 5}`, `unknown key "FailMax", did you mean "fail_max"?`},
		{`{"threshold_of_pain": 5}`, `unknown key "threshold_of_pain", want one of fail_max, successes_to_forgive, `},
		{`{"fail_max": 5, "fail_max": 6}`, `fail_max appears twice`},
		{`5`, `want a JSON object, such as {"fail_max": 5}`},
		{`["fail_max"]`, `want a JSON object`},
		{`{"probes": 2, "fail_max": "many"}`, `fail_max is "many"`},
	} {
		s := Settings{FailMax: 3}
		err := json.Unmarshal([]byte(c.json), &s)
		if err == nil || !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v\nwant %s", c.json, err, c.want)
		}
		if s != (Settings{FailMax: 3}) {
			t.Errorf("%s: changed the value to %v", c.json, s)
		}
	}
	for _, text := range []string{"NaN", "Inf", "+Inf", "-Inf", "-0.1", "x"} {
		if err := new(Settings).Set("failure_rate", text); !errors.Is(err, ErrSettings) {
			t.Errorf("Set(failure_rate, %s): %v", text, err)
		}
	}
	for _, text := range []string{"0", "0.0", "-0"} {
		s := Settings{FailureRate: 0.5}
		if err := s.Set("failure_rate", text); err != nil || s.FailureRate != 0 {
			t.Errorf("Set(failure_rate, %s): %v, makes %g", text, err, s.FailureRate)
		}
	}
}

// Settings that are invalid are printed as they are, and as JSON that can be
// read.
func TestSettingsJSONOfInvalidSettings(t *testing.T) {
	for _, c := range []struct {
		s          Settings
		json, text string
	}{
		{Settings{ResetTimeout: -time.Second, Probes: -2, ResetJitter: -0.5}, `{"reset_timeout":"-1s","probes":-2,"reset_jitter":-0.5}`, "reset_timeout=-1s probes=-2 reset_jitter=-0.5"},
		{Settings{FailureRate: math.NaN()}, `{"failure_rate":"NaN"}`, "failure_rate=NaN"},
		{Settings{ResetBackoff: math.Inf(1)}, `{"reset_backoff":"+Inf"}`, "reset_backoff=+Inf"},
	} {
		text, err := json.Marshal(c.s)
		if err != nil || string(text) != c.json || c.s.String() != c.text {
			t.Errorf("%s, %v and %s\nwant %s and %s", text, err, c.s, c.json, c.text)
		}
	}
}

// When UnmarshalJSON is called directly, not by encoding/json, it may get
// truncated JSON.
func TestSettingsJSONTruncated(t *testing.T) {
	for _, text := range []string{"", "{", `{"fail_max"`, `{"fail_max":`, `{"fail_max":3`, `{"fail_max":3,`, `{3:4}`, `{"fail_max":"\ud8"}`} {
		s := Settings{FailMax: 9}
		if err := s.UnmarshalJSON([]byte(text)); !errors.Is(err, ErrSettings) || s.FailMax != 9 {
			t.Errorf("%q: %v, value %v", text, err, s)
		}
	}
}

func FuzzSettingsJSON(f *testing.F) {
	f.Add([]byte(`{"fail_max":3,"reset_timeout":"10s","ramp":"off"}`))
	f.Add([]byte(`{"failure_rate":0.07,"window":"1h2m3.5s","window_calls":0}`))
	f.Add([]byte(`{"window":"9223372036854775807ns","reset_backoff":1.7976931348623157e308}`))
	f.Add([]byte(`{"fail_max":3,"fail_max":4}`))
	f.Add([]byte(`{"` + "\xff" + `":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := Settings{FailMax: 4, Window: time.Minute}
		s := before
		if err := s.UnmarshalJSON(data); err != nil {
			if !errors.Is(err, ErrSettings) || s != before {
				t.Fatalf("%q: %v, and left %v", data, err, s)
			}
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("%v cannot be written: %v", s, err)
		}
		var back Settings
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Fatalf("%v was written as %s and read as %v, %v", s, text, back, err)
		}
		_ = s.Validate() // must not panic
		for _, f := range settingFields {
			if p, ok := f.of(&s).(*float64); ok && (math.IsNaN(*p) || math.IsInf(*p, 0)) {
				t.Fatalf("%q made %s %v", data, f.key, *p)
			}
		}
	})
}
