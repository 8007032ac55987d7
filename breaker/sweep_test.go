package breaker

import (
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// swept is a set that only counts how often it is swept.
type swept struct {
	clock *vtime.Source
	times int
}

func (s *swept) sweep()                    { s.times++ }
func (s *swept) sweepEvery() time.Duration { return time.Hour }
func (s *swept) source() *vtime.Source     { return s.clock }

// A key has been idle for Retention if it was last used before the newest sweep
// that is at least that old. Many sweeps close together do not make the list of
// them long, nor that sweep much older.
func TestSweepsTellWhatIsIdle(t *testing.T) {
	const retention = 16 * time.Hour
	var w sweeper
	now := time.Now()
	tick := uint32(0)
	at := map[uint32]time.Time{}
	sweep := func() (time.Duration, bool) {
		tick++
		at[tick] = now
		idle, ok := w.begin(now, tick, retention)
		return now.Sub(at[idle]), ok
	}
	for hour := range 40 {
		age, ok := sweep()
		if ok != (hour >= 16) || ok && age != retention {
			t.Errorf("after %d hours: a sweep %s ago, %v, want one 16h ago", hour, age, ok)
		}
		now = now.Add(time.Hour)
	}
	for range 1000 {
		if age, ok := sweep(); !ok || age < retention || age > retention+time.Hour {
			t.Fatalf("among many sweeps: one %s ago, %v", age, ok)
		}
		now = now.Add(time.Second)
	}
	if n := len(w.stamps); n > 4*sweepsPerRetention {
		t.Errorf("%d sweeps are noted, want %d at most", n, 4*sweepsPerRetention)
	}
	for hour := range 40 {
		age, ok := sweep()
		if !ok || age < retention || age > retention+time.Hour {
			t.Errorf("%d hours after many sweeps: one %s ago, %v", hour, age, ok)
		}
		now = now.Add(time.Hour)
	}
}

// However often a sweep is asked for, there is one; it takes the place of the
// next regular one, and comes after twenty times as long as the last one took,
// and a second at least.
func TestSweepsAreSpaced(t *testing.T) {
	for name, c := range map[string]struct {
		took time.Duration // the last sweep, which has just ended; 0: there was none
		soon bool
		want time.Duration // until the next
	}{
		"regular":            {0, false, time.Hour},
		"first":              {0, true, 0},
		"after a quick one":  {time.Millisecond, true, time.Second},
		"after a long one":   {time.Minute, true, 20 * time.Minute},
		"regular after that": {time.Minute, false, time.Hour},
	} {
		s := &swept{clock: vtime.New(time.Now(), nil)}
		var w sweeper
		if c.took > 0 {
			w.end(s.clock.Now().Add(-c.took), s.clock.Now())
		}
		w.schedule(s)
		if c.soon {
			w.runSoon(s)
			w.runSoon(s)
		}
		w.schedule(s)
		if c.want > 0 {
			s.clock.Advance(c.want - 1)
		}
		early := s.times
		s.clock.Advance(c.want)
		if early != 0 || s.times != 1 {
			t.Errorf("%s: %d sweeps before %s and %d at it, want one", name, early, c.want, s.times)
		}
		if s.clock.Advance(10 * time.Hour); s.times != 1 {
			t.Errorf("%s: %d sweeps in the end, want one", name, s.times)
		}
	}
}
