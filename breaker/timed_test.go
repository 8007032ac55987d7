package breaker

import (
	"testing"
	"time"
)

// From 200 ms on the coarse clock serves.
func TestWhichClockTimesCalls(t *testing.T) {
	for slow, exact := range map[time.Duration]bool{
		0: false, time.Millisecond: true, 200*time.Millisecond - 1: true, 200 * time.Millisecond: false, time.Second: false,
	} {
		if got := New("x", Settings{SlowCall: slow}).rules().exact; got != exact {
			t.Errorf("SlowCall %s: the exact clock: %v, want %v", slow, got, exact)
		}
	}
}
