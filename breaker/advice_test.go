package breaker

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// measured is what really happens in the situation that Advice predicts.
type measured struct {
	opens      bool
	cause      Cause
	calls      int
	after      time.Duration
	hanging    int
	probeShare float64
}

// measure sends evenly spaced calls to a dependency that is healthy for a
// while and then dead, until the breaker has opened or dead has passed, and
// then for eight more open periods.
func measure(t *testing.T, s Settings, callsPerSecond float64, takes, dead time.Duration) (m measured) {
	synctest.Test(t, func(t *testing.T) {
		var died, opened, halfOpen time.Time
		var probing, cycles time.Duration
		var failed, out atomic.Int64
		periods := 0
		var mu sync.Mutex // guards m and what the listener shares with this goroutine
		b := New("x", s, WithListener(Listener{StateChange: func(_ *Breaker, c Transition) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case c.From == Closed:
				m.opens, m.cause = true, c.Cause
				m.after, m.calls, m.hanging = c.At.Sub(died), int(failed.Load()), int(out.Load())
				opened = c.At
			case c.To == HalfOpen:
				halfOpen = c.At
			case c.From == HalfOpen:
				probing += c.At.Sub(halfOpen)
				cycles = c.At.Sub(opened)
				periods++
			}
		}}))
		down := false
		call := func(context.Context) error {
			if !down {
				return nil
			}
			out.Add(1)
			time.Sleep(takes)
			out.Add(-1)
			failed.Add(1)
			return errX
		}
		gap := time.Duration(float64(time.Second) / callsPerSecond)
		e := b.Settings()
		for start := time.Now(); time.Since(start) < 2*e.Window || b.Status().Window.Calls < e.WindowCalls; {
			_ = b.Do(t.Context(), call)
			time.Sleep(gap)
		}
		down, died = true, time.Now()
		enough := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return m.opens && periods >= 8
		}
		for time.Since(died) < dead && !enough() {
			go func() { _ = b.Do(t.Context(), call) }()
			time.Sleep(gap)
		}
		time.Sleep(takes + time.Second) // all goroutines of the bubble end
		synctest.Wait()
		if cycles > 0 {
			m.probeShare = float64(probing) / float64(cycles)
		}
	})
	return m
}

