package notify

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Kind says what a notice is about.
type Kind string

// The kinds of notices.
const (
	Opened         Kind = "opened"          // a breaker opened by itself
	Closed         Kind = "closed"          // it closed again: the end of Opened, Flapping and Failing
	Flapping       Kind = "flapping"        // it opens again and again
	Failing        Kind = "failing"         // it has not closed for Options.FailingFor
	OverrideEnding Kind = "override-ending" // an override ends soon
	OverrideLost   Kind = "override-lost"   // the process ended or started again, and its override is gone
	AuditFailing   Kind = "audit-failing"   // the audit log cannot be written
	AuditWorks     Kind = "audit-works"     // it can be written again: the end of AuditFailing
	PlaneNotice    Kind = "notice"          // what the operations plane itself reports
)

// Notice is one thing to know.
type Notice struct {
	Kind    Kind      `json:"kind"`
	At      time.Time `json:"at"`
	Process string    `json:"process"` // such as "shop/1234"
	Host    string    `json:"host,omitempty"`
	ID      string    `json:"id,omitempty"` // the breaker's; "" for a notice about the process
	// Text is one sentence: "payments opened: 5 failures in a row; last error:
	// connection refused".
	Text string `json:"text"`
	// Since is when the episode began that the notice is about.
	Since time.Time      `json:"since,omitzero"`
	Links *breaker.Links `json:"links,omitempty"`
}

// ends reports whether the notice ends an episode.
func (n *Notice) ends() bool { return n.Kind == Closed || n.Kind == AuditWorks }

// episode names what the notice is about, so that a receiver can tell an end
// from a beginning: all notices about the health of one breaker of one process
// have the same.
func (n *Notice) episode() string {
	kind := string(n.Kind)
	switch n.Kind {
	case Opened, Closed, Flapping, Failing:
		kind = "health"
	case AuditFailing, AuditWorks:
		kind = "audit"
	}
	return n.Host + "|" + n.Process + "|" + n.ID + "|" + kind
}

// severity is what pagers call it.
func (n *Notice) severity() string {
	switch n.Kind {
	case Failing, OverrideLost, AuditFailing:
		return "critical"
	case Closed, AuditWorks:
		return "info"
	}
	return "warning"
}
