package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSetUpdateKeepsFailures(t *testing.T) {
	with, without := Settings{FailMax: 5, SuccessesToForgive: 2}, Settings{FailMax: 5}
	for _, tt := range []struct{ from, to Settings }{{with, without}, {without, with}} {
		s := NewSet[string]("set", tt.from, SetOptions{})
		b := s.Breaker("k")
		play(b, "ff")
		if err := s.Update(tt.to); err != nil {
			t.Fatal(err)
		}
		if got := b.FailCount(); got != 2 {
			t.Errorf("from %v to %v: %d failures, want 2", tt.from, tt.to, got)
		}
		if play(b, "ff"); b.State() != Closed {
			t.Errorf("from %v to %v: %v after 4 failures, want closed", tt.from, tt.to, b.State())
		}
		if play(b, "f"); b.State() != Open {
			t.Errorf("from %v to %v: %v after 5 failures, want open", tt.from, tt.to, b.State())
		}
	}
}

func TestSetUpdateUnderWay(t *testing.T) {
	with, without := Settings{FailMax: 5, SuccessesToForgive: 100}, Settings{FailMax: 5}
	for _, tt := range []struct{ from, to Settings }{{with, without}, {without, with}} {
		s := NewSet[string]("set", tt.from, SetOptions{})
		b := s.Breaker("k")
		play(b, "ff")
		s.cfg.settings.Store(s.cfg.compile(tt.to, 2)) // what Update does first
		if got, shown := b.FailCount(), b.Status(); got != 2 || shown.FailCount != 2 || shown.FailuresUntilOpen != 3 {
			t.Errorf("from %v to %v: %d failures, and Status shows %d, and %d until it opens; want 2, 2 and 3", tt.from, tt.to, got, shown.FailCount, shown.FailuresUntilOpen)
		}
		play(b, "f")
		s.refresh() // what it does then
		if got := b.FailCount(); got != 3 {
			t.Errorf("from %v to %v: %d failures, want 3", tt.from, tt.to, got)
		}
		if play(b, "f"); b.State() != Closed {
			t.Errorf("from %v to %v: %v after 4 failures, want closed", tt.from, tt.to, b.State())
		}
		if play(b, "f"); b.State() != Open {
			t.Errorf("from %v to %v: %v after 5 failures, want open", tt.from, tt.to, b.State())
		}
	}
}

// Update pins a key, also with the settings that it has already, and also if it has
// failed before.
func TestUpdateWithTheSameSettingsPins(t *testing.T) {
	for _, script := range []string{"", "f", "fffff"} {
		s := NewSet[string]("s", Settings{}, SetOptions{})
		b := s.Breaker("k")
		play(b, script)
		_ = b.Update(Settings{})
		_ = s.Update(Settings{FailMax: 9})
		if got := b.Settings().FailMax; got != 5 {
			t.Errorf("after %q: FailMax %d, want its own 5", script, got)
		}
	}
}

// A key that has only succeeded so far gets the window of its set's new settings.
func TestSetUpdateOfTheWindow(t *testing.T) {
	s := NewSet[string]("s", Settings{FailureRate: 0.5}, SetOptions{})
	b := s.Breaker("k")
	play(b, "s")
	_ = s.Update(Settings{FailureRate: 0.5, Window: time.Minute})
	if r := b.settings(); !b.spans(r) || b.win.Load().time.clock.width != 6*time.Second {
		t.Error("its window has another span")
	}
}

// A change of other settings leaves the time of a row as it is.
func TestUpdateKeepsTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3, FailFor: 10 * time.Second})
		play(b, "f")
		time.Sleep(9 * time.Second)
		_ = b.Update(Settings{FailMax: 2, FailFor: 10 * time.Second})
		time.Sleep(time.Second)
		play(b, "f")
		is(t, b, Open)
	})
}
