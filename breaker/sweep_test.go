package breaker

import (
	"fmt"
	"testing"
	"testing/synctest"
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

// A key has been idle for Retention if it was last used before the newest
// sweep that is at least that old. Many sweeps close together do not make the
// list of sweeps long, nor that sweep much older.
func TestSweepsFindIdleKeys(t *testing.T) {
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

// However often a sweep is requested, there is only one. It replaces the next
// regular one, and comes after twenty times as long as the last one took, and
// at least a second; the first after a millisecond, so that the caller has
// released its breaker's lock.
func TestSweepsAreSpaced(t *testing.T) {
	for name, c := range map[string]struct {
		took time.Duration // the last sweep, which has just ended; 0: there was none
		soon bool
		want time.Duration // until the next
	}{
		"regular":            {0, false, time.Hour},
		"first":              {0, true, time.Millisecond},
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
		s.clock.Advance(c.want - 1)
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

// A key that was used after a sweep, although no key came since, has not been idle
// since that sweep.
func TestIdleSinceASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[string]("s", Settings{}, SetOptions{Retention: 16 * time.Hour}) // a sweep each hour
		play(set.Breaker("first"), "f")
		b := set.Breaker("b")
		wait(time.Hour)
		time.Sleep(time.Minute)
		play(b, "f")
		wait(16 * time.Hour) // after a sweep that came 16 hours after one that came before b was used
		if got := b.FailCount(); got != 1 {
			t.Errorf("%d failures 16h after the last, want 1", got)
		}
		wait(time.Hour)
		if got := b.FailCount(); got != 0 {
			t.Errorf("%d failures 17h after the last, want none", got)
		}
	})
}

// A sweep leaves what the limits have room for, to the last key.
func TestSweepKeepsToTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 3, MaxEvidence: 4})
		for k := range 7 {
			b := set.Breaker(k)
			if k < 4 {
				play(b, "f")
			}
		}
		set.sweep()
		if set.Len() != 7 || set.healthy() != 3 || set.Overflowed() != 0 {
			t.Errorf("%d keys, %d of them healthy, and %d overflows, want 7, 3 and none", set.Len(), set.healthy(), set.Overflowed())
		}
		if !set.sweeper.ended.Equal(time.Now()) {
			t.Errorf("the sweep ended at %s", set.sweeper.ended)
		}
	})
}

// A budget of histories that is just met is left alone. One that is exceeded is
// shortened by a tenth, the longest idle first.
func TestShortenHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[int]("s", Settings{}, SetOptions{MaxHistory: 20})
		add := func(k int) {
			_ = set.Breaker(k).Open(Order{})
			_ = set.Breaker(k).Close(Order{})
		}
		for k := range 20 {
			add(k)
		}
		set.sweep()
		if got := set.historyOnly.Load(); got != 20 {
			t.Errorf("%d histories, want 20", got)
		}
		for k := range 20 {
			set.tick.Add(1)
			set.Breaker(19 - k) // 19 has been idle longest now
		}
		add(20)
		wait(time.Minute)
		var left []int
		for k := range 21 {
			if b := set.kept(k); b != nil && b.hasHistory() {
				left = append(left, k)
			}
		}
		if len(left) != 18 || left[0] != 0 || left[16] != 16 || left[17] != 20 {
			t.Errorf("histories of %d are left, want 0 to 16, and 20", left)
		}
	})
}

// A set sweeps by the clock of its breakers.
func TestSweepByTheClockOfTheSet(t *testing.T) {
	clock := vtime.New(time.Now(), nil)
	set := NewSet[string]("s", Settings{}, SetOptions{Retention: time.Hour}, vtime.Option(clock).(Option))
	b := set.Breaker("b")
	play(b, "f")
	clock.Advance(3 * time.Hour)
	if got := b.FailCount(); got != 0 {
		t.Errorf("%d failures after three hours, want none", got)
	}
}

