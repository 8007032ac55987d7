package breaker

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// Each instant that the engine compares with another carries a reading of the
// monotonic clock, by which package time compares such instants: a step of the
// wall clock can neither lengthen nor shorten anything (I9). Timers are
// monotonic by themselves.
func TestInstantsAreMonotonic(t *testing.T) {
	b := New("x", Settings{Ramp: time.Hour, SlowCall: time.Second})
	check := func(what string, at time.Time) {
		t.Helper()
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s has no monotonic reading: %s", what, at)
		}
	}
	b.Open(Order{For: time.Hour})
	c := b.cold.Load()
	check("the end of the open time", c.openUntil)
	rejected := func() *OpenError {
		var e *OpenError
		if _, err := b.Allow(); !errors.As(err, &e) {
			t.Fatalf("Allow() = %v, want an OpenError", err)
		}
		return e
	}
	check("a rejection's end", rejected().until)
	check("the beginning of a state", c.since)
	b.ForceOpen(Order{For: time.Hour})
	check("the end of an override", c.override.expires)
	check("a rejection's end under an override", rejected().until)
	b.HalfOpen(Order{})
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	check("the end of a lease", c.probes.out[0].ends)
	p.Done(nil)
	check("the beginning of a ramp", c.ramp.began)
	check("the base of a clock", b.settings().timer.base)
}

func TestClock(t *testing.T) {
	t.Run("ticks while it is read, stops when it is not, starts at the right step", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClock(nil, time.Second)
			for want := range uint64(20) {
				if got := c.step(); got != want {
					t.Fatalf("step %d, want %d", got, want)
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if c.word.Load()&clockRuns == 0 {
				t.Error("it does not run while it is read")
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if c.word.Load()&clockRuns != 0 {
				t.Error("it runs although nothing reads it")
			}
			time.Sleep(time.Hour)
			if got := c.step(); got != 3630 {
				t.Errorf("started at step %d, want 3630", got)
			}
		})
	})
	t.Run("a timer that died is noticed by the next failure", func(t *testing.T) {
		c := newClock(nil, time.Second)
		c.base = c.base.Add(-time.Hour)
		c.word.Store(5<<clockBits | clockRuns | clockUsed)
		if got := c.step(); got != 5 {
			t.Errorf("step is %d, want 5", got)
		}
		c.check()
		if got := c.step(); got < 3600 {
			t.Errorf("then step is %d, want 3600", got)
		}
	})
	t.Run("a timer that is late is left alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClock(nil, time.Millisecond)
			c.step()
			serial := c.serial
			c.base = c.base.Add(-time.Second) // as if the timer had not run for so long
			c.check()
			if c.serial != serial || c.step() != 0 {
				t.Errorf("it was started anew, at step %d", c.step())
			}
		})
	})
	t.Run("time before its base is step 0", func(t *testing.T) {
		c := newClock(nil, time.Second)
		c.base = c.base.Add(time.Hour)
		if c.step() != 0 {
			t.Errorf("step %d", c.step())
		}
		c.check()
	})
	t.Run("one timer, however many start it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClock(nil, time.Second)
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { c.step() })
			}
			wg.Wait()
			if c.serial != 1 {
				t.Errorf("started %d times", c.serial)
			}
		})
	})
}

// A clock that stops while it is being read must say so: a clock that claims
// to run has a timer, or it would stand still forever.
func TestClockStopsWhileItIsRead(t *testing.T) {
	const n = 10_000
	all := make([]*clock, n)
	for i := range all {
		all[i] = newClock(nil, time.Hour)
		all[i].step()
		all[i].advance(1) // the next step, not read yet
	}
	abreast(n, func(i int) { all[i].step() }, func(i int) { all[i].advance(1) })
	for i, c := range all {
		// If it was read in time, it was set for the step after that.
		// Otherwise it stopped, and a later reader started it again.
		w := c.word.Load()
		if w&clockRuns != 0 && w&clockUsed != 0 && c.serial == 1 {
			t.Fatalf("clock %d stopped, but its word is %b", i, w)
		}
	}
}

// Only a clock that is more than deadAfter late is corrected, to the step.
func TestClockIsDeadAfter(t *testing.T) {
	for late, want := range map[time.Duration]uint64{
		0: 5, deadAfter: 5, deadAfter + 20*time.Millisecond - 1: 5, deadAfter + 20*time.Millisecond: 5, deadAfter + 20*time.Millisecond + 1: 107,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClock(nil, 10*time.Millisecond)
			for range 5 {
				c.step()
				wait(10 * time.Millisecond)
			}
			c.base = c.base.Add(-late) // as if its timer had not fired since
			if c.check(); c.step() != want {
				t.Errorf("%s late: it is at step %d, want %d", late, c.step(), want)
			}
		})
	}
}

// A goroutine that comes second with starting a clock gets the step that the first
// one has set.
func TestClockIsStartedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(nil, time.Second)
		time.Sleep(5 * time.Second)
		if first, second := c.start(0), c.start(0); first != 5 || second != 5 || c.serial != 1 {
			t.Errorf("steps %d and %d after %d starts, want 5 and 5 after one", first, second, c.serial)
		}
	})
}

// Under a virtual clock the exact time is the virtual one.
func TestClockOfAVirtualSource(t *testing.T) {
	source := vtime.New(time.Unix(0, 0), nil)
	c := newClock(source, time.Second)
	source.Advance(1500 * time.Millisecond)
	if exact, coarse := c.now(true), c.now(false); exact != 1500*time.Millisecond || coarse != time.Second {
		t.Errorf("%s and %s, want 1.5s and 1s", exact, coarse)
	}
}
