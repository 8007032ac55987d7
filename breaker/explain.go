package breaker

import (
	"fmt"
	"strings"
	"time"
)

// Explain returns two sentences or more: what the breaker does and why, and
// what happens next. They are written for people, and their wording may change.
func (s *Status) Explain() string { return s.explainAt(time.Now()) }

func (s *Status) explainAt(now time.Time) string {
	return s.what(now) + " " + s.nextAt(now)
}

// Why returns why State began, in one clause without id and times, such as "5
// failures in a row; last error: connection refused" or "forced open by ana".
// It is "" for a breaker that has always been closed.
func (s *Status) Why() string {
	switch {
	case s.Override != nil:
		return overrideVerb(s.Override.State).done() + " by " + actorOr(s.Override.Actor) + quoted(s.Override.Reason)
	case s.Transition == nil:
		return ""
	case s.Transition.SuspectLocal:
		return s.Transition.Summary() + "; many other breakers in this process opened at the same time, so check this process first"
	}
	return s.Transition.Summary()
}

// Next returns what happens next, and when: the last part of Explain.
func (s *Status) Next() string { return s.nextAt(time.Now()) }

// what returns what the breaker does, and why.
func (s *Status) what(now time.Time) string {
	switch {
	case s.Override != nil:
		return fmt.Sprintf("%s was %s %s ago by %s%s.", s.ID, overrideVerb(s.Override.State).done(),
			human(now.Sub(s.Override.Since)), actorOr(s.Override.Actor), quoted(s.Override.Reason))
	case s.Transition == nil:
		return fmt.Sprintf("%s is closed and has never opened.", s.ID)
	}
	text := fmt.Sprintf("%s has been %s for %s: %s.", s.ID, s.State, human(now.Sub(s.Since)), s.Why())
	if s.State == HalfOpen && s.Opened != nil && s.Opened.Version != s.Transition.Version {
		text += fmt.Sprintf(" It opened %s ago: %s.", human(now.Sub(s.Opened.At)), s.Opened.Summary())
	}
	if !s.FailingSince.IsZero() && s.Opened != nil && s.Opened.Attempt > 1 {
		text += fmt.Sprintf(" It has been failing for %s.", human(now.Sub(s.FailingSince)))
	}
	return text
}

// nextAt is Next at the given time.
func (s *Status) nextAt(now time.Time) string {
	switch s.State {
	case Open:
		return s.nextOpen()
	case HalfOpen:
		return s.nextHalfOpen()
	case ForcedOpen, ForcedClosed:
		return s.nextForced(now)
	}
	return s.nextClosed()
}

func (s *Status) nextOpen() string {
	attempt := ""
	if s.Transition != nil && s.Transition.Attempt > 1 {
		attempt = fmt.Sprintf(" (attempt %d)", s.Transition.Attempt)
	}
	if s.UntilHalfOpen == 0 {
		return fmt.Sprintf("Its open time is over; the next call is a probe%s.", attempt)
	}
	return fmt.Sprintf("Every call is rejected; a probe may run in %s%s.", human(s.UntilHalfOpen), attempt)
}

func (s *Status) nextHalfOpen() string {
	var text string
	switch {
	case s.ProbesOut == 0 && s.ProbeOutFor == 0:
		text = "The next call is a probe"
	case s.ProbesOut == 0:
		text = fmt.Sprintf("A probe has been running for %s; the next call is another probe", human(s.ProbeOutFor))
	case s.Settings.Probes == 1:
		text = fmt.Sprintf("The probe has been running for %s; another may run in %s", human(s.ProbeOutFor), human(s.UntilNextProbe))
	default:
		text = fmt.Sprintf("%d of %d probes are running, the first for %s", s.ProbesOut, s.Settings.Probes, human(s.ProbeOutFor))
		if s.UntilNextProbe > 0 {
			text += "; another may run in " + human(s.UntilNextProbe)
		}
	}
	if n := s.Settings.SuccessThreshold; n > 1 {
		text += fmt.Sprintf("; %d of %d have succeeded", s.ProbeSuccesses, n)
	}
	return text + ". One failure opens it again."
}

func (s *Status) nextForced(now time.Time) string {
	does := "Every call is rejected"
	if s.State == ForcedClosed {
		does = "Every call is admitted"
	}
	ends := " until the override is released"
	if !s.Override.Expires.IsZero() {
		ends = fmt.Sprintf(" for another %s", human(s.Override.Expires.Sub(now)))
	}
	behind := "its automatic state is " + s.Auto.String()
	if s.State == ForcedOpen {
		behind += " and cannot change without calls"
	}
	return does + ends + "; " + behind + "."
}

func (s *Status) nextClosed() string {
	var rules []string
	if n := s.FailuresUntilOpen; n >= 0 {
		row := "on " + plural(n, "more failure") + " in a row"
		if forgive := s.Settings.SuccessesToForgive; forgive > 0 {
			row = fmt.Sprintf("on %s, where %s make up for one", plural(n, "more failure"), plural(forgive, "success"))
		}
		rules = append(rules, row)
	}
	rules = append(rules, s.rates()...)
	next := "No rule in its settings can open it."
	if len(rules) > 0 {
		next = "It opens " + strings.Join(rules, ", or ") + "."
	}
	if s.Admitted < 1 {
		next = fmt.Sprintf("It admits %s of the calls now, and gradually more. ", percent(s.Admitted)) + next
	}
	if !s.HeldBackSince.IsZero() {
		next = "A rule is met, but too many other breakers are open, so the cap keeps it closed and its calls run. " + next
	}
	return next
}

// rates returns what the rules about rates wait for.
func (s *Status) rates() (rules []string) {
	set, now := &s.Settings, s.Window
	switch {
	case set.FailureRate > 0 && set.Confidence > 0:
		rules = append(rules, fmt.Sprintf("when it is %s sure that more than %s of calls fail (now %d of %d)",
			percent(set.Confidence), percent(set.FailureRate), now.Failures, now.Calls))
	case set.FailureRate > 0:
		rules = append(rules, fmt.Sprintf("when %s of at least %d calls have failed (now %d of %d)",
			percent(set.FailureRate), set.MinCalls, now.Failures, now.Calls))
	}
	if set.SlowRate > 0 {
		rules = append(rules, fmt.Sprintf("when %s of at least %d calls were slow (now %d of %d)",
			percent(set.SlowRate), set.MinCalls, now.Slow, now.Calls))
	}
	if set.BadRate > 0 {
		rules = append(rules, fmt.Sprintf("when %s of at least %d calls have failed or were slow (now %d of %d)",
			percent(set.BadRate), set.MinCalls, now.Bad, now.Calls))
	}
	return rules
}

// human rounds a duration to what a reader can use: 350ms, 4.5s, 18s, 2m10s,
// 1h, 3h5m.
func human(d time.Duration) string {
	d = max(0, d)
	for _, r := range []struct{ from, to time.Duration }{
		{time.Hour, time.Minute},
		{10 * time.Second, time.Second},
		{time.Second, 100 * time.Millisecond},
		{100 * time.Millisecond, 10 * time.Millisecond},
		{0, time.Millisecond},
	} {
		if d >= r.from {
			return units(d.Round(r.to))
		}
	}
	return units(d)
}

// units formats a duration without units that are zero: 1m, not 1m0s.
func units(d time.Duration) string {
	text := d.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return text
}
