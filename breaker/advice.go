package breaker

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

// Advice is what Settings.Advice predicts for a dependency that is healthy and
// then dead: from one moment on every call to it fails after callTimeout.
type Advice struct {
	// Opens reports whether the breaker opens at all.
	Opens bool `json:"opens"`
	// Cause is the rule that opens it.
	Cause Cause `json:"cause,omitempty"`
	// Calls is the number of calls that have failed when it opens.
	Calls int `json:"calls,omitempty"`
	// After is the time from the dependency's death until it opens. With a
	// window of time it can be off by a tenth of the window.
	After time.Duration `json:"after,omitempty"`
	// Hanging is the number of calls that are still waiting to fail when it
	// opens.
	Hanging int `json:"hanging,omitempty"`
	// ProbeShare is the share of the time that it is half-open, with callers
	// waiting for a dead dependency, as long as the dependency stays dead and
	// the open time has not grown: what is wasted on probes.
	ProbeShare float64 `json:"probe_share,omitempty"`
	// Warnings are sentences about settings that do not do what they seem to.
	Warnings []string `json:"warnings,omitempty"`
}

// Advice predicts, for a breaker that sees this many calls a second, evenly
// spaced and each failing after callTimeout once the dependency is dead (0: at
// once), when it opens and what its probes then cost, and warns of settings
// that contradict each other or can never open at this rate.
func (s Settings) Advice(callsPerSecond float64, callTimeout time.Duration) Advice {
	if err := s.Validate(); err != nil {
		return Advice{Warnings: []string{err.Error()}}
	}
	if !(callsPerSecond > 0) || math.IsInf(callsPerSecond, 0) {
		return Advice{Warnings: []string{fmt.Sprintf("%v calls a second is no rate, want more than 0", callsPerSecond)}}
	}
	d := deadDependency{s: s.withDefaults(), rate: callsPerSecond, takes: max(0, min(callTimeout, time.Duration(maxOpenFor)))}
	a := d.opening(d.s)
	a.ProbeShare = d.probeShare()
	a.Warnings = d.warnings(a)
	return a
}

// String is the prediction and the warnings as sentences, a line for each.
func (a Advice) String() string {
	var lines []string
	if a.Opens {
		lines = append(lines,
			fmt.Sprintf("On a dead dependency it opens after %d failed calls and %s (%s), with %d more calls hanging.", a.Calls, human(a.After), a.Cause, a.Hanging),
			fmt.Sprintf("Then it spends %s of the time on probes.", percent(math.Round(a.ProbeShare*1000)/1000)))
	}
	return strings.Join(append(lines, a.Warnings...), "\n")
}

// deadDependency is the scene of the prediction.
type deadDependency struct {
	s     Settings // defaults filled in
	rate  float64  // calls per second
	takes time.Duration
}

// opening finds the first failure that opens under s, a part of d.s perhaps.
func (d *deadDependency) opening(s Settings) (a Advice) {
	most := max(s.FailMax, s.WindowCalls, int(min(maxAdvised, d.inWindow())), 1)
	a.Calls = 1 + sort.Search(most, func(k int) bool {
		_, met := d.judge(&s, k+1)
		return met.moved
	})
	if a.Calls > most {
		return Advice{}
	}
	_, met := d.judge(&s, a.Calls)
	a.Opens, a.Cause = true, met.cause
	a.After = d.takes + d.spacing(a.Calls-1)
	a.Hanging = int(min(maxAdvised, d.rate*d.takes.Seconds()))
	return a
}

// maxAdvised keeps absurd rates within whole numbers.
const maxAdvised = 1 << 30

// inWindow is the calls that a window of time can hold.
func (d *deadDependency) inWindow() float64 { return math.Ceil(d.rate * d.s.Window.Seconds()) }

