package breaker

import (
	"fmt"
	"strings"
	"time"
)

// Explain says in two sentences what the breaker does and why, and what
// happens next, for somebody who was woken up by it.
func (s *Status) Explain() string { return s.explainAt(time.Now()) }

func (s *Status) explainAt(now time.Time) string {
	return s.whatAndWhy(now) + " " + s.whatNext(now)
}

// ExplainParts is Explain's two sentences, for screens that show them apart.
func (s *Status) ExplainParts() (why, next string) {
	now := time.Now()
	return s.whatAndWhy(now), s.whatNext(now)
}

func (s *Status) whatAndWhy(now time.Time) string {
	if s.Override != nil {
		return fmt.Sprintf("%s has been %s for %s: %s ordered it%s.", s.ID, s.State,
			ago(now, s.Override.Since), actorOr(s.Override.Actor), quoted(s.Override.Text))
	}
	if s.Why == nil {
		return fmt.Sprintf("%s is closed and has never been anything else.", s.ID)
	}
	suspect := ""
	if s.Why.SuspectLocal {
		suspect = "; many other breakers of this process opened with it, so look for the fault here first"
	}
	return fmt.Sprintf("%s has been %s for %s: %s%s.", s.ID, s.State, ago(now, s.Since), s.Why.Why(), suspect)
}

func (s *Status) whatNext(now time.Time) string {
	switch s.State {
	case Open:
		return s.nextOpen()
	case HalfOpen:
		return fmt.Sprintf("%d of %d probes are out and %d of %d have succeeded; one failure opens it again.",
			s.ProbesOut, s.Settings.Probes, s.ProbeSuccesses, s.Settings.SuccessThreshold)
	case ForcedOpen, ForcedClosed:
		return s.nextForced(now)
	}
	return s.nextClosed()
}

func (s *Status) nextOpen() string {
	attempt := ""
	if s.Why != nil && s.Why.Attempt > 1 {
		attempt = fmt.Sprintf(" (attempt %d)", s.Why.Attempt)
	}
	if s.UntilHalfOpen == 0 {
		return fmt.Sprintf("Its open time is over: the next call probes%s.", attempt)
	}
	return fmt.Sprintf("Every call is rejected until a probe may go in %s%s.", human(s.UntilHalfOpen), attempt)
}

func (s *Status) nextForced(now time.Time) string {
	does := "Every call is rejected"
	if s.State == ForcedClosed {
		does = "Every call is admitted"
	}
	ends := " until somebody releases it"
	if !s.Override.Expires.IsZero() {
		ends = fmt.Sprintf(" for another %s", human(max(0, s.Override.Expires.Sub(now))))
	}
	behind := "its automatic state is " + s.Auto.String()
	if s.State == ForcedOpen {
		behind += ", and without calls it learns nothing"
	}
	return does + ends + "; " + behind + "."
}

func (s *Status) nextClosed() string {
	var rules []string
	if n := s.FailuresUntilOpen; n >= 0 {
		rules = append(rules, "on "+plural(n, "more failure")+" in a row")
	}
	rules = append(rules, s.rates()...)
	next := "No rule of its settings can open it."
	if len(rules) > 0 {
		next = "It opens " + strings.Join(rules, ", or ") + "."
	}
	if s.Admitted < 1 {
		next = fmt.Sprintf("It admits %s of the calls now and more by and by. ", percent(s.Admitted)) + next
	}
	return next
}

// rates says what the rules about rates wait for.
func (s *Status) rates() (rules []string) {
	set, now := &s.Settings, s.Window
	switch {
	case set.FailureRate > 0 && set.Confidence > 0:
		rules = append(rules, fmt.Sprintf("when it is %s sure that more than %s of calls fail (now %d of %d)",
			percent(set.Confidence), percent(set.FailureRate), now.Failures, now.Calls))
	case set.FailureRate > 0:
		rules = append(rules, fmt.Sprintf("when %s of %d calls or more have failed (now %d of %d)",
			percent(set.FailureRate), set.MinCalls, now.Failures, now.Calls))
	}
	if set.SlowRate > 0 {
		rules = append(rules, fmt.Sprintf("when %s of %d calls or more were slow (now %d of %d)",
			percent(set.SlowRate), set.MinCalls, now.Slow, now.Calls))
	}
	return rules
}

func ago(now, then time.Time) string { return human(max(0, now.Sub(then))) }

// human rounds to what a reader takes in: 2m10s, 18s, 350ms.
func human(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Millisecond).String()
	}
}
