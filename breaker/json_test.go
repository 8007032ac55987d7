package breaker

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// filled gives every field of a struct a different value other than zero.
func filled(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			filled(v.Index(i), n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			filled(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 1000)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8: // a State
		v.SetUint(uint64(1 + *n%4))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		panic("no value for a " + v.Kind().String())
	}
}

// What is written as JSON is read back unchanged, every field of it.
func TestJSONRoundTrip(t *testing.T) {
	for _, x := range []any{new(Status), new(Transition), new(ErrorSample), new(Override), new(Receipt)} {
		n := 0
		filled(reflect.ValueOf(x).Elem(), &n)
		text, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(x).Elem())
		if err := json.Unmarshal(text, back.Interface()); err != nil {
			t.Fatalf("%T: %v of %s", x, err, text)
		}
		if !reflect.DeepEqual(back.Interface(), x) {
			t.Errorf("%T is read back as\n%+v, and was\n%+v", x, back.Elem(), reflect.ValueOf(x).Elem())
		}
		// Fields that are not in the text stay as they are.
		if err := json.Unmarshal([]byte("{}"), back.Interface()); err != nil || !reflect.DeepEqual(back.Interface(), x) {
			t.Errorf("%T: an empty object makes it\n%+v, %v", x, back.Elem(), err)
		}
	}
}

// Durations are strings in JSON, and a record contains its summary.
func TestJSONText(t *testing.T) {
	for want, x := range map[string]any{
		`{"error":"down","count":1,"latency":"1.5s"}`: ErrorSample{Error: "down", Latency: 1500 * time.Millisecond, Count: 1},
		`{"error":"down","count":2}`:                  ErrorSample{Error: "down", Count: 2},
	} {
		if got, err := json.Marshal(x); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	for part, x := range map[string]any{
		`"summary":"5 failures in a row"`: Transition{Cause: CauseConsecutive, Fails: 5},
		`"hinted_for":"1m0s"`:             Transition{HintedFor: time.Minute},
		`"for":"1h0m0s"`:                  Transition{For: time.Hour},
		`"open_for":"30s"`:                Transition{OpenFor: 30 * time.Second},
		`"window":"10s"`:                  Transition{Window: 10 * time.Second},
		`"until_half_open":"18s"`:         Status{UntilHalfOpen: 18 * time.Second},
		`"probe_out_for":"8s"`:            Status{ProbeOutFor: 8 * time.Second},
		`"until_next_probe":"22s"`:        Status{UntilNextProbe: 22 * time.Second},
		`"after":"1m30s"`:                 Advice{After: 90 * time.Second},
	} {
		if got, err := json.Marshal(x); err != nil || !strings.Contains(string(got), part) {
			t.Errorf("got %s, %v, want %s in it", got, err, part)
		}
	}
}

// Input that cannot be read changes nothing.
func TestJSONRefused(t *testing.T) {
	sample, record, status := ErrorSample{Error: "was"}, Transition{Rule: "was"}, Status{ID: "was"}
	for text, into := range map[string]any{
		`{"error":"is","latency":"soon"}`:         &sample,
		`{"rule":"is","open_for":"soon"}`:         &record,
		`{"id":"is","until_half_open":"soon"}`:    &status,
		`{"id":"is","until_next_probe":"1 hour"}`: &status,
	} {
		if err := json.Unmarshal([]byte(text), into); err == nil || !strings.Contains(err.Error(), "want a value such as 30s or 1h30m") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if sample.Error != "was" || record.Rule != "was" || status.ID != "was" {
		t.Errorf("what was refused was kept in part: %+v, %+v, %+v", sample, record, status)
	}
}
