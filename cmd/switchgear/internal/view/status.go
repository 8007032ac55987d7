// Package view presents the status of breakers in the words and columns that
// people read: in status tables, and live in top.
package view

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/ops"
)

var (
	good    = lipgloss.NewStyle().Foreground(lipgloss.Green)
	bad     = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	warn    = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	byOrder = lipgloss.NewStyle().Foreground(lipgloss.Magenta).Bold(true)
	dim     = lipgloss.NewStyle().Faint(true)
)

// State returns the state as a cell. Without colours, capitals mark states
// other than closed.
func State(s breaker.State) table.Cell {
	word := strings.ToUpper(s.String())
	switch s {
	case breaker.Closed:
		return table.Cell{Text: s.String(), Style: good}
	case breaker.Open:
		return table.Cell{Text: word, Style: bad}
	case breaker.HalfOpen:
		return table.Cell{Text: word, Style: warn}
	default:
		return table.Cell{Text: word, Style: byOrder}
	}
}

// auto returns the automatic state if it differs from the state.
func auto(s *ops.Status) table.Cell {
	if s.Override == nil {
		return table.Cell{}
	}
	return State(s.Auto)
}

func since(s *ops.Status, now time.Time) string {
	at := s.Since
	if s.Override != nil {
		at = s.Override.Since
	}
	if at.IsZero() {
		return ""
	}
	return Short(now.Sub(at))
}

// next returns what happens next, and when.
func next(s *ops.Status, now time.Time) string {
	switch s.State {
	case breaker.Open:
		if s.UntilHalfOpen <= 0 {
			return "next call probes"
		}
		return "probe in " + Short(s.UntilHalfOpen)
	case breaker.HalfOpen:
		return of(s.ProbesOut, s.Settings.Probes) + " probing"
	case breaker.ForcedOpen, breaker.ForcedClosed:
		if s.Override == nil || s.Override.Expires.IsZero() {
			return "until released"
		}
		return "ends in " + Short(s.Override.Expires.Sub(now))
	}
	if s.Admitted < 1 {
		return fmt.Sprintf("admits %.0f%%", s.Admitted*100)
	}
	return ""
}

// of returns "1 of 2", or "1" if the limit is unknown.
func of(n, limit int) string {
	if limit == 0 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d of %d", n, limit)
}

// window returns what the window of the rates holds: calls/failed/slow.
func window(s *ops.Status) string {
	if s.Window == (breaker.Counts{}) {
		return ""
	}
	return fmt.Sprintf("%d/%d/%d", s.Window.Calls, s.Window.Failures, s.Window.Slow)
}

// Why returns in one clause why the breaker is in its state, after who looks
// after it and how many notes it has; "" for a healthy breaker without notes.
func Why(s *ops.Status) string {
	var parts []string
	if s.Ack != nil {
		parts = append(parts, "[ack "+s.Ack.Actor+"]")
	}
	switch n := len(s.Notes); {
	case n == 1:
		parts = append(parts, "[1 note]")
	case n > 1:
		parts = append(parts, fmt.Sprintf("[%d notes]", n))
	}
	if text := why(s); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

func why(s *ops.Status) string {
	switch s.State {
	case breaker.ForcedOpen, breaker.ForcedClosed:
		return whose(s.Override)
	case breaker.HalfOpen:
		if s.Settings == (breaker.Settings{}) && s.Next != "" {
			return s.Next
		}
		return "probes succeeded: " + of(s.ProbeSuccesses, s.Settings.SuccessThreshold)
	case breaker.Closed:
		return watching(s)
	}
	if s.Transition == nil {
		return s.Why // an overview has no transitions
	}
	text := s.Transition.Summary()
	if s.Transition.Attempt > 1 {
		text = fmt.Sprintf("attempt %d: ", s.Transition.Attempt) + text
	}
	if s.Transition.SuspectLocal {
		text = "many opened at once, look here first: " + text
	}
	return text
}

// whose returns who set an override and why, which PyBreaker's pipe does not
// say.
func whose(o *breaker.Override) string {
	if o == nil || o.Actor == "" && o.Reason == "" {
		return "unknown who and why"
	}
	why := "no reason given"
	if o.Reason != "" {
		why = strconv.Quote(o.Reason)
	}
	return "by " + cmp.Or(o.Actor, "an unknown actor") + ": " + why
}

// watching returns the evidence that a closed breaker has so far.
func watching(s *ops.Status) string {
	if s.FailCount == 0 {
		return ""
	}
	if s.FailuresUntilOpen > 0 {
		return fmt.Sprintf("%d failed in a row, opens at %d", s.FailCount, s.FailCount+s.FailuresUntilOpen)
	}
	return fmt.Sprintf("%d failed in a row", s.FailCount)
}

// Short rounds a duration to what a reader can take in: 350ms, 4s, 2m10s,
// 3h5m, 12d.
func Short(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < 2*day:
		return two(d, time.Hour, "h", time.Minute, "m")
	default:
		return two(d, day, "d", time.Hour, "h")
	}
}

// two formats d in two units, and leaves out the smaller one if it is zero.
func two(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d%s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, smallName)
	}
	return text
}
