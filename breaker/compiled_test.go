package breaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// From 200 ms on the coarse clock is used.
func TestWhichClockTimesCalls(t *testing.T) {
	for slow, exact := range map[time.Duration]bool{
		0: false, time.Millisecond: true, 200*time.Millisecond - 1: true, 200 * time.Millisecond: false, time.Second: false,
	} {
		if got := New("x", Settings{SlowCall: slow}).settings().exact; got != exact {
			t.Errorf("SlowCall %s: the exact clock: %v, want %v", slow, got, exact)
		}
	}
}

// A short limit uses the exact clock even if the coarse one exists and is
// running, and a long limit uses the coarse clock, whatever else reads it.
func TestSlowCallsBesideOthers(t *testing.T) {
	for _, c := range []struct {
		name     string
		slowCall time.Duration
		begins   time.Duration // after the coarse clock's step
		takes    time.Duration
		slow     int
	}{
		{"quick, late in a step", 5 * time.Millisecond, 9 * time.Millisecond, 0, 0},
		{"slow within a step", 5 * time.Millisecond, time.Millisecond, 7 * time.Millisecond, 1},
		{"slow", time.Second, 0, 2 * time.Second, 1},
		{"quick", time.Second, 0, time.Second / 2, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := NewManager(Settings{SlowCall: time.Second})
			coarse := m.Breaker("coarse")
			b, err := m.Create("db", Settings{SlowCall: c.slowCall})
			if err != nil {
				t.Fatal(err)
			}
			play(coarse, "s") // reads the step
			time.Sleep(c.begins)
			_ = b.Do(t.Context(), func(context.Context) error {
				time.Sleep(c.takes)
				play(coarse, "s")
				return nil
			})
			if got := b.Status().Window; got != (Counts{1, 0, c.slow, c.slow}) {
				t.Errorf("%s: %+v, want 1 call and %d slow", c.name, got, c.slow)
			}
		})
	}
}

// Breakers that are created with the same settings share them, unless there is
// something in them that must not be shared. An update concerns one of them.
func TestEqualSettingsAreShared(t *testing.T) {
	for _, c := range []struct {
		name   string
		a, b   Settings
		opts   []Option
		shared bool
	}{
		{"the defaults", Settings{}, Settings{FailMax: 5}, nil, true},
		{"the same", Settings{FailMax: 7, Probes: 2}, Settings{FailMax: 7, Probes: 2}, nil, true},
		{"others", Settings{FailMax: 7}, Settings{FailMax: 8}, nil, false},
		{"a window of time", Settings{FailureRate: 0.5}, Settings{FailureRate: 0.5}, nil, false},
		{"a window of calls", Settings{FailureRate: 0.5, WindowCalls: 9}, Settings{FailureRate: 0.5, WindowCalls: 9}, nil, true},
		{"timed calls", Settings{SlowCall: 1}, Settings{SlowCall: 1}, nil, false},
		{"an option", Settings{FailMax: 1}, Settings{FailMax: 1}, []Option{WithBypassAllowed()}, false},
	} {
		x, y, z := New("x", c.a), New("y", c.b, c.opts...), New("z", c.a, c.opts...)
		if got := x.settings() == y.settings(); got != c.shared {
			t.Errorf("%s: shared: %v, want %v", c.name, got, c.shared)
		}
		if err := x.Update(Settings{FailMax: 9}); err != nil {
			t.Fatal(err)
		}
		if y.Settings() != c.b.WithDefaults() || z.Settings() != c.a.WithDefaults() || z.settings().version != 1 {
			t.Errorf("%s: an update of one breaker changed others: %+v, %+v", c.name, y.Settings(), z.Settings())
		}
	}
}
