package breaker

import (
	"fmt"
	"strings"
	"time"
)

// Cause is the kind of thing that decided a transition.
type Cause string

// The causes. A program may switch on them; people read Transition.Summary.
const (
	CauseConsecutive  Cause = "consecutive-failures" // FailMax failures in a row
	CauseFailureRate  Cause = "failure-rate"         // FailureRate over the window
	CauseConfidence   Cause = "confidence"           // sure that the failure rate is over FailureRate
	CauseSlowRate     Cause = "slow-rate"            // SlowRate over the window
	CauseBadRate      Cause = "bad-rate"             // BadRate over the window
	CauseFleet        Cause = "fleet"                // what the processes of a fleet counted together, see Peers
	CauseRule         Cause = "rule"                 // a rule of the program's own, named in Rule
	CauseProbeFailed  Cause = "probe-failed"         // a failure in half-open
	CauseProbesPassed Cause = "probes-passed"        // SuccessThreshold successes in half-open
	CauseElapsed      Cause = "open-time-elapsed"    // the open time has passed and a call asked
	CauseBypass       Cause = "bypass-probe"         // work marked by WithBypassProbe came before that; Reason says what it is
	CauseOrder        Cause = "order"                // a person or a program ordered it: see Order, Actor and Reason
	CauseExpired      Cause = "override-expired"     // an override expired
	CauseLapsed       Cause = "lapsed"               // a key was removed, or idle for so long that its set forgot it
)

// ErrorSample is one of the errors seen before a transition.
type ErrorSample struct {
	Error   string        `json:"error"`
	Latency time.Duration `json:"latency,omitempty"`  // 0: not measured (see Settings.SlowCall)
	TraceID string        `json:"trace_id,omitempty"` // of the newest call that failed with it; see WithTraceID
	Count   int           `json:"count"`              // times it was seen since it entered the record
}

// Counts is what a window holds.
type Counts struct {
	Calls    int `json:"calls"`    // finished calls that are evidence
	Failures int `json:"failures"` // those that failed
	Slow     int `json:"slow"`     // those that took SlowCall or longer
	Bad      int `json:"bad"`      // those that failed, were slow, or both
}

// Peers says what the processes of a fleet had seen together.
type Peers struct {
	Scope     string `json:"scope"`     // whose evidence it is: "fleet", or a zone's name
	Epoch     uint64 `json:"epoch"`     // of the fleet's verdict
	Against   int    `json:"against"`   // processes whose own evidence is against the dependency
	Reporting int    `json:"reporting"` // processes that had evidence at all
}

// Transition is the record of one change: what moved, and why.
type Transition struct {
	Version uint64    `json:"version"` // the breaker's version after it
	At      time.Time `json:"at"`
	From    State     `json:"from"`
	To      State     `json:"to"`
	// Shadow marks a move of the automatic state behind an override: the
	// breaker's effective state did not change.
	Shadow bool  `json:"shadow,omitempty"`
	Cause  Cause `json:"cause"`

	// What decided, when a rule did.
	Rule      string        `json:"rule,omitempty"`                 // the name of a rule of the program's own
	Fails     int           `json:"fails,omitempty"`                // consecutive failures, or successes of probes
	Forgiven  int           `json:"successes_to_forgive,omitempty"` // Settings.SuccessesToForgive, where Fails was counted with it
	Counts    Counts        `json:"counts,omitzero"`                // what the window held
	Threshold float64       `json:"threshold,omitempty"`            // the limit that was met
	Window    time.Duration `json:"window,omitempty"`               // the span of Counts; 0: the last WindowCalls calls
	Errors    []ErrorSample `json:"errors,omitempty"`               // up to three distinct errors, newest first
	Slow      bool          `json:"slow,omitempty"`                 // a probe that was slow decided, though it did not fail
	Peers     *Peers        `json:"peers,omitempty"`                // whose evidence it was, for CauseFleet

	// What follows, when it opened.
	Attempt   int           `json:"attempt,omitempty"`    // open periods in a row, this one included
	OpenFor   time.Duration `json:"open_for,omitempty"`   // the open time chosen, jitter included
	HintedFor time.Duration `json:"hinted_for,omitempty"` // the retry-after hint that lengthened it
	// FailingSince is when the breaker left closed: it has not closed since.
	FailingSince time.Time `json:"failing_since,omitzero"`

	// Who, when a person or a program ordered it.
	Order  Verb          `json:"order,omitempty"`
	Actor  string        `json:"actor,omitempty"`
	Reason string        `json:"reason,omitempty"`
	For    time.Duration `json:"for,omitempty"` // time until the override lifts itself; 0: never

	SettingsVersion uint64 `json:"settings_version"`        // version of the settings it was decided under
	SuspectLocal    bool   `json:"suspect_local,omitempty"` // many independent breakers opened at once: the fault may be here
}

