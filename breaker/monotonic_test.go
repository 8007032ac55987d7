package breaker

import (
	"errors"
	"strings"
	"testing"
	"time"
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
