package breaker

import (
	"fmt"
	"math"
	"time"
)

// Settings says when a breaker opens, for how long, and how it closes again.
//
// Settings are plain data: they can be read from a file and compared with ==,
// and every field can change while calls run, see Breaker.Update. A zero field
// means its default. A negative value turns a rule off, if the rule can be off.
type Settings struct {
	// FailMax is the number of consecutive failures that opens the breaker.
	// Default 5, at most 500,000; negative: the rule is off.
	FailMax int
	// SuccessesToForgive is how many successes make up for one failure. When it
	// is set, FailMax limits the failures that have not been made up for,
	// instead of consecutive failures: a leaky bucket, or one-sided CUSUM
	// (Page, Biometrika 41, 1954). With 2, the breaker opens sooner or later if
	// more than a third of the calls fail, and almost never if fewer do. At
	// most 100, and at most 500,000 when multiplied by FailMax. Default off: a
	// single success makes up for all failures.
	SuccessesToForgive int
	// FailWithin, when set, is how long a failure counts toward FailMax: if the
	// next failure comes later than that, counting starts again. Default off: a
	// nightly job that fails five nights in a row opens the breaker.
	FailWithin time.Duration
	// FailFor, when set, is the minimum time between the first of the counted
	// failures and a trip by FailMax. If one connection breaks, many calls may
	// fail at the same time, and that is a single piece of evidence. Default
	// off.
	FailFor time.Duration
	// ResetTimeout is the open time: how long the breaker stays open before a
	// call may probe. Default 60 s.
	ResetTimeout time.Duration
	// SuccessThreshold is the number of successful probes that closes the
	// breaker. Default 1.
	SuccessThreshold int
	// Probes is the number of calls that may run at the same time in half-open.
	// The others are rejected. Default 1.
	Probes int
	// ProbeTimeout is the lease of a probe. If the probe takes longer, another
	// call may probe, and the result of the first still counts when it arrives.
	// Each lease that runs out makes the next one in this half-open period
	// longer, by ResetBackoff up to ResetMax. Default: the larger of
	// ResetTimeout and 30 s.
	ProbeTimeout time.Duration

	// Window is the span of time that the rates below are computed over. It
	// moves on in ten steps, so calls leave it a tenth at a time. Default 10 s,
	// at least 10 ms.
	Window time.Duration
	// WindowCalls, when set, makes the window the last WindowCalls calls
	// instead of a span of time. Default off, at most 100,000.
	WindowCalls int
	// MinCalls is the number of calls that the window must hold before a rate
	// may open the breaker. Default 20, or WindowCalls if that is smaller.
	MinCalls int
	// FailureRate opens the breaker when failures/calls in the window reach it.
	// In (0, 1]. Default off.
	FailureRate float64
	// Confidence, when set, replaces MinCalls in the rule of FailureRate: the
	// breaker opens as soon as the calls in the window show, with this
	// confidence, that the true failure rate is above FailureRate. In [0.5, 1),
	// and above 1-FailureRate, so that a single failure never opens the
	// breaker. Default off.
	//
	// The statistic is the exact one-sided binomial test, which corresponds to
	// the lower confidence limit of Clopper and Pearson (Biometrika 26, 1934).
	// The breaker opens if a dependency whose failure rate is FailureRate would
	// do as badly by chance with a probability of at most 1-Confidence. Over
	// Window, the newest tenth of the window is tested, then the newest two
	// tenths, and so on up to the whole, each with a tenth of the permitted
	// error, so that successes from some seconds ago do not hide that calls
	// fail now. With FailureRate 0.5 and Confidence 0.95, 8 failures in 8 calls
	// open the breaker. A window of WindowCalls is tested as a whole, and 5
	// failures in 5 calls open it.
	//
	// The permitted error is that of one test, and there is a test at each
	// failure. If FailureRate is low and failures are frequent, 0.95 opens the
	// breaker by chance every few hours, and 0.999 is the better choice.
	Confidence float64
	// SlowCall is the duration at which a call counts as slow, regardless of
	// its result, and even if its caller gave up. The SlowCall in effect when
	// the call ends applies. Default off. Below 200 ms every call reads the
	// clock twice. From 200 ms on calls are timed by a clock with steps of 10
	// ms, which costs next to nothing and may be wrong by that much.
	SlowCall time.Duration
	// SlowRate opens the breaker when slow calls/calls in the window reach it.
	// In (0, 1]; needs SlowCall. Default off.
	SlowRate float64
	// BadRate opens the breaker when the share of calls in the window that
	// failed, were slow, or both reaches it. In (0, 1]; needs SlowCall. Default
	// off.
	BadRate float64

	// ResetBackoff multiplies the open time after each failed half-open period.
	// Closing resets the open time to ResetTimeout. Default 1: the open time
	// stays the same.
	ResetBackoff float64
	// ResetMax is the upper limit of the open time under ResetBackoff and under
	// hints (see RetryAfterHinter), before ResetJitter is applied. Default
	// none; hints are then limited to ten times ResetTimeout.
	ResetMax time.Duration
	// ResetJitter varies each open time at random, evenly between 1-ResetJitter
	// and 1+ResetJitter times itself, so that the processes of a fleet do not
	// probe at the same time. In [0, 1). Default 0.
	ResetJitter float64
	// Ramp is the time after closing in which the share of admitted calls grows
	// from none to all. If a rule is met during the ramp, the breaker opens
	// again and ResetBackoff continues. A ramp follows successful probes; an
	// ordered close admits all calls at once. Default off.
	Ramp time.Duration
}

