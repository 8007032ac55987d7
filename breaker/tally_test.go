package breaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTallyOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("a", Settings{FailMax: 1, ResetTimeout: time.Minute})
		fail := func() { _ = b.Do(context.Background(), func(context.Context) error { return errX }) }
		check := func(when string, trips uint64, day, flaps int, open time.Duration) {
			t.Helper()
			s := b.Status()
			if s.Trips != trips || s.TripsDay != day || s.Flaps != flaps || s.OpenFor != open {
				t.Errorf("%s: %d trips, %d today, %d flaps, open for %s; want %d, %d, %d, %s",
					when, s.Trips, s.TripsDay, s.Flaps, s.OpenFor, trips, day, flaps, open)
			}
		}
		check("new", 0, 0, 0, 0)
		fail()
		time.Sleep(30 * time.Second)
		check("open for 30 s", 1, 1, 1, 30*time.Second)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		fail() // half-open, and open again
		time.Sleep(time.Minute)
		synctest.Wait()
		_ = b.Do(context.Background(), nop)
		check("closed again", 2, 2, 5, 2*time.Minute)

		time.Sleep(time.Hour)
		b.ForceOpen(Order{})
		time.Sleep(time.Minute)
		b.Open(Order{}) // still rejecting: one period, and no trip
		time.Sleep(30 * time.Second)
		b.ForceClosed(Order{})
		check("ordered", 2, 2, 3, 3*time.Minute+30*time.Second)
		b.Close(Order{})
		b.ForceClosed(Order{})
		fail()
		check("behind an override", 3, 3, 5, 3*time.Minute+30*time.Second)

		time.Sleep(22*time.Hour + 57*time.Minute)
		check("when the first hour is a day ago", 3, 1, 0, 3*time.Minute+30*time.Second)
		time.Sleep(48 * time.Hour)
		check("days later", 3, 0, 0, 3*time.Minute+30*time.Second)
	})
}

// The time that a breaker was open is the sum of all open periods, the present one
// included.
func TestOpenForOfSeveralPeriods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		for range 2 {
			_ = b.Open(Order{})
			time.Sleep(10 * time.Second)
			_ = b.Close(Order{})
			time.Sleep(time.Second)
		}
		_ = b.Open(Order{})
		time.Sleep(5 * time.Second)
		if got := b.Status().OpenFor; got != 25*time.Second {
			t.Errorf("open for %s, want 25s", got)
		}
	})
}
