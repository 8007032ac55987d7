package breaker

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// closeByProbe opens b and closes it by a probe, so that its ramp begins.
func closeByProbe(t *testing.T, b *Breaker) {
	t.Helper()
	b.Open(Order{For: time.Second})
	time.Sleep(time.Second)
	synctest.Wait()
	play(b, "s")
	is(t, b, Closed)
}

// The admitted share grows evenly: at each moment it is the share of the time
// that has passed, and the admitted calls are spread, not bunched.
func TestRampIsEven(t *testing.T) {
	for _, gap := range []time.Duration{7 * time.Millisecond, 37 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const over = 100 * time.Second
			b := New("x", Settings{FailMax: 1, Ramp: over})
			closeByProbe(t, b)
			began := time.Now()
			owed, admitted, rejectedInRow, longest := 0.0, 0, 0, 0
			for time.Since(began) < over {
				share := float64(time.Since(began)) / float64(over)
				owed += share
				if got := b.Status().Admitted; math.Abs(got-share) > 1e-9 {
					t.Fatalf("after %s Status says %v, want %v", time.Since(began), got, share)
				}
				err := b.Do(t.Context(), nop)
				var open *OpenError
				switch {
				case err == nil:
					admitted++
					rejectedInRow = 0
				case errors.As(err, &open) && open.State == Closed:
					rejectedInRow++
				default:
					t.Fatalf("rejected with %v", err)
				}
				if time.Since(began) > over/2 {
					longest = max(longest, rejectedInRow)
				}
				if math.Abs(owed-float64(admitted)) > 1.001 {
					t.Fatalf("after %s %d calls were admitted, %.1f were owed", time.Since(began), admitted, owed)
				}
				time.Sleep(gap)
			}
			if longest > 1 {
				t.Errorf("above a half, %d calls in a row were rejected", longest)
			}
			for range 1000 {
				if err := b.Do(t.Context(), nop); err != nil {
					t.Fatalf("after the ramp: %v", err)
				}
			}
			if got := b.Status().Admitted; got != 1 {
				t.Errorf("after the ramp Status says %v", got)
			}
			is(t, b, Closed)
		})
	}
}

// A trip during the ramp goes on with the backoff; one after it starts again.
func TestTripDuringRamp(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		after time.Duration // from closing
		want  time.Duration
	}{
		{"during", 50 * s, 20 * s},
		{"at its end", 100 * s, 10 * s},
		{"long after", time.Hour, 10 * s},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{FailMax: 1, ResetTimeout: 10 * s, ResetBackoff: 2, Ramp: 100 * s})
				play(b, "f") // attempt 1
				time.Sleep(10 * s)
				synctest.Wait()
				play(b, "s")
				is(t, b, Closed)
				time.Sleep(c.after)
				for b.State() == Closed { // some calls are rejected
					play(b, "f")
				}
				if got := b.Status().UntilHalfOpen; got != c.want {
					t.Errorf("open for %s, want %s", got, c.want)
				}
			})
		})
	}
}

// Without a ramp a close forgets the attempts at once.
func TestNoRampForgetsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: 10 * time.Second, ResetBackoff: 2})
		play(b, "f..........")
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
		play(b, "f")
		if got := b.Status().UntilHalfOpen; got != 10*time.Second {
			t.Errorf("open for %s, want 10s", got)
		}
	})
}

// The ramp is for a breaker that closes by itself: an order to close admits
// all, whatever state it finds.
func TestOrderedCloseHasNoRamp(t *testing.T) {
	for _, prepare := range []func(*Breaker){
		func(b *Breaker) { b.Open(Order{}) },
		func(b *Breaker) { b.HalfOpen(Order{}) },
		func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }, // in a ramp
	} {
		b := New("x", Settings{Ramp: time.Hour})
		prepare(b)
		b.Close(Order{Actor: "ana"})
		if got := b.Status().Admitted; got != 1 {
			t.Errorf("an ordered close admits %v", got)
		}
		if err := b.Do(t.Context(), nop); err != nil {
			t.Error(err)
		}
	}
}

// Calls keep the ramp's pace whatever becomes of them, and an update leaves a
// ramp under way alone.
func TestRampUnderUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, Ramp: 100 * time.Second})
		closeByProbe(t, b)
		time.Sleep(50 * time.Second)
		if err := b.Update(Settings{FailMax: 2}); err != nil {
			t.Fatal(err)
		}
		if got := b.Status().Admitted; got != 0.5 {
			t.Errorf("after the update %v are admitted, want a half", got)
		}
		time.Sleep(50 * time.Second)
		for range 10 {
			if err := b.Do(t.Context(), nop); err != nil {
				t.Fatal(err)
			}
		}
	})
}
