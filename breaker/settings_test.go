package breaker

import (
	"errors"
	"math"
	"testing"
	"time"
)

// The defaults that a program sees are those in the documentation.
func TestSettingsDefaults(t *testing.T) {
	full := Settings{
		FailMax: 5, SuccessesToForgive: -1, FailWithin: -1, FailFor: -1, ResetTimeout: time.Minute, SuccessThreshold: 1, Probes: 1, ProbeTimeout: time.Minute,
		Window: 10 * time.Second, WindowCalls: -1, MinCalls: 20, FailureRate: -1, Confidence: -1,
		SlowCall: -1, SlowRate: -1, BadRate: -1, ResetBackoff: 1, ResetMax: -1, ResetJitter: 0, Ramp: -1,
	}
	short, few, many, own := full, full, full, full
	short.ResetTimeout, short.ProbeTimeout = time.Second, 30*time.Second
	few.WindowCalls, few.MinCalls = 5, 5
	many.WindowCalls = 500
	own.MinCalls, own.ProbeTimeout = 3, time.Hour
	for _, c := range []struct{ given, want Settings }{
		{Settings{}, full},
		{full, full},
		{Settings{ResetTimeout: time.Second}, short},
		{Settings{WindowCalls: 5}, few},
		{Settings{WindowCalls: 500}, many},
		{Settings{MinCalls: 3, ProbeTimeout: time.Hour}, own},
	} {
		if got := New("x", c.given).Settings(); got != c.want {
			t.Errorf("%v makes %v\nwant %v", c.given, got, c.want)
		}
	}
}

// Each limit exactly: the last valid value, and the first invalid one.
func TestSettingsLimits(t *testing.T) {
	up := func(x float64) float64 { return math.Nextafter(x, 9) }
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		s    Settings
		want string // "": valid
	}{
		{Settings{FailMax: 500_000}, ""},
		{Settings{FailMax: 500_001}, "FailMax is 500001, want at most 500,000"},
		{Settings{ResetTimeout: 1}, ""},
		{Settings{ResetTimeout: -1}, "ResetTimeout is -1ns, want more than 0"},
		{Settings{SuccessThreshold: -1}, "SuccessThreshold is -1, want 1 or more"},
		{Settings{Probes: -1}, "Probes is -1, want 1 or more"},
		{Settings{ProbeTimeout: -1}, "ProbeTimeout is -1ns, want more than 0: a probe without a lease could hold the breaker half-open forever"},
		{Settings{Window: 10 * time.Millisecond}, ""},
		{Settings{Window: 10*time.Millisecond - 1}, "Window is 9.999999ms, want 10ms or more"},
		{Settings{WindowCalls: 100_000}, ""},
		{Settings{WindowCalls: 100_001}, "WindowCalls is 100001, want at most 100,000"},
		{Settings{MinCalls: -1}, "MinCalls is -1, want 1 or more"},
		{Settings{MinCalls: 1_000_000}, ""}, // a window of time may hold as many
		{Settings{WindowCalls: 10, MinCalls: 10}, ""},
		{Settings{WindowCalls: 10, MinCalls: 11}, "MinCalls is 11, want at most WindowCalls (10): the window never holds more"},
		{Settings{FailureRate: 1}, ""},
		{Settings{FailureRate: up(1)}, "FailureRate is 1.0000000000000002, want a share in (0, 1]"},
		{Settings{FailureRate: nan}, "FailureRate is NaN, want a share in (0, 1]"},
		{Settings{FailureRate: 0.9, Confidence: 0.5}, ""},
		{Settings{FailureRate: 0.9, Confidence: 0.49}, "Confidence is 0.49, want a probability in [0.5, 1)"},
		{Settings{FailureRate: 0.9, Confidence: 1}, "Confidence is 1, want a probability in [0.5, 1)"},
		{Settings{FailureRate: 0.9, Confidence: nan}, "Confidence is NaN, want a probability in [0.5, 1)"},
		{Settings{Confidence: 0.9}, "Confidence is 0.9, want a FailureRate below 1 to go with it"},
		{Settings{FailureRate: 1, Confidence: 0.9}, "Confidence is 0.9, want a FailureRate below 1 to go with it"},
		{Settings{FailureRate: 0.25, Confidence: 0.75}, "Confidence is 0.75, want more than 0.75 with a FailureRate of 0.25: otherwise a single failure would open the breaker"},
		{Settings{FailureRate: 0.25, Confidence: up(0.75)}, ""},
		{Settings{FailureRate: 0.25, Confidence: -1}, ""},
		{Settings{SlowRate: 1, SlowCall: 1}, ""},
		{Settings{SlowRate: up(1), SlowCall: 1}, "SlowRate is 1.0000000000000002, want a share in (0, 1]"},
		{Settings{SlowRate: nan, SlowCall: 1}, "SlowRate is NaN, want a share in (0, 1]"},
		{Settings{SlowRate: 0.5}, "SlowRate is 0.5, want a SlowCall to go with it"},
		{Settings{SlowCall: 1}, ""},
		{Settings{ResetBackoff: 0.99}, "ResetBackoff is 0.99, want 1 or more"},
		{Settings{ResetBackoff: nan}, "ResetBackoff is NaN, want 1 or more"},
		{Settings{ResetBackoff: inf}, "ResetBackoff is +Inf, want 1 or more"},
		{Settings{ResetMax: time.Minute}, ""},
		{Settings{ResetMax: time.Minute - 1}, "ResetMax is 59.999999999s, want at least ResetTimeout (1m0s)"},
		{Settings{ResetJitter: 0.999}, ""},
		{Settings{ResetJitter: 1}, "ResetJitter is 1, want a share in [0, 1)"},
		{Settings{ResetJitter: -0.1}, "ResetJitter is -0.1, want a share in [0, 1)"},
		{Settings{ResetJitter: nan}, "ResetJitter is NaN, want a share in [0, 1)"},
	} {
		err := c.s.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.s, err)
		case c.want != "" && (err == nil || !errors.Is(err, ErrSettings) || err.Error() != "invalid settings: "+c.want):
			t.Errorf("%v: %v\nwant %s", c.s, err, c.want)
		}
	}
}
