package breaker

import "testing"

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
