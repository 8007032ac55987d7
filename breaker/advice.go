package breaker

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

// Advice is what Settings.Advice predicts for a dependency that works and then
// dies: from one moment on, every call to it fails after callTimeout.
type Advice struct {
	// Opens reports whether the breaker opens at all.
	Opens bool `json:"opens"`
	// Cause is the rule that opens it.
	Cause Cause `json:"cause,omitempty"`
	// Calls is the number of calls that have failed when it opens.
	Calls int `json:"calls,omitempty"`
	// After is the time from the death of the dependency until the breaker
	// opens. With a window of time it may be wrong by a tenth of the window.
	After time.Duration `json:"after,omitempty"`
	// Hanging is the number of calls that are still running when it opens.
	Hanging int `json:"hanging,omitempty"`
	// ProbeShare is the share of the time that the breaker then spends
	// half-open, with callers waiting for the dead dependency, as long as the
	// dependency stays dead and the open time has not grown. It is what probing
	// costs.
	ProbeShare float64 `json:"probe_share,omitempty"`
	// Warnings are sentences about settings that do not do what they seem to do.
	Warnings []string `json:"warnings,omitempty"`
}

// Advice predicts when a breaker with these settings opens and what its probes
// then cost. It assumes that callsPerSecond calls arrive at regular intervals,
// and that each call fails after callTimeout (0: at once) when the dependency
// is dead. It also warns of settings that contradict each other, or that can
// never open the breaker at this rate.
func (s Settings) Advice(callsPerSecond float64, callTimeout time.Duration) Advice {
	if err := s.Validate(); err != nil {
		return Advice{Warnings: []string{err.Error()}}
	}
	if !(callsPerSecond > 0) || math.IsInf(callsPerSecond, 0) {
		return Advice{Warnings: []string{fmt.Sprintf("got a rate of %v calls per second, want more than 0", callsPerSecond)}}
	}
	c := (&config{options: &noOptions, fine: new(fineClock)}).compile(s, 1)
	d := deadDependency{given: s, s: c, rate: callsPerSecond, takes: max(0, min(callTimeout, time.Duration(maxOpenFor)))}
	a := d.opening(d.s)
	a.ProbeShare = d.probeShare()
	a.Warnings = d.warnings(a)
	return a
}

// String returns the prediction and the warnings as sentences, one per line.
func (a Advice) String() string {
	var lines []string
	if a.Opens {
		lines = append(lines,
			fmt.Sprintf("If the dependency is dead, it opens after %d failed calls and %s (%s), with %d more calls hanging.", a.Calls, human(a.After), a.Cause, a.Hanging),
			fmt.Sprintf("It then spends %s of the time on probes.", percent(math.Round(a.ProbeShare*1000)/1000)))
	}
	return strings.Join(append(lines, a.Warnings...), "\n")
}

// deadDependency is what the prediction is about.
type deadDependency struct {
	given Settings // without defaults
	s     *compiled
	rate  float64       // calls per second
	takes time.Duration // how long a call takes to fail
}

// opening finds the first failure that opens a breaker with settings s, which
// may be only some of the rules of d.s.
func (d *deadDependency) opening(s *compiled) (a Advice) {
	// One more than the window holds: only then has the last success left it.
	most := max(s.FailMax, s.WindowCalls, int(min(maxAdvised, d.inWindow()+1)), 1)
	if s.FailFor > 0 { // the first failure after FailFor opens
		most = max(most, int(min(maxAdvised, math.Ceil(d.rate*s.FailFor.Seconds())+1)))
	}
	a.Calls = 1 + sort.Search(most, func(k int) bool {
		_, decided := d.judge(s, k+1)
		return decided.moved
	})
	if a.Calls > most {
		return Advice{}
	}
	_, decided := d.judge(s, a.Calls)
	a.Opens, a.Cause = true, decided.cause
	a.After = d.takes + d.spacing(a.Calls-1)
	a.Hanging = int(min(maxAdvised, d.rate*d.takes.Seconds()))
	return a
}

