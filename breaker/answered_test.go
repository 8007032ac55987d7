package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// A call is as slow as its answer was in coming, by the first word of it,
// however long the rest takes and however it ends.
func TestAnsweredTellsHowSlow(t *testing.T) {
	for _, slowCall := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond} { // by either clock
		for _, c := range []struct {
			name             string
			answers, streams time.Duration
			err              error
			slow             int
		}{
			{"quick", slowCall / 2, time.Minute, nil, 0},
			{"quick, fails in the end", slowCall / 2, time.Minute, errX, 0},
			{"slow", 2 * slowCall, 0, nil, 1},
			{"slow, fails in the end", 2 * slowCall, time.Minute, errX, 1},
		} {
			synctest.Test(t, func(t *testing.T) {
				b := New("db", Settings{FailMax: 1, SlowCall: slowCall, Window: time.Hour})
				p, err := b.Allow()
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.answers)
				p.Answered()
				time.Sleep(c.streams)
				p.Answered() // the first one counts
				if c.err == nil {
					p.Done(nil)
					if got := b.Status().Window.Slow; got != c.slow {
						t.Errorf("%s, SlowCall %s: %d slow calls, want %d", c.name, slowCall, got, c.slow)
					}
					return
				}
				p.Done(c.err)
				why := b.Status().Transition
				if off := (why.Errors[0].Latency - c.answers).Abs(); why.Counts.Slow != c.slow || off > fineStep {
					t.Errorf("%s, SlowCall %s: %d slow calls and a latency of %s, want %d and %s", c.name, slowCall, why.Counts.Slow, why.Errors[0].Latency, c.slow, c.answers)
				}
			})
		}
	}
}