// MaxHistory bounds the keys that are kept only for their history, and the
// longest idle ones lose theirs first.
func TestHistoryOfHealthyKeysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keyed(SetOptions{MaxKeys: 5, MaxHistory: 20})
		for i := range 100 {
			b := s.Breaker(fmt.Sprint(i))
			play(b, "ff")
			_ = b.Close(Order{})
		}
		wait(time.Minute)
		if got := s.historyOnly.Load(); got > 20 || got < 15 {
			t.Errorf("%d keys are kept for their history, want 15 to 20", got)
		}
		// A key that is in use is skipped, which may be any of the last.
		for i := range 60 {
			if b := s.kept(fmt.Sprint(i)); b != nil && len(b.History()) > 0 {
				t.Errorf("key %d, which has been idle for long, has kept its history", i)
			}
		}
		if s.kept("0") != nil {
			t.Error("the key that has been idle longest is kept")
		}
	})
}

// Keys that have more than a history do not use up the budget of healthy keys.
func TestHistoryOfHealthyKeysIsTheirsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, give := range map[string]func(*Breaker){
			"open":       func(b *Breaker) { _ = b.Open(Order{}) },
			"overridden": func(b *Breaker) { _ = b.ForceOpen(Order{}) },
			"failed":     func(b *Breaker) { play(b, "ff"); _ = b.Close(Order{}); play(b, "f") },
		} {
			s := keyed(SetOptions{MaxKeys: 2, MaxHistory: 4})
			for i := range 3 {
				b := s.Breaker(fmt.Sprint(i))
				play(b, "ff")
				_ = b.Close(Order{})
			}
			for i := range 20 {
				give(s.Breaker(fmt.Sprint(name, i)))
			}
			wait(time.Hour)
			for i := range 3 {
				if b := s.kept(fmt.Sprint(i)); b == nil || len(b.History()) == 0 {
					t.Errorf("%s: the history of healthy key %d is lost", name, i)
				}
			}
		}
	})
}

// The keys of a set share the budget for records beyond the newest of each
// key, and get back what is forgotten.
func TestHistoryHasABudget(t *testing.T) {
	s := keyed(SetOptions{MaxHistory: 10})
	flap := func(key string, times int) *Breaker {
		b := s.Breaker(key)
		for range times {
			_ = b.Open(Order{})
			_ = b.Close(Order{})
		}
		return b
	}
	if got := len(flap("a", 4).History()); got != 8 {
		t.Errorf("the first key has %d records, want 8", got)
	}
	if got := len(flap("b", 4).History()); got != 4 { // 7 of a and 3 of b, and the newest
		t.Errorf("the second key has %d records, want 4", got)
	}
	if got := len(flap("c", 4).History()); got != 1 {
		t.Errorf("the third key has %d records, want 1", got)
	}
	s.Remove("a")
	if got := len(flap("d", 4).History()); got != 8 {
		t.Errorf("after the first key was removed, the fourth has %d records, want 8", got)
	}
	if got := s.records.Load(); got != 10 {
		t.Errorf("%d records are in use, want 10", got)
	}
}

// A set without evidence has no timer.
func TestSweeperRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keyed(SetOptions{Retention: 16 * time.Hour})
		set := func() bool { s.sweeper.mu.Lock(); defer s.sweeper.mu.Unlock(); return s.sweeper.timer != nil }
		fill(s, 10)
		if set() {
			t.Error("a timer is set for healthy keys")
		}
		play(s.Breaker("a"), "f")
		if !set() {
			t.Error("no timer is set for a key with evidence")
		}
		play(s.Breaker("a"), "s")
		wait(2 * time.Hour)
		if set() {
			t.Error("the timer is set though no key has evidence any more")
		}
	})
}

// The first key beyond MaxHistory asks for a sweep, although others have come
// before it, and the next regular one is hours away.
func TestSweepForHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[string]("s", Settings{}, SetOptions{MaxHistory: 1})
		for _, k := range []string{"a", "b"} {
			b := set.Breaker(k)
			_ = b.Open(Order{})
			wait(time.Minute) // for a sweep that opening asks for
			_ = b.Close(Order{})
			wait(time.Minute)
		}
		if n := set.historyOnly.Load(); n != 1 {
			t.Errorf("%d keys are kept for their history, want 1", n)
		}
	})
}
