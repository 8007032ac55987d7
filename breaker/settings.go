package breaker

import (
	"fmt"
	"math"
	"time"
)

// Settings says when a breaker opens, for how long, and how it closes again.
//
// It is plain data: it can stand in a file, be compared with ==, and every
// field can change while calls run (Breaker.Update). A zero field means its
// default. A negative value switches a rule off, where a rule can be off.
type Settings struct {
	// FailMax is the number of consecutive failures that opens the breaker.
	// Default 5, at most 500,000; negative: no such rule.
	FailMax int
	// SuccessesToForgive is how many successes make up for one failure, so that
	// FailMax counts failures less those made up for, instead of failures in a
	// row: a leaky bucket, or a one-sided CUSUM (Page, Biometrika 41, 1954). With
	// 2 the breaker opens sooner or later where more than a third of the calls
	// fail, and all but never below. Default off, which is that one success makes
	// up for all. At most 100, and times FailMax at most 500,000.
	SuccessesToForgive int
	// FailWithin, when set, makes failures lapse: those on count for FailMax
	// count only while each comes within this time of the one before. Default
	// off: a nightly job that fails five nights in a row opens.
	FailWithin time.Duration
	// FailFor, when set, is the least time from the first of the failures on
	// count to a trip by FailMax: many callers that meet one reset connection are
	// not many pieces of evidence. Default off.
	FailFor time.Duration
	// ResetTimeout is how long it stays open before a call may probe.
	// Default 60 s.
	ResetTimeout time.Duration
	// SuccessThreshold is the number of successes in half-open that closes it.
	// Default 1.
	SuccessThreshold int
	// Probes is the number of calls admitted at once in half-open; the others
	// are rejected. Default 1.
	Probes int
	// ProbeTimeout is the lease of a probe: past it another call may probe, while
	// the result of the first still counts when it comes. Each lease that runs
	// out in a half-open period makes the next one longer, as ResetBackoff and
	// ResetMax say. Default: the larger of ResetTimeout and 30 s.
	ProbeTimeout time.Duration

	// Window is the span of time that the rates below are taken over, in ten
	// steps: calls are forgotten a tenth of it at a time. Default 10 s, at
	// least 10 ms.
	Window time.Duration
	// WindowCalls, when set, takes the rates over that many last calls instead
	// of over Window. Default off, at most 100,000.
	WindowCalls int
	// MinCalls is the number of calls the window must hold before a rate may
	// open the breaker. Default 20, or WindowCalls if that is less.
	MinCalls int
	// FailureRate opens the breaker when failures/calls in the window reach it.
	// In (0, 1]. Default off.
	FailureRate float64
	// Confidence, when set, judges FailureRate by how sure the calls in the
	// window make it, instead of by MinCalls: the breaker opens as soon as they
	// make it this sure that the true failure rate is above FailureRate. In
	// [0.5, 1), and above 1-FailureRate, so that one failure alone never opens.
	// Default off.
	//
	// The statistic is the exact one-sided binomial test, which is Clopper and
	// Pearson's lower limit (Biometrika 26, 1934): it opens when a dependency
	// that failed with FailureRate would do so badly by chance with a
	// probability of at most 1-Confidence. Over Window, the test is put to the
	// newest tenth, the newest two tenths, and so on to the whole, each with a
	// tenth of the doubt, so that successes of some seconds ago do not hide that
	// it fails now. With FailureRate 0.5 and Confidence 0.95, 8 failures of 8
	// calls open, and over WindowCalls, which is judged as a whole, 5 of 5.
	//
	// The doubt is that of one look, and it is put at each failure. Where
	// FailureRate is low and failures are frequent, 0.95 opens by chance every
	// few hours, and 0.999 suits better.
	Confidence float64
	// SlowCall is the time from which on a call is slow, whatever it returned,
	// and even if its caller gave up. A call is judged by the SlowCall in effect
	// when it ends. Default off. Below 200 ms every call reads the clock twice; from there on
	// calls are timed by a clock with a step of 10 ms, which costs next to
	// nothing and can miss by that much.
	SlowCall time.Duration
	// SlowRate opens the breaker when slow calls/calls in the window reach it.
	// In (0, 1], and needs SlowCall. Default off.
	SlowRate float64
	// BadRate opens the breaker when calls that failed, were slow, or both, reach
	// this share of the calls in the window. In (0, 1], and needs SlowCall.
	// Default off.
	BadRate float64

	// ResetBackoff multiplies the open time at each failed half-open; it
	// starts again from ResetTimeout on close. Default 1, which is constant.
	ResetBackoff float64
	// ResetMax is the upper limit of the open time under ResetBackoff and under
	// hints (see RetryAfterHinter), before ResetJitter spreads it. Default none;
	// hints are then limited to ten times ResetTimeout.
	ResetMax time.Duration
	// ResetJitter draws each open time evenly from [1-j, 1+j] times itself, so
	// that a fleet does not probe in step. In [0, 1). Default 0.
	ResetJitter float64
	// Ramp is the time after closing over which the admitted share grows from
	// none to all. A rule that is met meanwhile opens again with the next
	// backoff. It follows probes: an ordered close admits all at once. Default
	// off.
	Ramp time.Duration
}

