package breaker

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/filled"
)

// What is written as JSON is read back unchanged, every field of it.
func TestJSONRoundTrip(t *testing.T) {
	for _, x := range []any{
		filled.New[Status](), filled.New[Transition](), filled.New[ErrorSample](), filled.New[Peers](), filled.New[Override](), filled.New[Receipt](),
		filled.New[ShadowStatus](),
	} {
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
		`"span":"4s"`:                     Transition{Peers: &Peers{Span: 4 * time.Second}},
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