// maxAdvised keeps the numbers within an int at absurd rates.
const maxAdvised = 1 << 30

// inWindow returns the number of calls that a window of time can hold.
func (d *deadDependency) inWindow() float64 { return math.Ceil(d.rate * d.s.Window.Seconds()) }

// judge applies the engine's own rules to the k-th failure. By then a window of
// time has forgotten the successes before the death, except those of the last
// Window.
func (d *deadDependency) judge(s *compiled, k int) (auto, decision) {
	e := event{kind: evFailure, slow: s.SlowCall > 0 && d.takes >= s.SlowCall}
	e.lapsed = s.FailWithin > 0 && d.spacing(1) > s.FailWithin
	e.early = d.spacing(k-1) < s.FailFor
	e.counts = d.window(k, 1)
	if e.slow {
		e.counts.Slow = e.counts.Failures
	}
	e.counts.Bad = e.counts.Failures
	if s.Confidence > 0 && d.surelyOver(s, k) {
		e.recent = new(recent)
	}
	return next(auto{units: (min(k, maxFailMax) - 1) * s.failUnit}, s, &e)
}

// window returns what the newest part of the window holds at the k-th failure.
func (d *deadDependency) window(k int, part float64) Counts {
	if n := d.s.WindowCalls; n > 0 {
		return Counts{Calls: n, Failures: min(k, n)}
	}
	span := part * d.s.Window.Seconds()
	failures := int(min(float64(k), max(1, math.Ceil(d.rate*span))))
	old := d.rate*(span-d.takes.Seconds()) - float64(k-1)
	return Counts{Calls: failures + int(min(maxAdvised, max(0, old))), Failures: failures}
}

// surelyOver applies the test of Confidence to the parts of the window, as the
// engine does.
func (d *deadDependency) surelyOver(s *compiled, k int) bool {
	if s.WindowCalls > 0 {
		c := d.window(k, 1)
		return SurelyOver(c.Failures, c.Calls, s.FailureRate, s.Confidence)
	}
	for steps := 1; steps <= windowSteps; steps++ {
		c := d.window(k, float64(steps)/windowSteps)
		if SurelyOver(c.Failures, c.Calls, s.FailureRate, 1-(1-s.Confidence)/windowSteps) {
			return true
		}
	}
	return false
}

// spacing returns the time in which this many calls arrive.
func (d *deadDependency) spacing(calls int) time.Duration {
	return time.Duration(min(maxOpenFor, float64(calls)/d.rate*float64(time.Second)))
}

// probeShare returns the time of a probe, divided by that of the open period
// and the probe. If a probe outlasts its lease, others follow it at once.
func (d *deadDependency) probeShare() float64 {
	return float64(d.takes) / (float64(d.takes) + float64(d.s.ResetTimeout))
}

