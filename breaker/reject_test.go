package breaker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Each stretch has a rejection of its own: what a caller is told is of now,
// whatever earlier callers were told.
func TestEachStretchHasItsRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 1, ResetTimeout: time.Minute, Ramp: time.Hour})
		why := Order{For: 10 * time.Minute}
		for _, c := range []struct {
			name  string
			do    func()
			state State
			cause Cause
			order Verb
			after time.Duration
		}{
			{"tripped", func() { play(b, "f") }, Open, CauseConsecutive, "", time.Minute},
			{"forced open", func() { b.ForceOpen(why) }, ForcedOpen, CauseOrder, VerbForceOpen, 10 * time.Minute},
			{"released, the probe is out", func() { b.Release(Order{}); _, _ = b.Allow() }, HalfOpen, CauseOrder, VerbRelease, time.Minute},
			{"opened by order", func() { b.Open(why) }, Open, CauseOrder, VerbOpen, 10 * time.Minute},
			{"opened again", func() { b.Open(Order{}) }, Open, CauseOrder, VerbOpen, time.Minute},
			{"half-open, the probe is out", func() { b.HalfOpen(Order{}); _, _ = b.Allow() }, HalfOpen, CauseOrder, VerbHalfOpen, time.Minute},
			{"ramping", func() { b.HalfOpen(Order{}); play(b, "s") }, Closed, CauseProbesPassed, "", 0},
			{"forced open again", func() { b.ForceOpen(Order{}) }, ForcedOpen, CauseOrder, VerbForceOpen, 0},
		} {
			c.do()
			for range 2 {
				_, err := b.Allow()
				var e *OpenError
				if !errors.As(err, &e) {
					t.Fatalf("%s: rejected with %v", c.name, err)
				}
				if e.State != c.state || e.Transition == nil || e.Transition.Cause != c.cause || e.Transition.Order != c.order || e.RetryAfter() != c.after {
					t.Errorf("%s: %+v after %s, want %s, %s %s, %s", c.name, e, e.RetryAfter(), c.state, c.cause, c.order, c.after)
				}
			}
		}
	})
}

// A caller who was turned away before anybody could know is told nothing of
// it; the next one is.
func TestRejectionOfASuspect(t *testing.T) {
	_, bs := crew(t, 3)
	suspect := func() bool {
		_, err := bs[0].Allow()
		var e *OpenError
		return errors.As(err, &e) && e.Transition.SuspectLocal
	}
	play(bs[0], "f")
	if suspect() {
		t.Error("one of three is suspect")
	}
	play(bs[1], "f")
	play(bs[2], "f")
	if !suspect() {
		t.Error("all of three have opened, and the rejection does not tell")
	}
}

// From the second rejection on nobody asks for the lock or the time.
func TestRejectionIsPrepared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{})
		b.Open(Order{})
		if b.fastRejection(b.load()) != nil {
			t.Error("an error is there before a call was turned away")
		}
		_, err := b.Allow()
		e := b.fastRejection(b.load())
		if e == nil || err != error(e) {
			t.Errorf("%p is prepared after %p", e, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.fastRejection(b.load()) != nil {
			t.Error("the open time is over, and the next call is still rejected")
		}
	})
}

// A call that was about to be turned away when the breaker closed is told so,
// and not of a ramp that there is not.
func TestRejectionInTheMomentOfAClose(t *testing.T) {
	b := New("db", Settings{})
	b.Open(Order{})
	b.Close(Order{Actor: "ana"})
	want := "db: circuit breaker is open (closed again just now): closed by ana"
	if err := b.rejection(); !errors.Is(err, ErrOpen) || err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}
