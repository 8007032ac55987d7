package ops

import (
	"cmp"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Process is a process and its operations plane.
type Process struct {
	PID      int       `json:"pid"`
	UID      int       `json:"uid"`
	Host     string    `json:"host"`
	Service  string    `json:"service"`
	Args     []string  `json:"args,omitempty"` // the command line; only on the socket
	Go       string    `json:"go"`             // its version
	Started  time.Time `json:"started"`        // when the plane was made
	Now      time.Time `json:"now"`            // its clock
	Breakers int       `json:"breakers"`       // keys included
	// States counts them by what they do with the next call.
	States   map[string]int `json:"states"`
	Overlaid int            `json:"overlaid"` // those with an override
	// ReadOnly: this door takes no orders.
	ReadOnly bool `json:"read_only"`
	// Audited: there is an audit log. AuditError is why it cannot be written at
	// present.
	Audited    bool   `json:"audited"`
	AuditError string `json:"audit_error,omitempty"`
	// CountsCalls: there are plots of calls by outcome; not of a process that is
	// reached by a pipe.
	CountsCalls bool `json:"counts_calls"`
	// Suspicion is the newest time that many independent breakers tripped
	// together, within the last ten minutes.
	Suspicion *breaker.Suspicion `json:"suspicion,omitempty"`
	// Event is the newest event: streams that begin after it miss nothing.
	Event string `json:"event"`
}

const suspicionShown = 10 * time.Minute

// process counts what the plane was told: it looks at no breaker, however many
// there are.
func (p *Plane) process() Process {
	host, _ := os.Hostname() // "" says as much as the error would
	x := Process{
		PID: os.Getpid(), UID: os.Getuid(), Host: host, Service: p.o.Service,
		Go: runtime.Version(), Started: p.started, Now: time.Now(),
		Breakers: p.m.Len(), States: make(map[string]int), Audited: p.audit != nil, CountsCalls: true,
		Event: p.eventID(p.hub.newest()),
	}
	closed := x.Breakers
	for s, n := range p.tally.NotClosed() {
		x.States[s.String()] = n
		closed -= n
		if s == breaker.ForcedOpen || s == breaker.ForcedClosed {
			x.Overlaid += n
		}
	}
	if closed > 0 {
		x.States[breaker.Closed.String()] = closed
	}
	if err := p.audit.state(); err != nil {
		x.AuditError = err.Error()
	}
	if s, ok := p.m.Suspicion(); ok && time.Since(s.At) < suspicionShown {
		x.Suspicion = &s
	}
	return x
}

// Status is a breaker as the operations plane tells of it.
type Status struct {
	breaker.Status
	// Settings are those in effect; nil in a list, unless it was asked for in
	// full.
	Settings *breaker.Settings `json:"settings,omitempty"`
	// Calls is how many there were in the last five minutes, rejected ones
	// included, in an overview by a Plane; not of keys.
	Calls uint64 `json:"calls,omitempty"`
	// Because says in a clause why it is in its state, and Next in a sentence
	// what happens next: Explain's halves. "" in a list, unless it was asked for
	// in full; in an overview, those that are not well have them.
	Because string `json:"because,omitempty"`
	Next    string `json:"next,omitempty"`
	// Text is what Explain says; "" unless it was asked for in full.
	Text string `json:"explain,omitempty"`
}

// told is a breaker with why it is so, and what happens next.
func told(s *breaker.Status) Status {
	return Status{Status: *s, Because: s.Because(), Next: s.Next()}
}

func full(s *breaker.Status) Status {
	out := told(s)
	out.Settings, out.Text = &s.Settings, s.Explain()
	return out
}

// Set is a family of keyed breakers at one moment.
type Set struct {
	Name     string         `json:"name"`
	Keys     int            `json:"keys"` // remembered
	States   map[string]int `json:"states"`
	Overlaid int            `json:"overlaid"`
	Trips    uint64         `json:"trips"`           // of the keys remembered
	Calls    uint64         `json:"calls,omitempty"` // as Status.Calls, of all keys
	Worst    []Status       `json:"worst"`           // up to five that are not well, worst first
}

// Overview is a whole process on one page: sets are folded.
type Overview struct {
	Process  Process  `json:"process"`
	Breakers []Status `json:"breakers"` // worst first
	Sets     []Set    `json:"sets"`     // worst first
	// Omitted counts the breakers and sets that are left out: there are up to
	// 5,000 of each.
	Omitted int `json:"omitted,omitempty"`
}

const (
	worstShown = 5
	calmFlaps  = 5 // changes in an hour: two trips and what follows
)

// OverviewOf is the breakers of m on one page. It does not tell of the process.
func OverviewOf(m *breaker.Manager) Overview {
	page, _ := takeCensus(m, time.Now())
	return page.with(nil)
}

// shown leaves out what a page has no room for: it may have thousands of
// breakers, most of them healthy.
func shown(s *breaker.Status) Status {
	out := Status{Status: *s}
	if severity(s) > 0 {
		out = told(s)
	}
	out.Why = nil // Because says it
	return out
}

func (s *Set) add(b *breaker.Status) {
	s.Keys++
	s.States[b.State.String()]++
	s.Overlaid += btoi(b.Override != nil)
	s.Trips += b.Trips
	if severity(b) == 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(s.Worst, b, func(x Status, b *breaker.Status) int { return Compare(&x.Status, b) })
	if at < worstShown {
		s.Worst = slices.Insert(s.Worst, at, shown(b))
		s.Worst = s.Worst[:min(len(s.Worst), worstShown)]
	}
}

// CompareStatus orders breakers for people: the worst first, among equals the
// busiest, then by id.
func CompareStatus(a, b *Status) int {
	return cmp.Or(
		compareWorse(&a.Status, &b.Status),
		cmp.Compare(b.Calls, a.Calls),
		Compare(&a.Status, &b.Status))
}

// Compare is CompareStatus for breakers whose calls nobody has counted but
// their window, if they have one.
func Compare(a, b *breaker.Status) int {
	return cmp.Or(
		compareWorse(a, b),
		cmp.Compare(b.Window.Calls, a.Window.Calls),
		cmp.Compare(a.ID, b.ID))
}

func compareWorse(a, b *breaker.Status) int {
	return cmp.Or(
		cmp.Compare(severity(b), severity(a)),
		cmp.Compare(b.FailCount+b.Window.Failures, a.FailCount+a.Window.Failures))
}

// severity is how much a breaker wants somebody's attention; 0: none at all.
func severity(s *breaker.Status) int {
	switch s.State {
	case breaker.Open:
		return 6
	case breaker.ForcedClosed:
		if s.Auto != breaker.Closed {
			return 5 // calls go to what the breaker takes for broken
		}
		return 2
	case breaker.ForcedOpen:
		return 4
	case breaker.HalfOpen:
		return 3
	}
	return btoi(s.FailCount > 0 || s.Window.Failures > 0 || s.Admitted < 1 || s.Flaps > calmFlaps)
}

// Explanation is what a breaker does and why.
type Explanation struct {
	ID      string `json:"id"`
	Text    string `json:"text"`              // two sentences, with the id and times
	Because string `json:"because,omitempty"` // why, in a clause; "" for one that has always been closed
	Next    string `json:"next"`              // what happens next, in a sentence
}

// Explain says why the breaker of an id is as it is. The error matches
// breaker.ErrUnknown.
func Explain(m *breaker.Manager, id string) (Explanation, error) {
	b, err := find(m, id)
	if err != nil {
		return Explanation{}, err
	}
	s := b.Status()
	return Explanation{ID: s.ID, Text: s.Explain(), Because: s.Because(), Next: s.Next()}, nil
}

// HistoryOf tells what the breaker of an id went through. The error matches
// breaker.ErrUnknown.
func HistoryOf(m *breaker.Manager, id string) (History, error) {
	b, err := find(m, id)
	if err != nil {
		return History{}, err
	}
	return History{ID: b.ID(), Transitions: append([]breaker.Transition{}, b.History()...)}, nil
}

// History is what a breaker went through.
type History struct {
	ID          string               `json:"id"`
	Transitions []breaker.Transition `json:"transitions"` // oldest first, at most 32
}