const (
	maxFailMax     = 500_000 // fits the 19 bits of the word, see word.go
	maxWindowCalls = 100_000
	maxForgive     = 100
	minWindow      = 10 * time.Millisecond
	windowSteps    = 10
)

// Recommended is settings that serve most dependencies better than the defaults,
// which are PyBreaker's: a limit of eight failures of which two successes make
// up for one, and an open time that begins at 5 s and grows to 30 s.
//
// Against the defaults they open by chance far more seldom, find a dependency
// that fails half of its calls in half as many, and reject good calls for a
// fifth of the time after an outage. In return they send a dependency that is
// down more probes: one each 5 to 30 s, where the defaults send one each minute.
func Recommended() Settings {
	return Settings{
		FailMax: 8, SuccessesToForgive: 2,
		ResetTimeout: 5 * time.Second, ResetBackoff: 2, ResetMax: 30 * time.Second, ResetJitter: 0.2,
	}
}

// WithDefaults is s with its zero fields filled in: what a breaker that is made
// with s has in effect.
func (s Settings) WithDefaults() Settings {
	s.FailMax = orDefault(s.FailMax, 5)
	s.SuccessesToForgive = orDefault(s.SuccessesToForgive, -1)
	s.FailWithin = orDefault(s.FailWithin, -1)
	s.FailFor = orDefault(s.FailFor, -1)
	s.ResetTimeout = orDefault(s.ResetTimeout, 60*time.Second)
	s.SuccessThreshold = orDefault(s.SuccessThreshold, 1)
	s.Probes = orDefault(s.Probes, 1)
	s.ProbeTimeout = orDefault(s.ProbeTimeout, max(s.ResetTimeout, 30*time.Second))
	s.Window = orDefault(s.Window, 10*time.Second)
	s.WindowCalls = orDefault(s.WindowCalls, -1)
	if s.MinCalls == 0 {
		s.MinCalls = 20
		if s.WindowCalls > 0 {
			s.MinCalls = min(s.MinCalls, s.WindowCalls)
		}
	}
	s.FailureRate = orDefault(s.FailureRate, -1)
	s.Confidence = orDefault(s.Confidence, -1)
	s.SlowCall = orDefault(s.SlowCall, -1)
	s.SlowRate = orDefault(s.SlowRate, -1)
	s.BadRate = orDefault(s.BadRate, -1)
	s.ResetBackoff = orDefault(s.ResetBackoff, 1)
	s.ResetMax = orDefault(s.ResetMax, -1)
	s.Ramp = orDefault(s.Ramp, -1)
	return s
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// SettingsError is the error for a field of Settings that is out of range, or
// that does not go with the others. It matches ErrSettings.
type SettingsError struct {
	Field string // as in Go: FailureRate
	Key   string // as in JSON: failure_rate; "" for a field of SetOptions
	Value string // what was given
	Want  string // what would be right
}

// Error is one line: "invalid settings: FailureRate is 2, want a share in (0, 1]".
func (e *SettingsError) Error() string {
	return fmt.Sprintf("%s: %s is %s, want %s", ErrSettings, e.Field, e.Value, e.Want)
}

// Is reports whether target is ErrSettings.
func (e *SettingsError) Is(target error) bool { return target == ErrSettings }

// Validate reports the first field that is out of range, as a *SettingsError.
func (s Settings) Validate() error {
	e := s.WithDefaults()
	bad := func(field string, got any, want string) error {
		return &SettingsError{Field: field, Key: keyOf(field), Value: fmt.Sprint(got), Want: want}
	}
	switch {
	case e.FailMax > maxFailMax:
		return bad("FailMax", s.FailMax, "at most 500,000")
	case e.SuccessesToForgive > maxForgive:
		return bad("SuccessesToForgive", s.SuccessesToForgive, "at most 100")
	case e.SuccessesToForgive > 0 && e.FailMax < 0:
		return bad("SuccessesToForgive", s.SuccessesToForgive, "a FailMax beside it, which it counts for")
	case e.SuccessesToForgive > 0 && e.FailMax*e.SuccessesToForgive > maxFailMax:
		return bad("SuccessesToForgive", s.SuccessesToForgive, fmt.Sprintf("at most 500,000 times FailMax (%d)", e.FailMax))
	case e.ResetTimeout < 0:
		return bad("ResetTimeout", s.ResetTimeout, "more than 0")
	case e.SuccessThreshold < 0:
		return bad("SuccessThreshold", s.SuccessThreshold, "1 or more")
	case e.Probes < 0:
		return bad("Probes", s.Probes, "1 or more")
	case e.ProbeTimeout < 0:
		return bad("ProbeTimeout", s.ProbeTimeout, "more than 0: a probe without a lease could hold the breaker half-open for ever")
	case e.Window < minWindow:
		return bad("Window", s.Window, "10ms or more")
	case e.WindowCalls > maxWindowCalls:
		return bad("WindowCalls", s.WindowCalls, "at most 100,000")
	case e.MinCalls < 0:
		return bad("MinCalls", s.MinCalls, "1 or more")
	case e.WindowCalls > 0 && e.MinCalls > e.WindowCalls:
		return bad("MinCalls", s.MinCalls, fmt.Sprintf("at most WindowCalls (%d): the window never holds more", e.WindowCalls))
	case notRate(e.FailureRate):
		return bad("FailureRate", s.FailureRate, "a share in (0, 1]")
	case math.IsNaN(e.Confidence), e.Confidence > 0 && e.Confidence < 0.5, e.Confidence >= 1:
		return bad("Confidence", s.Confidence, "a probability in [0.5, 1)")
	case e.Confidence > 0 && (e.FailureRate < 0 || e.FailureRate == 1):
		return bad("Confidence", s.Confidence, "a FailureRate below 1 beside it: that is what to be sure of")
	case e.Confidence > 0 && e.Confidence <= 1-e.FailureRate:
		return bad("Confidence", s.Confidence, fmt.Sprintf("more than %.4g with a FailureRate of %v: else one failure alone would open", 1-e.FailureRate, e.FailureRate))
	case notRate(e.SlowRate):
		return bad("SlowRate", s.SlowRate, "a share in (0, 1]")
	case e.SlowRate > 0 && e.SlowCall < 0:
		return bad("SlowRate", s.SlowRate, "a SlowCall beside it, to say what slow is")
	case notRate(e.BadRate):
		return bad("BadRate", s.BadRate, "a share in (0, 1]")
	case e.BadRate > 0 && e.SlowCall < 0:
		return bad("BadRate", s.BadRate, "a SlowCall beside it, to say what slow is")
	case !(e.ResetBackoff >= 1) || math.IsInf(e.ResetBackoff, 0):
		return bad("ResetBackoff", s.ResetBackoff, "1 or more")
	case e.ResetMax > 0 && e.ResetMax < e.ResetTimeout:
		return bad("ResetMax", s.ResetMax, fmt.Sprintf("at least ResetTimeout (%s)", e.ResetTimeout))
	case !(e.ResetJitter >= 0 && e.ResetJitter < 1):
		return bad("ResetJitter", s.ResetJitter, "a share in [0, 1)")
	}
	return nil
}

// notRate reports whether r is neither off nor a share in (0, 1].
func notRate(r float64) bool { return math.IsNaN(r) || r > 1 }

// windowed reports whether some rule needs a window. rule: the program has one
// of its own, which is given the window's counts.
func (s *Settings) windowed(rule bool) bool {
	return rule || s.FailureRate > 0 || s.SlowCall > 0
}