// Summary is the reason in one clause, without names and times: "5 failures in a
// row; last error: connection refused".
func (t *Transition) Summary() string {
	switch t.Cause {
	case CauseConsecutive:
		if t.Forgiven > 0 {
			return fmt.Sprintf("%s, where %s make up for one", plural(t.Fails, "failure"), plural(t.Forgiven, "success")) + t.lastError()
		}
		return plural(t.Fails, "failure") + " in a row" + t.lastError()
	case CauseFailureRate:
		return fmt.Sprintf("%d of %d calls failed %s, the limit is %s", t.Counts.Failures, t.Counts.Calls, t.span(), percent(t.Threshold)) + t.lastError()
	case CauseConfidence:
		return fmt.Sprintf("%d of %d calls failed %s, enough to be sure that more than %s do", t.Counts.Failures, t.Counts.Calls, t.span(), percent(t.Threshold)) + t.lastError()
	case CauseSlowRate:
		return fmt.Sprintf("%d of %d calls were slow %s, the limit is %s", t.Counts.Slow, t.Counts.Calls, t.span(), percent(t.Threshold))
	case CauseBadRate:
		return fmt.Sprintf("%d of %d calls failed or were slow %s, the limit is %s", t.Counts.Bad, t.Counts.Calls, t.span(), percent(t.Threshold)) + t.lastError()
	case CauseFleet:
		return fmt.Sprintf("%d of %d calls failed at %d of %d processes of the %s", t.Counts.Failures, t.Counts.Calls, t.Peers.Against, t.Peers.Reporting, t.Peers.Scope) + t.lastError()
	case CauseLapsed:
		return "the key was forgotten"
	case CauseRule:
		return fmt.Sprintf("the rule %q is met: %d of %d calls failed, %d were slow", t.Rule, t.Counts.Failures, t.Counts.Calls, t.Counts.Slow) + t.lastError()
	case CauseProbeFailed:
		if t.Slow {
			return "the probe was slow"
		}
		return "the probe failed" + t.lastError()
	case CauseProbesPassed:
		if t.Fails == 1 {
			return "the probe succeeded"
		}
		return fmt.Sprintf("%d probes succeeded", t.Fails)
	case CauseElapsed:
		return "the open time was over and a call came"
	case CauseBypass:
		return "a marked call probed before the open time was over" + quoted(t.Reason)
	case CauseExpired:
		return "the override expired"
	case CauseOrder:
		return t.Order.done() + " by " + actorOr(t.Actor) + quoted(t.Reason)
	}
	return string(t.Cause)
}

func (t *Transition) span() string {
	if t.Window > 0 {
		return "in the last " + units(t.Window)
	}
	return fmt.Sprintf("of the last %d", t.Counts.Calls)
}

func (t *Transition) lastError() string {
	if len(t.Errors) == 0 {
		return ""
	}
	return "; last error: " + t.Errors[0].Error
}

func actorOr(actor string) string {
	if actor == "" {
		return "an unknown actor"
	}
	return actor
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", text)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func percent(x float64) string { return fmt.Sprintf("%.4g%%", x*100) }
