package breakertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Kind is the kind of an event.
type Kind string

// The events are what a breaker.Listener hears.
const (
	BeforeCall  Kind = "before"
	Success     Kind = "success"
	Failure     Kind = "failure"
	Rejected    Kind = "rejected"
	StateChange Kind = "state"
	Reminder    Kind = "reminder"
)

// Event is one thing that a breaker did.
type Event struct {
	Kind       Kind
	At         time.Time
	Breaker    string             // its ID
	Err        error              // of Failure and Rejected
	Transition breaker.Transition // of StateChange
	Override   breaker.Override   // of Reminder
}

// String is the kind, and for a StateChange the states: "closed>open".
func (e Event) String() string {
	if e.Kind == StateChange {
		return fmt.Sprintf("%s>%s", e.Transition.From, e.Transition.To)
	}
	return string(e.Kind)
}

// Recorder keeps what a breaker does, in order. Give its Listener to a
// breaker, a set or a manager. The zero value is ready; all methods may be
// called by many goroutines at once.
type Recorder struct {
	mu     sync.Mutex // guards events
	events []Event
}

// Listener is what hears for the recorder.
func (r *Recorder) Listener() breaker.Listener {
	return breaker.Listener{
		BeforeCall:  func(_ context.Context, b *breaker.Breaker) { r.add(b, Event{Kind: BeforeCall}) },
		Success:     func(b *breaker.Breaker) { r.add(b, Event{Kind: Success}) },
		Failure:     func(b *breaker.Breaker, err error) { r.add(b, Event{Kind: Failure, Err: err}) },
		Rejected:    func(b *breaker.Breaker, err error) { r.add(b, Event{Kind: Rejected, Err: err}) },
		StateChange: func(b *breaker.Breaker, t breaker.Transition) { r.add(b, Event{Kind: StateChange, Transition: t}) },
		Reminder:    func(b *breaker.Breaker, o breaker.Override) { r.add(b, Event{Kind: Reminder, Override: o}) },
	}
}

func (r *Recorder) add(b *breaker.Breaker, e Event) {
	e.At, e.Breaker = time.Now(), b.ID()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events is what was recorded, oldest first: of these kinds, or everything
// when none is named.
func (r *Recorder) Events(kinds ...Kind) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Event
	for _, e := range r.events {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			out = append(out, e)
		}
	}
	return out
}

// Count is the number of events of a kind.
func (r *Recorder) Count(k Kind) int { return len(r.Events(k)) }

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// String is the events in one line, as in "before failure closed>open
// rejected", to compare with.
func (r *Recorder) String() string {
	var words []string
	for _, e := range r.Events() {
		words = append(words, e.String())
	}
	return strings.Join(words, " ")
}