// judge puts the k-th failure to the engine's own rules. A window of time has
// forgotten the successes before it, but for those of the last Window.
func (d *deadDependency) judge(s *Settings, k int) (auto, decision) {
	c := Counts{Calls: s.WindowCalls, Failures: min(k, s.WindowCalls)}
	if s.WindowCalls <= 0 {
		old := d.rate*(s.Window-d.takes).Seconds() - float64(k-1)
		c.Failures = int(min(float64(k), d.inWindow()))
		c.Calls = c.Failures + int(min(maxAdvised, max(0, old)))
	}
	e := event{kind: evFailure, slow: s.SlowCall > 0 && d.takes >= s.SlowCall}
	if e.slow {
		c.Slow = c.Failures
	}
	e.counts = c
	return next(auto{fails: min(k, maxFailMax) - 1}, s, &e)
}

func (d *deadDependency) spacing(calls int) time.Duration {
	return time.Duration(min(maxOpenFor, float64(calls)/d.rate*float64(time.Second)))
}

// probeShare is a probe's time by that of an open period and the probe. A
// probe that outlasts its lease is followed by the next one.
func (d *deadDependency) probeShare() float64 {
	if d.takes >= d.s.ProbeTimeout {
		return 1
	}
	return float64(d.takes) / (float64(d.takes) + float64(d.s.ResetTimeout))
}

// warnings names what does not do what it seems to.
func (d *deadDependency) warnings(a Advice) (out []string) {
	s := d.s
	warn := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	rated := s.FailureRate > 0 || s.SlowRate > 0
	warn(s.FailMax < 0 && !rated, "no rule of these settings is on: it can never open by itself")
	warn(s.FailureRate > 0 && !d.opensBy(CauseFailureRate, CauseConfidence),
		"failure_rate can never open at this rate: %s", d.tooFew(s.Confidence))
	slowEnough := d.takes >= s.SlowCall
	warn(s.SlowRate > 0 && slowEnough && !d.opensBy(CauseSlowRate),
		"slow_rate can never open at this rate: %s", d.tooFew(-1))
	warn(s.SlowRate > 0 && d.takes > 0 && !slowEnough,
		"slow_rate can never open: a call ends after %s and is slow only from %s on", d.takes, s.SlowCall)
	warn(rated && s.MinCalls == 1 && (s.Confidence < 0 || s.SlowRate > 0),
		"min_calls is 1: after a quiet time a single bad call opens it")
	warn(s.ProbeTimeout > s.ResetTimeout,
		"probe_timeout (%s) is longer than reset_timeout (%s): a probe that hangs rejects callers for longer than a failed one", s.ProbeTimeout, s.ResetTimeout)
	warn(d.takes >= s.ProbeTimeout,
		"a probe's lease (probe_timeout, %s) runs out before it fails (%s): failed probes are no evidence and it never opens again from half-open", s.ProbeTimeout, d.takes)
	warn(a.After > s.ResetTimeout,
		"it needs longer to open (%s) than it then stays open (%s)", human(a.After), s.ResetTimeout)
	warn(d.takes < s.ProbeTimeout && a.ProbeShare > 0.5,
		"while the dependency is dead it spends %s of the time on probes: a longer reset_timeout or a shorter time limit of calls mends that", percent(math.Round(a.ProbeShare*1000)/1000))
	warn(s.ResetBackoff > 1 && s.ResetMax < 0,
		"reset_backoff is %v without reset_max: the open time grows without limit", s.ResetBackoff)
	return out
}

// opensBy reports whether the rules with these causes open, by themselves.
func (d *deadDependency) opensBy(causes ...Cause) bool {
	s := d.s
	s.FailMax = -1
	if causes[0] == CauseSlowRate {
		s.FailureRate, s.Confidence = -1, -1
	} else {
		s.SlowRate = -1
	}
	return d.opening(s).Opens
}

// tooFew says why a rate that is judged by this confidence, or by MinCalls,
// cannot open.
func (d *deadDependency) tooFew(confidence float64) string {
	holds := fmt.Sprintf("a window of %s holds %g calls", d.s.Window, d.inWindow())
	if confidence > 0 {
		return holds + ", too few to be sure to " + percent(confidence)
	}
	return holds + fmt.Sprintf(" and min_calls is %d", d.s.MinCalls)
}
