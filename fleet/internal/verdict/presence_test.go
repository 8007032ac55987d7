package verdict

import (
	"testing"
	"time"
)

// A process that starts again has one voice, not one for each start; two that share
// a name have two (F3).
func TestPresenceReplaced(t *testing.T) {
	now := time.Minute
	hear := func(s *Presence, boot, seq uint64, want bool) {
		t.Helper()
		if got := s.Hear(now, boot, seq); got != want {
			t.Errorf("report %d of %d: %v, want %v", seq, boot, got, want)
		}
	}
	old, again := &Presence{Name: "pod-1"}, &Presence{Name: "pod-1"}
	hear(old, 1, 1, true)
	if old.Moved {
		t.Error("a report that was there before counts as one that came")
	}
	hear(old, 1, 2, true)
	hear(old, 1, 2, false)
	hear(old, 1, 1, false)
	now += time.Second
	hear(again, 2, 1, true)
	if !old.Replaced(again) || again.Replaced(old) || old.Replaced(old) {
		t.Error("the first start still has a voice")
	}
	now += time.Second
	hear(old, 1, 3, true) // both run
	hear(again, 2, 2, true)
	if old.Replaced(again) || again.Replaced(old) {
		t.Error("of two that run one has no voice")
	}
	if !old.Moved || old.Silent(params(), now+4*time.Second) || !old.Silent(params(), now+5*time.Second) {
		t.Error("want it silent after five beats")
	}
	other := &Presence{Name: "pod-2", Since: now}
	if old.Replaced(other) {
		t.Error("replaced by one of another name")
	}
}
