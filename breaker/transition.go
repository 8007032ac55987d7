package breaker

import (
	"fmt"
	"strings"
	"time"
)

// Cause is the kind of event or rule that caused a transition.
type Cause string

// The causes. Programs can switch on them; for people there is
// Transition.Summary.
const (
	CauseConsecutive  Cause = "consecutive-failures" // FailMax consecutive failures
	CauseFailureRate  Cause = "failure-rate"         // FailureRate was reached in the window
	CauseConfidence   Cause = "confidence"           // with Confidence, the failure rate is above FailureRate
	CauseSlowRate     Cause = "slow-rate"            // SlowRate was reached in the window
	CauseBadRate      Cause = "bad-rate"             // BadRate was reached in the window
	CauseFleet        Cause = "fleet"                // the processes of a fleet counted enough failures together, see Transition.Peers
	CauseRule         Cause = "rule"                 // one of the program's own rules, see Transition.Rule
	CauseProbeFailed  Cause = "probe-failed"         // a probe failed, or was slow
	CauseProbesPassed Cause = "probes-passed"        // SuccessThreshold probes succeeded
	CauseElapsed      Cause = "open-time-elapsed"    // the open time had passed and a call arrived
	CauseBypass       Cause = "bypass-probe"         // a call marked by WithBypassProbe arrived before that, see Transition.Reason
	CauseOrder        Cause = "order"                // an order, see Transition.Order, Actor and Reason
	CauseExpired      Cause = "override-expired"     // an override expired
	CauseLapsed       Cause = "lapsed"               // a key was removed, or idle so long that its set forgot it
)

// ErrorSample is an error that occurred before a transition.
type ErrorSample struct {
	Error   string        `json:"error"`              // its text, see WithErrorText
	Latency time.Duration `json:"latency,omitempty"`  // of the newest such call; 0: calls are not timed, see Settings.SlowCall
	TraceID string        `json:"trace_id,omitempty"` // of the newest such call, see WithTraceID
	Count   int           `json:"count"`              // how many times it occurred while it was among the last three distinct errors
}

// Counts is what a window holds.
type Counts struct {
	Calls    int `json:"calls"`    // calls that ended and are evidence
	Failures int `json:"failures"` // calls that failed
	Slow     int `json:"slow"`     // calls that took SlowCall or longer
	Bad      int `json:"bad"`      // calls that failed, were slow, or both
}

// Peers is the evidence of the processes of a fleet. Transition.Counts has the
// sum of what they counted.
type Peers struct {
	Scope     string        `json:"scope"`          // whose evidence it is: "the fleet", or a part of it such as "zone b"
	Epoch     uint64        `json:"epoch"`          // of the fleet's verdict
	Span      time.Duration `json:"span"`           // the time over which it was counted
	Slow      bool          `json:"slow,omitempty"` // the calls were too slow; else too many failed
	Against   int           `json:"against"`        // processes whose own evidence is against the dependency
	Reporting int           `json:"reporting"`      // processes that had any evidence
	Own       Counts        `json:"own,omitzero"`   // what this process itself counted in that time
}

// summary returns the evidence in one clause.
func (p *Peers) summary(c *Counts) string {
	bad, did, own := c.Failures, "failed", p.Own.Failures
	if p.Slow {
		bad, did, own = c.Slow, "were slow", p.Own.Slow
	}
	return fmt.Sprintf("%d of %d calls %s in the last %s at %d of %d processes of %s; here %d of %d",
		bad, c.Calls, did, units(p.Span), p.Against, p.Reporting, p.Scope, own, p.Own.Calls)
}

