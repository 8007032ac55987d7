package breaker_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// What a program sees of the defaults is what the docs promise.
func TestSettingsDefaults(t *testing.T) {
	full := breaker.Settings{
		FailMax: 5, SuccessesToForgive: -1, FailWithin: -1, FailFor: -1, ResetTimeout: time.Minute, SuccessThreshold: 1, Probes: 1, ProbeTimeout: time.Minute,
		Window: 10 * time.Second, WindowCalls: -1, MinCalls: 20, FailureRate: -1, Confidence: -1,
		SlowCall: -1, SlowRate: -1, BadRate: -1, ResetBackoff: 1, ResetMax: -1, ResetJitter: 0, Ramp: -1,
	}
	short, few, many, own := full, full, full, full
	short.ResetTimeout, short.ProbeTimeout = time.Second, 30*time.Second
	few.WindowCalls, few.MinCalls = 5, 5
	many.WindowCalls = 500
	own.MinCalls, own.ProbeTimeout = 3, time.Hour
	for _, c := range []struct{ given, want breaker.Settings }{
		{breaker.Settings{}, full},
		{full, full},
		{breaker.Settings{ResetTimeout: time.Second}, short},
		{breaker.Settings{WindowCalls: 5}, few},
		{breaker.Settings{WindowCalls: 500}, many},
		{breaker.Settings{MinCalls: 3, ProbeTimeout: time.Hour}, own},
	} {
		if got := breaker.New("x", c.given).Settings(); got != c.want {
			t.Errorf("%v makes %v\nwant %v", c.given, got, c.want)
		}
	}
}

// Each limit to the point: what is just within, and what is just beyond.
func TestSettingsLimits(t *testing.T) {
	up := func(x float64) float64 { return math.Nextafter(x, 9) }
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		s    breaker.Settings
		want string // "": valid
	}{
		{breaker.Settings{FailMax: 500_000}, ""},
		{breaker.Settings{FailMax: 500_001}, "FailMax is 500001, want at most 500,000"},
		{breaker.Settings{ResetTimeout: 1}, ""},
		{breaker.Settings{ResetTimeout: -1}, "ResetTimeout is -1ns, want more than 0"},
		{breaker.Settings{SuccessThreshold: -1}, "SuccessThreshold is -1, want 1 or more"},
		{breaker.Settings{Probes: -1}, "Probes is -1, want 1 or more"},
		{breaker.Settings{ProbeTimeout: -1}, "ProbeTimeout is -1ns, want more than 0: a probe without a lease could hold the breaker half-open forever"},
		{breaker.Settings{Window: 10 * time.Millisecond}, ""},
		{breaker.Settings{Window: 10*time.Millisecond - 1}, "Window is 9.999999ms, want 10ms or more"},
		{breaker.Settings{WindowCalls: 100_000}, ""},
		{breaker.Settings{WindowCalls: 100_001}, "WindowCalls is 100001, want at most 100,000"},
		{breaker.Settings{MinCalls: -1}, "MinCalls is -1, want 1 or more"},
		{breaker.Settings{MinCalls: 1_000_000}, ""}, // a window of time may hold as many
		{breaker.Settings{WindowCalls: 10, MinCalls: 10}, ""},
		{breaker.Settings{WindowCalls: 10, MinCalls: 11}, "MinCalls is 11, want at most WindowCalls (10): the window never holds more"},
		{breaker.Settings{FailureRate: 1}, ""},
		{breaker.Settings{FailureRate: up(1)}, "FailureRate is 1.0000000000000002, want a share in (0, 1]"},
		{breaker.Settings{FailureRate: nan}, "FailureRate is NaN, want a share in (0, 1]"},
		{breaker.Settings{FailureRate: 0.9, Confidence: 0.5}, ""},
		{breaker.Settings{FailureRate: 0.9, Confidence: 0.49}, "Confidence is 0.49, want a probability in [0.5, 1)"},
		{breaker.Settings{FailureRate: 0.9, Confidence: 1}, "Confidence is 1, want a probability in [0.5, 1)"},
		{breaker.Settings{FailureRate: 0.9, Confidence: nan}, "Confidence is NaN, want a probability in [0.5, 1)"},
		{breaker.Settings{Confidence: 0.9}, "Confidence is 0.9, want a FailureRate below 1 to go with it"},
		{breaker.Settings{FailureRate: 1, Confidence: 0.9}, "Confidence is 0.9, want a FailureRate below 1 to go with it"},
		{breaker.Settings{FailureRate: 0.25, Confidence: 0.75}, "Confidence is 0.75, want more than 0.75 with a FailureRate of 0.25: otherwise a single failure would open the breaker"},
		{breaker.Settings{FailureRate: 0.25, Confidence: up(0.75)}, ""},
		{breaker.Settings{FailureRate: 0.25, Confidence: -1}, ""},
		{breaker.Settings{SlowRate: 1, SlowCall: 1}, ""},
		{breaker.Settings{SlowRate: up(1), SlowCall: 1}, "SlowRate is 1.0000000000000002, want a share in (0, 1]"},
		{breaker.Settings{SlowRate: nan, SlowCall: 1}, "SlowRate is NaN, want a share in (0, 1]"},
		{breaker.Settings{SlowRate: 0.5}, "SlowRate is 0.5, want a SlowCall to go with it"},
		{breaker.Settings{SlowCall: 1}, ""},
		{breaker.Settings{ResetBackoff: 0.99}, "ResetBackoff is 0.99, want 1 or more"},
		{breaker.Settings{ResetBackoff: nan}, "ResetBackoff is NaN, want 1 or more"},
		{breaker.Settings{ResetBackoff: inf}, "ResetBackoff is +Inf, want 1 or more"},
		{breaker.Settings{ResetMax: time.Minute}, ""},
		{breaker.Settings{ResetMax: time.Minute - 1}, "ResetMax is 59.999999999s, want at least ResetTimeout (1m0s)"},
		{breaker.Settings{ResetJitter: 0.999}, ""},
		{breaker.Settings{ResetJitter: 1}, "ResetJitter is 1, want a share in [0, 1)"},
		{breaker.Settings{ResetJitter: -0.1}, "ResetJitter is -0.1, want a share in [0, 1)"},
		{breaker.Settings{ResetJitter: nan}, "ResetJitter is NaN, want a share in [0, 1)"},
	} {
		err := c.s.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.s, err)
		case c.want != "" && (err == nil || !errors.Is(err, breaker.ErrSettings) || err.Error() != "invalid settings: "+c.want):
			t.Errorf("%v: %v\nwant %s", c.s, err, c.want)
		}
	}
}