const (
	maxFailMax     = 500_000 // fits into the 19 bits of the word, see word.go
	maxWindowCalls = 100_000
	maxForgive     = 100
	minWindow      = 10 * time.Millisecond
	windowSteps    = 10 // tenths of Window
)

// Recommended returns settings that suit most dependencies better than the
// defaults, which are those of PyBreaker: a limit of eight failures where two
// successes make up for one, and an open time that begins at 5 s and grows to
// 30 s.
//
// Compared with the defaults, they open by chance far less often, find a
// dependency that fails half of its calls after half as many calls, and close
// after an outage in a third of the time. In return a dependency that is down
// receives more probes: one every 5 to 30 s, where the defaults send one every
// minute. The figures, and when other settings are better, are in docs/lab.md.
func Recommended() Settings {
	return Settings{
		FailMax: 8, SuccessesToForgive: 2,
		ResetTimeout: 5 * time.Second, ResetBackoff: 2, ResetMax: 30 * time.Second, ResetJitter: 0.2,
	}
}

// WithDefaults returns s with its zero fields filled in: the settings that a
// breaker created with s has in effect.
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

// SettingsError is the error for a field of Settings or SetOptions that is out
// of range, or does not go with the other fields. It matches ErrSettings.
type SettingsError struct {
	Field string // the name in Go, such as FailureRate
	Key   string // the name in JSON, such as failure_rate; "" for a field of SetOptions
	Value string // the value it has
	Want  string // what would be right
}

// Error returns one line, such as "invalid settings: FailureRate is 2, want a
// share in (0, 1]".
func (e *SettingsError) Error() string {
	return fmt.Sprintf("%s: %s is %s, want %s", ErrSettings, e.Field, e.Value, e.Want)
}

// Is reports whether target is ErrSettings.
func (e *SettingsError) Is(target error) bool { return target == ErrSettings }

// Validate returns nil if a breaker can use s, else a *SettingsError for the
// first field that is wrong.
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
		return bad("SuccessesToForgive", s.SuccessesToForgive, "it off while FailMax is off")
	case e.SuccessesToForgive > 0 && e.FailMax*e.SuccessesToForgive > maxFailMax:
		return bad("SuccessesToForgive", s.SuccessesToForgive, fmt.Sprintf("at most 500,000 divided by FailMax (%d)", e.FailMax))
	case e.ResetTimeout < 0:
		return bad("ResetTimeout", s.ResetTimeout, "more than 0")
	case e.SuccessThreshold < 0:
		return bad("SuccessThreshold", s.SuccessThreshold, "1 or more")
	case e.Probes < 0:
		return bad("Probes", s.Probes, "1 or more")
	case e.ProbeTimeout < 0:
		return bad("ProbeTimeout", s.ProbeTimeout, "more than 0: a probe without a lease could hold the breaker half-open forever")
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
		return bad("Confidence", s.Confidence, "a FailureRate below 1 to go with it")
	case e.Confidence > 0 && e.Confidence <= 1-e.FailureRate:
		return bad("Confidence", s.Confidence, fmt.Sprintf("more than %.4g with a FailureRate of %v: otherwise a single failure would open the breaker", 1-e.FailureRate, e.FailureRate))
	case notRate(e.SlowRate):
		return bad("SlowRate", s.SlowRate, "a share in (0, 1]")
	case e.SlowRate > 0 && e.SlowCall < 0:
		return bad("SlowRate", s.SlowRate, "a SlowCall to go with it")
	case notRate(e.BadRate):
		return bad("BadRate", s.BadRate, "a share in (0, 1]")
	case e.BadRate > 0 && e.SlowCall < 0:
		return bad("BadRate", s.BadRate, "a SlowCall to go with it")
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

// windowed reports whether a rule needs a window. rule says that the program
// has a rule of its own, which receives the window's counts.
func (s *Settings) windowed(rule bool) bool {
	return rule || s.FailureRate > 0 || s.SlowCall > 0
}