// The predictions come true in the real engine.
func TestAdvicePredicts(t *testing.T) {
	const long = 20 * time.Minute
	for name, c := range map[string]struct {
		s     Settings
		rate  float64
		takes time.Duration
	}{
		"consecutive":             {Settings{}, 10, 2 * time.Second},
		"consecutive at once":     {Settings{FailMax: 3, ResetTimeout: 5 * time.Second}, 100, 0},
		"consecutive, slow calls": {Settings{FailMax: 2, ResetTimeout: 10 * time.Second}, 4, 9 * time.Second},
		"rate":                    {Settings{FailMax: -1, FailureRate: 0.5}, 20, time.Second},
		"rate, other window":      {Settings{FailMax: -1, FailureRate: 0.2, Window: time.Minute}, 5, 3 * time.Second},
		"rate, first MinCalls":    {Settings{FailMax: -1, FailureRate: 0.1}, 2.5, 6 * time.Second},
		"rate, hangs a window":    {Settings{FailMax: -1, FailureRate: 0.5, Window: 5 * time.Second}, 10, 8 * time.Second},
		"rate and consecutive":    {Settings{FailMax: 50, FailureRate: 0.5}, 20, 100 * time.Millisecond},
		"consecutive and rate":    {Settings{FailMax: 500, FailureRate: 0.5}, 20, 100 * time.Millisecond},
		"last calls":              {Settings{FailMax: -1, FailureRate: 0.3, WindowCalls: 50}, 5, time.Second},
		"confidence":              {Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95}, 1, 12 * time.Second},
		"confidence, mixed":       {Settings{FailMax: -1, FailureRate: 0.3, Confidence: 0.95}, 10, time.Second},
		"confidence, last calls":  {Settings{FailMax: -1, FailureRate: 0.3, Confidence: 0.95, WindowCalls: 40}, 10, time.Second},
		"bad":                     {Settings{FailMax: -1, SlowCall: time.Hour, BadRate: 0.25}, 20, 2 * time.Second},
		"least time":              {Settings{FailFor: 3 * time.Second}, 10, 100 * time.Millisecond},
		"least time, a minute":    {Settings{FailFor: time.Minute}, 10, 100 * time.Millisecond},
		"rate of all":             {Settings{FailMax: -1, FailureRate: 1}, 20, 100 * time.Millisecond},
		"forgiving":               {Recommended(), 10, 100 * time.Millisecond},
		"slow":                    {Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.25}, 20, 2 * time.Second},
		"never: low rate":         {Settings{FailMax: -1, FailureRate: 0.5}, 1, time.Second},
		"never: confidence":       {Settings{FailMax: -1, FailureRate: 0.9, Confidence: 0.99}, 1, 0},
		"never: not slow":         {Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.25}, 20, time.Second / 2},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.s.Advice(c.rate, c.takes)
			got := measure(t, c.s, c.rate, c.takes, long)
			if a.Opens != got.opens || a.Cause != got.cause {
				t.Fatalf("opens %v by %q, predicted %v by %q", got.opens, got.cause, a.Opens, a.Cause)
			}
			if !a.Opens {
				if len(a.Warnings) == 0 || !strings.Contains(strings.Join(a.Warnings, "\n"), "never") {
					t.Errorf("it never opens, and the warnings are %q", a.Warnings)
				}
				return
			}
			step := c.s.WithDefaults().Window / windowSteps
			if a.Cause == CauseConsecutive || c.s.WindowCalls > 0 {
				step = 0 // no window of time: exact
			}
			slack := int(math.Ceil(step.Seconds() * c.rate))
			if got.calls < a.Calls-slack || got.calls > a.Calls+slack {
				t.Errorf("opened after %d calls, predicted %d (+-%d)", got.calls, a.Calls, slack)
			}
			gap := time.Duration(float64(time.Second)/c.rate) + time.Millisecond
			if off := (got.after - a.After).Abs(); off > step+gap {
				t.Errorf("opened after %s, predicted %s", got.after, a.After)
			}
			if off := got.hanging - a.Hanging; off < -1 || off > 1 {
				t.Errorf("%d calls hanging, predicted %d", got.hanging, a.Hanging)
			}
			if math.Abs(got.probeShare-a.ProbeShare) > 0.02 {
				t.Errorf("share of time on probes %.3f, predicted %.3f", got.probeShare, a.ProbeShare)
			}
		})
	}
}

// If a lease ends before the call does, several probes wait for a dead
// dependency at the same time: the warning says so, and the engine behaves so,
// but the first result opens the breaker again.
func TestAdviceOnShortLease(t *testing.T) {
	s := Settings{ResetTimeout: 5 * time.Second, ProbeTimeout: time.Second}
	a := s.Advice(10, 3*time.Second)
	if !strings.Contains(a.String(), "more than one probe at a time waits for a dead dependency") {
		t.Errorf("advice: %+v", a)
	}
	got := measure(t, s, 10, 3*time.Second, time.Hour)
	if math.Abs(got.probeShare-a.ProbeShare) > 0.02 {
		t.Errorf("share of time on probes %.3f, predicted %.3f", got.probeShare, a.ProbeShare)
	}
}

