package ops

import (
	"cmp"
	"encoding/json"
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
	// ReadOnly: this endpoint takes no orders.
	ReadOnly bool `json:"read_only"`
	// Audited: there is an audit log. AuditError is why it cannot be written at
	// present.
	Audited    bool   `json:"audited"`
	AuditError string `json:"audit_error,omitempty"`
	// Standing: overrides and settings that people order outlive a restart.
	// StandingError is why they do not at present.
	Standing      bool   `json:"standing"`
	StandingError string `json:"standing_error,omitempty"`
	// StandingWaiting is for how many ids orders wait whose breakers the program
	// has not made since it started.
	StandingWaiting int `json:"standing_waiting,omitempty"`
	// LostOrders are orders that did not outlive the restart, the newest ten.
	LostOrders []LostOrder `json:"lost_orders,omitempty"`
	// CountsCalls: there are plots of calls by outcome. A process that is reached
	// by a pipe of PyBreaker has none.
	CountsCalls bool `json:"counts_calls"`
	// Suspicion is the newest time that many independent breakers tripped
	// together, within the last ten minutes.
	Suspicion *breaker.Suspicion `json:"suspicion,omitempty"`
	// Mark is the newest mark that was put on the process, such as for a
	// deployment; nil: none.
	Mark *Note `json:"mark,omitempty"`
	// Attached are the names of what Attach added, such as "fleet".
	Attached []string `json:"attached,omitempty"`
	// Event is the newest event: streams that begin after it miss nothing.
	Event string `json:"event"`
}

const suspicionShown = 10 * time.Minute

