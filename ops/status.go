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

// Process describes a process and its operations plane.
type Process struct {
	PID      int       `json:"pid"`
	UID      int       `json:"uid"`
	Host     string    `json:"host"`
	Service  string    `json:"service"`
	Args     []string  `json:"args,omitempty"` // the command line; only on the socket
	Go       string    `json:"go"`             // its version
	Started  time.Time `json:"started"`        // when the plane was created
	Now      time.Time `json:"now"`            // its clock
	Breakers int       `json:"breakers"`       // includes keys
	// States counts them by effective state.
	States   map[string]int `json:"states"`
	Overlaid int            `json:"overlaid"` // breakers with an override
	// ReadOnly means that this endpoint accepts no orders.
	ReadOnly bool `json:"read_only"`
	// Audited means that there is an audit log. AuditError is why it cannot be
	// written at present.
	Audited    bool   `json:"audited"`
	AuditError string `json:"audit_error,omitempty"`
	// Standing means that overrides and settings that people order outlive a
	// restart. StandingError is why they do not at present.
	Standing      bool   `json:"standing"`
	StandingError string `json:"standing_error,omitempty"`
	// StandingWaiting is the number of ids whose orders wait because the
	// program has not created their breakers since it started.
	StandingWaiting int `json:"standing_waiting,omitempty"`
	// LostOrders are the newest ten orders that did not outlive the restart.
	LostOrders []LostOrder `json:"lost_orders,omitempty"`
	// CountsCalls means that there are plots of calls by outcome. They are not
	// available through a pipe of PyBreaker.
	CountsCalls bool `json:"counts_calls"`
	// Suspicion is the newest time within the last ten minutes at which many
	// independent breakers tripped together.
	Suspicion *breaker.Suspicion `json:"suspicion,omitempty"`
	// Mark is the newest mark of the process, such as for a deployment; nil if
	// there is none.
	Mark *Note `json:"mark,omitempty"`
	// Attached are the names of what Attach added, such as "fleet".
	Attached []string `json:"attached,omitempty"`
	// Event is the newest event. A stream that begins after it misses nothing.
	Event string `json:"event"`
}

const suspicionShown = 10 * time.Minute