// warnings returns a sentence for each setting that does not do what it seems
// to do.
func (d *deadDependency) warnings(a Advice) (out []string) {
	s := d.s
	warn := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	rated := s.FailureRate > 0 || s.SlowRate > 0 || s.BadRate > 0
	warn(s.FailMax < 0 && !rated, "no rule is on in these settings: the breaker can never open automatically")
	warn(s.FailureRate > 0 && !d.opensBy(CauseFailureRate, CauseConfidence),
		"failure_rate can never open the breaker at this rate: %s", d.tooFew(s.Confidence))
	slowEnough := d.takes >= s.SlowCall
	warn(s.SlowRate > 0 && slowEnough && !d.opensBy(CauseSlowRate),
		"slow_rate can never open the breaker at this rate: %s", d.tooFew(-1))
	warn(s.BadRate > 0 && !d.opensBy(CauseBadRate),
		"bad_rate can never open the breaker at this rate: %s", d.tooFew(-1))
	warn(s.SlowRate > 0 && d.takes > 0 && !slowEnough,
		"slow_rate can never open the breaker: calls end after %s and are slow only from %s on", d.takes, s.SlowCall)
	warn(rated && s.MinCalls == 1 && (s.Confidence < 0 || s.SlowRate > 0),
		"min_calls is 1: after a quiet time a single bad call opens the breaker")
	warn(d.takes >= s.ProbeTimeout,
		"a probe's lease (probe_timeout, %s) runs out before it fails (%s): more than one probe at a time waits for a dead dependency", s.ProbeTimeout, d.takes)
	allowed, rule := d.allowed()
	row := d.given.FailMax == 0 && allowed < 1
	forgiving := s.SuccessesToForgive > 0
	warn(row && !forgiving,
		"fail_max is %d by default, in addition to %s: at the failure rate of %s that is allowed, it opens by chance once in %s calls; turn it off or raise it", s.FailMax, rule, percent(allowed), betweenRows(allowed, s.FailMax))
	most := 1 / float64(1+max(1, s.SuccessesToForgive))
	warn(row && forgiving && allowed > most,
		"fail_max is %d by default, in addition to %s: with successes_to_forgive %d it opens sooner or later if more than %s of the calls fail, and %s are allowed; turn it off or raise it", s.FailMax, rule, s.SuccessesToForgive, percent(most), percent(allowed))
	warn(s.FailWithin > 0 && s.FailMax > 1 && d.spacing(1) > s.FailWithin,
		"fail_max can never be reached at this rate: failures %s apart lapse after %s (fail_within)", human(d.spacing(1)), s.FailWithin)
	warn(a.After > s.ResetTimeout,
		"it takes longer to open (%s) than it then stays open (%s)", human(a.After), s.ResetTimeout)
	warn(a.ProbeShare > 0.5,
		"while the dependency is dead, it spends %s of the time on probes: use a longer reset_timeout or a shorter timeout for calls", percent(math.Round(a.ProbeShare*1000)/1000))
	warn(s.ResetBackoff > 1 && s.ResetMax < 0,
		"reset_backoff is %v without reset_max: the open time grows without limit", s.ResetBackoff)
	return out
}

// allowed returns the failure rate that the rules about rates allow, and which of
// them it is; 1 if there is none.
func (d *deadDependency) allowed() (rate float64, rule string) {
	rate = 1
	if d.s.BadRate > 0 {
		rate, rule = d.s.BadRate, "bad_rate"
	}
	if r := d.s.FailureRate; r > 0 && r <= rate {
		rate, rule = r, "failure_rate"
	}
	return rate, rule
}

// betweenRows returns the mean number of calls between two rows of n failures that
// happen by chance, if a share p of the calls fail: (1-p^n) / (p^n (1-p)).
func betweenRows(p float64, failMax int) string {
	n := float64(failMax)
	row := math.Pow(p, n)
	return fmt.Sprintf("%.3g", (1-row)/(row*(1-p)))
}

// opensBy reports whether the rules with these causes open the breaker without
// the other rules.
func (d *deadDependency) opensBy(causes ...Cause) bool {
	s := *d.s
	s.FailMax, s.failLimit = -1, -1
	switch causes[0] {
	case CauseSlowRate:
		s.FailureRate, s.Confidence, s.BadRate = -1, -1, -1
	case CauseBadRate:
		s.FailureRate, s.Confidence, s.SlowRate = -1, -1, -1
	default:
		s.SlowRate, s.BadRate = -1, -1
	}
	return d.opening(&s).Opens
}

// tooFew says why a rate that is judged with this confidence, or by MinCalls,
// cannot open the breaker.
func (d *deadDependency) tooFew(confidence float64) string {
	holds := fmt.Sprintf("a window of %s holds %g calls", d.s.Window, d.inWindow())
	if confidence > 0 {
		return holds + ", too few for a confidence of " + percent(confidence)
	}
	return holds + fmt.Sprintf(" and min_calls is %d", d.s.MinCalls)
}
