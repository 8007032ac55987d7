package breaker

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestStateNames(t *testing.T) {
	for s := range State(7) {
		want := [...]string{"closed", "open", "half-open", "forced-open", "forced-closed", "state(5)", "state(6)"}[s]
		if s.String() != want {
			t.Errorf("%d is called %s, want %s", s, s, want)
		}
		var back State
		if err := back.UnmarshalText([]byte(want)); s <= ForcedClosed && (err != nil || back != s) || s > ForcedClosed && err == nil {
			t.Errorf("%s is read as %s, %v", want, back, err)
		}
	}
}

func TestStateAsText(t *testing.T) {
	for s := Closed; s <= ForcedClosed; s++ {
		text, err := json.Marshal(s)
		var back State
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != s {
			t.Errorf("%s was written as %s and read as %s: %v", s, text, back, err)
		}
	}
	var s State
	if err := json.Unmarshal([]byte(`"ajar"`), &s); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("an unknown state: %v", err)
	}
}