// Process returns a description of the process. Its cost does not depend on
// the number of breakers.
func (p *Plane) Process() Process {
	host, _ := os.Hostname() // on an error the name is "", which says as much
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

// Status is a breaker as operators see it. In a list, Settings are zero and
// Why, Next and Explain are "", unless StatusQuery.Full is set. In an
// overview, breakers that are not healthy have Why and Next.
type Status struct {
	breaker.Status
	// Calls is the number of calls in the last five minutes, including
	// rejected ones. It is set only in an overview, and 0 for keys.
	Calls uint64 `json:"calls,omitempty"`
	// Why says in one clause why the breaker is in its state; "" if it has
	// always been closed.
	Why string `json:"why,omitempty"`
	// Next says in one sentence what happens next.
	Next string `json:"next,omitempty"`
	// Explain is Why and Next in two sentences, with the id and times.
	Explain string `json:"explain,omitempty"`
	// Notes are the notes that people wrote about it, oldest first, at most
	// five.
	Notes []Note `json:"notes,omitempty"`
	// Ack is who looks after it while it is not closed; nil if no one has
	// acknowledged it.
	Ack *Note `json:"ack,omitempty"`
	// Shadows is what its shadows would have done so far. Those of a key are those
	// of its set, see Plane.Shadows.
	Shadows []breaker.ShadowStatus `json:"shadows,omitempty"`
}

// addShadows adds the shadows of b.
func (s *Status) addShadows(b *breaker.Breaker) {
	if b.Key() == "" {
		s.Shadows = b.Shadows()
	}
}

// statusExtras are the fields that Status adds to breaker.Status.
type statusExtras struct {
	Calls   uint64 `json:"calls,omitempty"`
	Why     string `json:"why,omitempty"`
	Next    string `json:"next,omitempty"`
	Explain string `json:"explain,omitempty"`
	Notes   []Note `json:"notes,omitempty"`
	Ack     *Note  `json:"ack,omitempty"`

	Shadows []breaker.ShadowStatus `json:"shadows,omitempty"`
}

// MarshalJSON writes one object with the fields of both structs. Without this
// method, that of the embedded struct would leave out the others.
func (s Status) MarshalJSON() ([]byte, error) {
	all, err := json.Marshal(s.Status)
	if err != nil {
		return nil, err
	}
	extras, err := json.Marshal(statusExtras{s.Calls, s.Why, s.Next, s.Explain, s.Notes, s.Ack, s.Shadows})
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
	s.Shadows = x.Shadows
	return err
}

// listed returns s as it is shown in a list, which may be very long.
func listed(s *breaker.Status) Status {
	out := Status{Status: *s}
	out.Settings = breaker.Settings{}
	if s.Opened != nil && s.Transition != nil && s.Opened.Version == s.Transition.Version {
		out.Opened = nil // it would appear twice
	}
	return out
}

// reasoned returns s as listed does, with the reason for its state and what
// happens next.
func reasoned(s *breaker.Status) Status {
	out := listed(s)
	out.Why, out.Next = s.Why(), s.Next()
	return out
}

// full returns s with all details.
func full(s *breaker.Status) Status {
	return Status{Status: *s, Why: s.Why(), Next: s.Next(), Explain: s.Explain()}
}

// Set is a family of keyed breakers at one moment.
type Set struct {
	Name     string         `json:"name"`
	Keys     int            `json:"keys"` // remembered keys
	States   map[string]int `json:"states"`
	Overlaid int            `json:"overlaid"`
	Trips    uint64         `json:"trips"`           // of the remembered keys
	Calls    uint64         `json:"calls,omitempty"` // as Status.Calls, for all keys
	Worst    []Status       `json:"worst"`           // up to five keys that are not healthy, worst first
	// SettingsVersion is the version of the common settings of the keys.
	SettingsVersion uint64 `json:"settings_version"`
}

// Overview is a whole process on one page, with sets folded.
type Overview struct {
	Process  Process  `json:"process"`
	Breakers []Status `json:"breakers"` // worst first
	Sets     []Set    `json:"sets"`     // worst first
	// Omitted counts the breakers and sets that are left out: at most 5,000 of
	// each are shown.
	Omitted int `json:"omitted,omitempty"`
}

const (
	worstShown = 5
	calmFlaps  = 5 // changes in an hour: two trips and the changes after them
)

// Overview returns the process on one page, with sets folded.
func (p *Plane) Overview() Overview {
	o := p.overview.get(p.m, p.plots.recent())
	o.annotate(p)
	o.Process = p.Process()
	return o
}

// shown drops what does not fit on a page: it may have thousands of breakers,
// most of them healthy.
func shown(s *breaker.Status) Status {
	out := listed(s)
	if severity(s) > 0 {
		out = reasoned(s)
	}
	out.Transition, out.Opened = nil, nil // Why contains it
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

// CompareStatus compares two breakers as the dashboard sorts them, for
// slices.SortFunc: the worst first; among equals the busiest first, then by id.
func CompareStatus(a, b *Status) int {
	return cmp.Or(
		compareWorse(&a.Status, &b.Status),
		cmp.Compare(b.Calls, a.Calls),
		compareKeys(&a.Status, &b.Status))
}

// compareKeys is CompareStatus for breakers whose calls are counted only in
// their window.
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

// severity is how much a breaker needs a person's attention; 0: not at all.
func severity(s *breaker.Status) int {
	switch s.State {
	case breaker.Open:
		return 6
	case breaker.ForcedClosed:
		if s.Auto != breaker.Closed {
			return 5 // calls reach a dependency that the breaker considers broken
		}
		return 2
	case breaker.ForcedOpen:
		return 4
	case breaker.HalfOpen:
		return 3
	}
	return btoi(s.FailCount > 0 || s.Window.Failures > 0 || s.Admitted < 1 || s.Flaps > calmFlaps)
}

// Explanation is what a breaker does, and why.
type Explanation struct {
	ID      string `json:"id"`
	Why     string `json:"why,omitempty"` // as in Status
	Next    string `json:"next"`
	Explain string `json:"explain"`
	// Errors are the errors of the last trip, newest first, while the breaker
	// is not closed.
	Errors []breaker.ErrorSample `json:"errors,omitempty"`
	Links  *breaker.Links        `json:"links,omitempty"` // as in Status
	Notes  []Note                `json:"notes,omitempty"` // as in Status
	Ack    *Note                 `json:"ack,omitempty"`   // as in Status

	Latency *Latency `json:"latency,omitempty"` // of its calls, or of all keys of its set; nil: no call was timed
}

// Explain says why the breaker with this id is in its state. The error matches
// breaker.ErrUnknown.
func (p *Plane) Explain(id string) (Explanation, error) {
	b, err := find(p.m, id)
	if err != nil {
		return Explanation{}, err
	}
	own := b.Status()
	s := full(&own)
	p.annotate(&s, p.annotators())
	x := Explanation{ID: s.ID, Why: s.Why, Next: s.Next, Explain: s.Explain, Links: s.Links, Notes: s.Notes, Ack: s.Ack}
	x.Latency = p.plots.latency(b.Name())
	if s.Opened != nil {
		x.Errors = s.Opened.Errors
	}
	return x, nil
}

// History is the past of a breaker.
type History struct {
	ID          string               `json:"id"`
	Transitions []breaker.Transition `json:"transitions"` // oldest first, at most 32
}

// History returns the past transitions of the breaker with this id. The error
// matches breaker.ErrUnknown.
func (p *Plane) History(id string) (History, error) {
	b, err := find(p.m, id)
	if err != nil {
		return History{}, err
	}
	return History{ID: b.ID(), Transitions: append([]breaker.Transition{}, b.History()...)}, nil
}