// Each warning appears where it belongs, and nowhere else.
func TestAdviceWarnings(t *testing.T) {
	rated := Settings{FailMax: -1, FailureRate: 0.5}
	slow := Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.5}
	for _, c := range []struct {
		s     Settings
		rate  float64
		takes time.Duration
		want  string // "": no warning
	}{
		{Settings{}, 10, time.Second, ""},
		{Settings{FailMax: -1, FailureRate: 0.5, SlowCall: time.Second, SlowRate: 0.5}, 100, 2 * time.Second, ""},
		{rated, 100, 0, ""},
		{slow, 100, 2 * time.Second, ""},
		{slow, 100, time.Second, ""},
		{slow, 100, 0, ""}, // settings without a time say nothing about slow calls
		{Settings{FailMax: -1}, 10, 0, "no rule is on in these settings: the breaker can never open automatically"},
		{Settings{FailMax: -1, FailureRate: 0.5}, 0.2, 0, "failure_rate can never open the breaker at this rate: a window of 10s holds 2 calls and min_calls is 20"},
		{Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95}, 0.2, 0, "failure_rate can never open the breaker at this rate: a window of 10s holds 2 calls, too few for a confidence of 95%"},
		{Settings{SlowRate: 0.5, SlowCall: time.Second}, 0.2, 2 * time.Second, "slow_rate can never open the breaker at this rate: a window of 10s holds 2 calls and min_calls is 20"},
		{Settings{SlowRate: 0.5, SlowCall: time.Second}, 0.2, time.Second, "slow_rate can never open the breaker at this rate: a window of 10s holds 2 calls and min_calls is 20"},
		{
			Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95, SlowRate: 0.5, SlowCall: time.Second},
			1, 2 * time.Second,
			"slow_rate can never open the breaker at this rate: a window of 10s holds 10 calls and min_calls is 20",
		},
		{
			Settings{FailMax: -1, FailureRate: 0.9, Confidence: 0.95, SlowRate: 0.5, SlowCall: time.Second},
			2.5, 2 * time.Second,
			"failure_rate can never open the breaker at this rate: a window of 10s holds 25 calls, too few for a confidence of 95%",
		},
		{Settings{SlowRate: 0.5, SlowCall: 2 * time.Second}, 100, time.Second, "slow_rate can never open the breaker: calls end after 1s and are slow only from 2s on"},
		{Settings{SlowCall: 2 * time.Second}, 100, time.Second, ""},
		{Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 1}, 10, 0, "min_calls is 1: after a quiet time a single bad call opens the breaker"},
		{Settings{MinCalls: 1}, 10, 0, ""},
		{Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95, MinCalls: 1}, 10, 0, ""},
		{
			Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95, MinCalls: 1, SlowRate: 0.5, SlowCall: time.Second},
			10, 2 * time.Second,
			"min_calls is 1: after a quiet time a single bad call opens the breaker",
		},
		{Settings{ProbeTimeout: time.Second}, 10, time.Second, "a probe's lease (probe_timeout, 1s) runs out before it fails (1s): more than one probe at a time waits for a dead dependency"},
		{Settings{FailMax: 100, ResetTimeout: 5 * time.Second}, 10, 0, "it takes longer to open (9.9s) than it then stays open (5s)"},
		{Settings{FailMax: 6, ResetTimeout: 5 * time.Second}, 1, 0, ""}, // as long
		{
			Settings{ResetTimeout: 10 * time.Second, ProbeTimeout: 60 * time.Second},
			10, 30 * time.Second,
			"it takes longer to open (30s) than it then stays open (10s)\n" +
				"while the dependency is dead, it spends 75% of the time on probes: use a longer reset_timeout or a shorter timeout for calls",
		},
		{
			Settings{FailMax: 1, ResetTimeout: 10 * time.Second, ProbeTimeout: 60 * time.Second},
			10, 10 * time.Second,
			"", // half of the time
		},
		{Settings{FailureRate: 0.5}, 100, 0, "fail_max is 5 by default, in addition to failure_rate: at the failure rate of 50% that is allowed, it opens by chance once in 62 calls; turn it off or raise it"},
		{Settings{FailMax: 20, FailureRate: 0.5}, 100, 0, ""},
		{Settings{FailureRate: 1}, 100, 0, ""},
		{Settings{BadRate: 0.5, SlowCall: time.Second}, 100, 0, "fail_max is 5 by default, in addition to bad_rate: at the failure rate of 50% that is allowed, it opens by chance once in 62 calls; turn it off or raise it"},
		{Settings{FailureRate: 0.2, BadRate: 0.5, SlowCall: time.Second}, 100, 0, "fail_max is 5 by default, in addition to failure_rate: at the failure rate of 20% that is allowed, it opens by chance once in 3.9e+03 calls; turn it off or raise it"},
		{Settings{FailureRate: 0.5, SuccessesToForgive: 2}, 100, 0, "fail_max is 5 by default, in addition to failure_rate: with successes_to_forgive 2 it opens sooner or later if more than 33.33% of the calls fail, and 50% are allowed; turn it off or raise it"},
		{Settings{FailureRate: 0.3, SuccessesToForgive: 2}, 100, 0, ""},
		{Settings{FailMax: 8, FailureRate: 0.5, SuccessesToForgive: 2}, 100, 0, ""},
		{Settings{FailWithin: time.Second}, 0.5, 0, "fail_max can never be reached at this rate: failures 2s apart lapse after 1s (fail_within)"},
		{Settings{FailMax: -1, BadRate: 0.5, SlowCall: time.Second}, 0.2, 0, "bad_rate can never open the breaker at this rate: a window of 10s holds 2 calls and min_calls is 20"},
		{Settings{FailMax: -1, BadRate: 0.5, SlowCall: time.Second}, 100, 0, ""},
		{Settings{ResetBackoff: 2}, 10, 0, "reset_backoff is 2 without reset_max: the open time grows without limit"},
		{Settings{ResetBackoff: 2, ResetMax: time.Hour}, 10, 0, ""},
		{Settings{}, 0, 0, "got a rate of 0 calls per second, want more than 0"},
		{Settings{}, math.NaN(), 0, "got a rate of NaN calls per second, want more than 0"},
		{Settings{}, math.Inf(1), 0, "got a rate of +Inf calls per second, want more than 0"},
		{Settings{FailureRate: 2}, 10, 0, "invalid settings: FailureRate is 2, want a share in (0, 1]"},
	} {
		a := c.s.Advice(c.rate, c.takes)
		if got := strings.Join(a.Warnings, "\n"); got != c.want {
			t.Errorf("%v at %g/s, %s: %s\nwant %s", c.s, c.rate, c.takes, got, c.want)
		}
	}
}

