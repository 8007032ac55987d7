package notify

import (
	"strings"
	"time"
	"unicode"

	"github.com/switchgear-go/switchgear/breaker"
)

// Kind says what a notice is about.
type Kind string

// The kinds of notices.
const (
	Opened         Kind = "opened"          // a breaker opened by itself
	Closed         Kind = "closed"          // it closed again, or its process ended: the end of Opened, Flapping and Failing
	Flapping       Kind = "flapping"        // it opens again and again
	Failing        Kind = "failing"         // it has not closed for Options.FailingFor
	OverrideEnding Kind = "override-ending" // an override ends soon
	OverrideLost   Kind = "override-lost"   // the process ended or started again, and its override is gone
	AuditFailing   Kind = "audit-failing"   // the audit log cannot be written
	AuditWorks     Kind = "audit-works"     // it can be written again: the end of AuditFailing
	Report         Kind = "report"          // what the program reported, see ops.Plane.Report
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Opened, Closed, Flapping, Failing, OverrideEnding, OverrideLost, AuditFailing, AuditWorks, Report}
}

// Notice is one thing that operators should know.
type Notice struct {
	Kind    Kind      `json:"kind"`
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	ID      string    `json:"id,omitempty"` // of the breaker; "" for a notice about the process
	// Text is one sentence: "payments opened: 5 failures in a row; last error:
	// connection refused".
	Text  string    `json:"text"`
	Since time.Time `json:"since,omitzero"` // when what the notice is about began
	Until time.Time `json:"until,omitzero"` // when it ends, if that is known
	Links []Link    `json:"links,omitempty"`
	Owner string    `json:"owner,omitempty"`
}

// Link is a link in a notice.
type Link struct {
	Name string `json:"name"` // runbook, dashboard or trace
	URL  string `json:"url"`
}

const maxText = 1000 // bytes: PagerDuty accepts 1,024, and 20 notices fit into one message of Slack

// ends reports whether the notice ends an episode.
func (n *Notice) ends() bool { return n.Kind == Closed || n.Kind == AuditWorks }

// severity returns the severity in the terms of pagers.
func (n *Notice) severity() string {
	switch n.Kind {
	case Failing, OverrideLost, AuditFailing:
		return "critical"
	case Closed, AuditWorks, Report:
		return "info"
	}
	return "warning"
}

// oneLine returns text without line breaks and invisible characters, which an
// error or a reason may contain, cut to this many bytes.
func oneLine(text string, most int) string {
	text = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text), "\ufffd")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-len("…")], "") + "…"
	}
	return text
}

// addLinks adds what the program says about a breaker, and the trace of its
// newest error.
func (n *Notice) addLinks(l *breaker.Links, t *breaker.Transition) {
	if l == nil {
		return
	}
	trace := ""
	if t != nil && len(t.Errors) > 0 && t.Errors[0].TraceID != "" {
		trace = strings.ReplaceAll(l.Traces, "{trace_id}", t.Errors[0].TraceID)
	}
	n.Owner = oneLine(l.Owner, maxText)
	for _, link := range []Link{{"runbook", l.Runbook}, {"dashboard", l.Dashboard}, {"trace", trace}} {
		if strings.HasPrefix(link.URL, "https://") || strings.HasPrefix(link.URL, "http://") {
			n.Links = append(n.Links, link)
		}
	}
}
