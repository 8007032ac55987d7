package wallclock

import (
	"testing"
	"time"
)

func TestStep(t *testing.T) {
	before := time.Now()
	for _, d := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour} {
		from := time.Now()
		if err := Step(d); err != nil {
			t.Fatal(err)
		}
		to := time.Now()
		if wall := to.Round(0).Sub(from.Round(0)); wall < d || wall > d+time.Second {
			t.Errorf("a step of %s moved the wall clock by %s", d, wall)
		}
		if mono := to.Sub(from); mono < 0 || mono > time.Second {
			t.Errorf("a step of %s moved the monotonic clock by %s", d, mono)
		}
	}
	if wall := time.Now().Round(0).Sub(before.Round(0)); wall < 0 || wall > time.Second {
		t.Errorf("there and back left the clock %s ahead", wall)
	}
}