// Transition is the record of one change of state: what changed, and why.
type Transition struct {
	Version uint64    `json:"version"` // the breaker's version after the change
	At      time.Time `json:"at"`
	From    State     `json:"from"`
	To      State     `json:"to"`
	// Shadow marks a change of the automatic state behind an override. The
	// effective state did not change.
	Shadow bool  `json:"shadow,omitempty"`
	Cause  Cause `json:"cause"`

	// The evidence, if a rule caused it.
	Rule      string        `json:"rule,omitempty"`                 // the name of the program's own rule
	Fails     int           `json:"fails,omitempty"`                // consecutive failures, or successful probes
	Forgiven  int           `json:"successes_to_forgive,omitempty"` // Settings.SuccessesToForgive, if Fails was counted with it
	Counts    Counts        `json:"counts,omitzero"`                // what the window held
	Threshold float64       `json:"threshold,omitempty"`            // the limit that was reached
	Window    time.Duration `json:"window,omitempty"`               // the span of Counts; 0: the last WindowCalls calls
	Errors    []ErrorSample `json:"errors,omitempty"`               // up to three distinct errors, newest first
	Slow      bool          `json:"slow,omitempty"`                 // the probe did not fail, but was slow
	Peers     *Peers        `json:"peers,omitempty"`                // for CauseFleet, else nil

	// What follows, if it opened the breaker.
	Attempt   int           `json:"attempt,omitempty"`    // open periods in a row, including this one
	OpenFor   time.Duration `json:"open_for,omitempty"`   // the open time, including jitter
	HintedFor time.Duration `json:"hinted_for,omitempty"` // the hint that lengthened the open time, see RetryAfterHinter
	// FailingSince is when the breaker left closed; it has not closed since.
	FailingSince time.Time `json:"failing_since,omitzero"`

	// The order, if there was one. Reason is also set for CauseBypass.
	Order  Verb          `json:"order,omitempty"`
	Actor  string        `json:"actor,omitempty"`
	Reason string        `json:"reason,omitempty"`
	For    time.Duration `json:"for,omitempty"` // time until the override expires; 0: never

	SettingsVersion uint64 `json:"settings_version"`        // the version of the settings in effect
	SuspectLocal    bool   `json:"suspect_local,omitempty"` // many independent breakers tripped at the same time, see Manager.OnSuspicion
}

// Summary returns the cause in one clause, without names and times, such as "5
// failures in a row; last error: connection refused". It is written for people,
// and its wording may change.
func (t *Transition) Summary() string {
	switch t.Cause {
	case CauseConsecutive:
		if t.Forgiven > 0 {
			return fmt.Sprintf("%s, where %s make up for one", plural(t.Fails, "failure"), plural(t.Forgiven, "success")) + t.lastError()
		}
		return plural(t.Fails, "failure") + " in a row" + t.lastError()
	case CauseFailureRate:
		return t.share(t.Counts.Failures, "failed") + t.limit() + t.lastError()
	case CauseConfidence:
		return t.share(t.Counts.Failures, "failed") + ", enough to be sure that more than " + percent(t.Threshold) + " do" + t.lastError()
	case CauseSlowRate:
		return t.share(t.Counts.Slow, "were slow") + t.limit()
	case CauseBadRate:
		return t.share(t.Counts.Bad, "failed or were slow") + t.limit() + t.lastError()
	case CauseFleet:
		return t.Peers.summary(&t.Counts) + t.lastError()
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
		return "the open time had passed and a call arrived"
	case CauseBypass:
		return "a marked call probed before the open time was over" + quoted(t.Reason)
	case CauseExpired:
		return "the override expired"
	case CauseOrder:
		return t.Order.done() + " by " + actorOr(t.Actor) + quoted(t.Reason)
	}
	return string(t.Cause)
}

// share returns what n of the counted calls did: "3 of 20 calls failed in the
// last 10s", or "3 of the last 20 calls failed" if the window is a number of
// calls.
func (t *Transition) share(n int, did string) string {
	if t.Window > 0 {
		return fmt.Sprintf("%d of %d calls %s in the last %s", n, t.Counts.Calls, did, units(t.Window))
	}
	return fmt.Sprintf("%d of the last %d calls %s", n, t.Counts.Calls, did)
}

func (t *Transition) limit() string { return " (limit " + percent(t.Threshold) + ")" }

func (t *Transition) lastError() string {
	if len(t.Errors) == 0 {
		return ""
	}
	return "; last error: " + t.Errors[0].Error
}

// actorOr returns the actor, or words for an unknown one.
func actorOr(actor string) string {
	if actor == "" {
		return "an unknown actor"
	}
	return actor
}

// quoted returns text in quotes and parentheses, or nothing if it is empty.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", text)
}

// plural returns "1 failure", "2 failures" and so on.
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