// Process describes the process. Its cost does not depend on how many breakers
// there are.
func (p *Plane) Process() Process {
	host, _ := os.Hostname() // "" says as much as the error would
	x := Process{
		PID: os.Getpid(), UID: os.Getuid(), Host: host, Service: p.o.Service,
		Go: runtime.Version(), Started: p.started, Now: time.Now(),
		Breakers: p.m.Len(), States: make(map[string]int), Audited: p.audit != nil, CountsCalls: true,
		Mark: p.notes.lastMark(), Attached: p.attachedNames(),
		Event: p.eventID(p.hub.newest()),
	}
	closed := x.Breakers
	for s, n := range p.watcher.NotClosed() {
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
	x.Standing = p.standing != nil
	waiting, failing := p.standing.state()
	if failing != nil {
		x.StandingError = failing.Error()
	}
	x.StandingWaiting, x.LostOrders = waiting, p.lostOrders()
	if s, ok := p.m.Suspicion(); ok && time.Since(s.At) < suspicionShown {
		x.Suspicion = &s
	}
	return x
}

// Status is a breaker as operators see it. In a list, Settings are zero and Why,
// Next and Explain are "", unless the list was asked for in full; breakers that
// are not healthy have Why and Next in an overview.
type Status struct {
	breaker.Status
	// Calls is the number of calls in the last five minutes, rejected ones
	// included. It is in an overview alone, and 0 for keys.
	Calls uint64 `json:"calls,omitempty"`
	// Why says in a clause why the breaker is in its state; "" when it has always
	// been closed.
	Why string `json:"why,omitempty"`
	// Next says in a sentence what happens next.
	Next string `json:"next,omitempty"`
	// Explain is Why and Next in two sentences, with the id and times.
	Explain string `json:"explain,omitempty"`
	// Notes are those that people put on it, oldest first, at most five.
	Notes []Note `json:"notes,omitempty"`
	// Ack is who looks after it while it is not closed; nil: nobody has said so.
	Ack *Note `json:"ack,omitempty"`
}

// statusExtras are the fields that Status adds to breaker.Status.
type statusExtras struct {
	Calls   uint64 `json:"calls,omitempty"`
	Why     string `json:"why,omitempty"`
	Next    string `json:"next,omitempty"`
	Explain string `json:"explain,omitempty"`
	Notes   []Note `json:"notes,omitempty"`
	Ack     *Note  `json:"ack,omitempty"`
}

// MarshalJSON writes one object with the fields of both structs. Without it,
// the method of the embedded one would leave out the others.
func (s Status) MarshalJSON() ([]byte, error) {
	all, err := json.Marshal(s.Status)
	if err != nil {
		return nil, err
	}
	extras, err := json.Marshal(statusExtras{s.Calls, s.Why, s.Next, s.Explain, s.Notes, s.Ack})
	if err != nil || len(extras) == len("{}") {
		return all, err
	}
	all[len(all)-1] = ','
	return append(all, extras[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Status) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &s.Status); err != nil {
		return err
	}
	var x statusExtras
	err := json.Unmarshal(data, &x)
	s.Calls, s.Why, s.Next, s.Explain, s.Notes, s.Ack = x.Calls, x.Why, x.Next, x.Explain, x.Notes, x.Ack
	return err
}

// listed is a breaker in a list, of which there may be very many.
func listed(s *breaker.Status) Status {
	out := Status{Status: *s}
	out.Settings = breaker.Settings{}
	if s.Opened != nil && s.Transition != nil && s.Opened.Version == s.Transition.Version {
		out.Opened = nil // it would be there twice
	}
	return out
}

// reasoned is a breaker in a list, with why it is so and what happens next.
func reasoned(s *breaker.Status) Status {
	out := listed(s)
	out.Why, out.Next = s.Why(), s.Next()
	return out
}

// full is a breaker with everything there is to see.
func full(s *breaker.Status) Status {
	return Status{Status: *s, Why: s.Why(), Next: s.Next(), Explain: s.Explain()}
}

// Set is a family of keyed breakers at one moment.
type Set struct {
	Name     string         `json:"name"`
	Keys     int            `json:"keys"` // remembered
	States   map[string]int `json:"states"`
	Overlaid int            `json:"overlaid"`
	Trips    uint64         `json:"trips"`           // of the keys remembered
	Calls    uint64         `json:"calls,omitempty"` // as Status.Calls, of all keys
	Worst    []Status       `json:"worst"`           // up to five that are not healthy, worst first
	// SettingsVersion is the version of the settings that the keys have in common.
	SettingsVersion uint64 `json:"settings_version"`
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

// Overview is the process on one page, with sets folded.
func (p *Plane) Overview() Overview {
	o := p.overview.get(p.m, p.plots.recent())
	o.annotate(&p.notes)
	o.Process = p.Process()
	return o
}

// shown leaves out what a page has no room for: it may have thousands of
// breakers, most of them healthy.
func shown(s *breaker.Status) Status {
	out := listed(s)
	if severity(s) > 0 {
		out = reasoned(s)
	}
	out.Transition, out.Opened = nil, nil // Why says it
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
	at, _ := slices.BinarySearchFunc(s.Worst, b, func(x Status, b *breaker.Status) int { return compareKeys(&x.Status, b) })
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
		compareKeys(&a.Status, &b.Status))
}

// compareKeys is CompareStatus for breakers whose calls are not counted, but for
// those in their window.
func compareKeys(a, b *breaker.Status) int {
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
	Why     string `json:"why,omitempty"` // as in Status
	Next    string `json:"next"`
	Explain string `json:"explain"`
	// Errors are the errors of the last trip, newest first, while the breaker is
	// not closed.
	Errors []breaker.ErrorSample `json:"errors,omitempty"`
	Links  *breaker.Links        `json:"links,omitempty"` // as in Status
	Notes  []Note                `json:"notes,omitempty"` // as in Status
	Ack    *Note                 `json:"ack,omitempty"`   // as in Status
}

// Explain says why the breaker with this id is as it is. The error matches
// breaker.ErrUnknown.
func (p *Plane) Explain(id string) (Explanation, error) {
	b, err := find(p.m, id)
	if err != nil {
		return Explanation{}, err
	}
	s := b.Status()
	x := Explanation{ID: s.ID, Why: s.Why(), Next: s.Next(), Explain: s.Explain(), Links: s.Links}
	x.Notes, x.Ack = p.notes.of(s.ID)
	if s.Opened != nil {
		x.Errors = s.Opened.Errors
	}
	return x, nil
}

// History is what a breaker went through.
type History struct {
	ID          string               `json:"id"`
	Transitions []breaker.Transition `json:"transitions"` // oldest first, at most 32
}

// History says what the breaker with this id went through. The error matches
// breaker.ErrUnknown.
func (p *Plane) History(id string) (History, error) {
	b, err := find(p.m, id)
	if err != nil {
		return History{}, err
	}
	return History{ID: b.ID(), Transitions: append([]breaker.Transition{}, b.History()...)}, nil
}