func TestAdviceText(t *testing.T) {
	a := Settings{FailMax: 5, ResetTimeout: 8 * time.Second}.Advice(10, 2*time.Second)
	want := "If the dependency is dead, it opens after 5 failed calls and 2.4s (consecutive-failures), with 20 more calls hanging.\n" +
		"It then spends 20% of the time on probes."
	if a.String() != want {
		t.Errorf("got  %s\nwant %s", a, want)
	}
	text, err := json.Marshal(a)
	if want := `{"opens":true,"cause":"consecutive-failures","calls":5,"hanging":20,"probe_share":0.2,"after":"2.4s"}`; err != nil || string(text) != want {
		t.Errorf("JSON %s, %v; want %s", text, err, want)
	}
}

// No valid settings make Advice panic or hang, whatever the rate.
func FuzzAdvice(f *testing.F) {
	f.Add(5, 0.5, 0.95, int64(time.Second), 0, 20, 10.0, int64(time.Second))
	f.Add(-1, 1.0, 0.0, int64(time.Hour*1e6), 100_000, 1, 1e300, int64(math.MaxInt64))
	f.Add(1, 0.01, 0.0, int64(minWindow), 0, 1<<30, 1e-300, int64(-5))
	f.Fuzz(func(t *testing.T, failMax int, rate, sure float64, window int64, calls, minCalls int, perSecond float64, takes int64) {
		s := Settings{
			FailMax: failMax, FailureRate: rate, Confidence: sure, Window: time.Duration(window),
			WindowCalls: calls, MinCalls: minCalls, SlowCall: time.Second, SlowRate: rate,
		}
		a := s.Advice(perSecond, time.Duration(takes))
		if a.Opens && (a.Calls < 1 || a.After < 0 || a.Hanging < 0 || a.Cause == "") {
			t.Fatalf("%v: %+v", s, a)
		}
		if a.ProbeShare < 0 || a.ProbeShare > 1 {
			t.Fatalf("%v: %+v", s, a)
		}
	})
}
