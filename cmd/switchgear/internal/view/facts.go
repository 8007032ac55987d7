package view

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// Facts returns what is known about a breaker in addition to its explanation,
// one line each: who looks after it, notes, the last errors with their traces,
// links.
func Facts(e *ops.Explanation) (lines []string) {
	say := func(what string, n *ops.Note) {
		line := fmt.Sprintf("%s by %s at %s", what, n.Actor, Clock(n.At))
		if n.Reason != "" {
			line += ": " + strings.Join(strings.Fields(n.Reason), " ")
		}
		lines = append(lines, line)
	}
	if e.Ack != nil {
		say("acknowledged", e.Ack)
	}
	for i := range e.Notes {
		say("note", &e.Notes[i])
	}
	links := e.Links
	if links == nil {
		links = &breaker.Links{}
	}
	for i := range e.Errors {
		lines = append(lines, "error: "+errorLine(&e.Errors[i], links.Traces))
	}
	for _, l := range []struct{ what, text string }{{"owner", links.Owner}, {"runbook", links.Runbook}, {"dashboard", links.Dashboard}} {
		if l.text != "" {
			lines = append(lines, l.what+": "+l.text)
		}
	}
	return lines
}

// errorLine returns an error with a link to its trace.
func errorLine(s *breaker.ErrorSample, traces string) string {
	text := s.Error
	if s.Count > 1 {
		text += fmt.Sprintf(" (%d times)", s.Count)
	}
	if s.Latency > 0 {
		text += fmt.Sprintf(" after %s", Short(s.Latency))
	}
	switch {
	case s.TraceID == "":
	case traces == "":
		text += ", trace " + s.TraceID
	default:
		text += ", trace " + strings.ReplaceAll(traces, "{trace_id}", url.PathEscape(s.TraceID))
	}
	return text
}
