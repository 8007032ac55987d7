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

// Kind is the kind of an Event.
type Kind string

// The kinds of events, one for each function of a breaker.Listener that is
// recorded.
const (
	BeforeCall  Kind = "before"
	Success     Kind = "success"
	Failure     Kind = "failure"
	Rejected    Kind = "rejected"
	StateChange Kind = "state"
	Reminder    Kind = "reminder"
)

// Event is something that a breaker did.
type Event struct {
	Kind       Kind
	At         time.Time
	Breaker    string             // its ID
	Err        error              // for Failure and Rejected
	Transition breaker.Transition // for StateChange
	Override   breaker.Override   // for Reminder
}

// String returns the kind, or the states of a StateChange, such as
// "closed>open".
func (e Event) String() string {
	if e.Kind == StateChange {
		return fmt.Sprintf("%s>%s", e.Transition.From, e.Transition.To)
	}
	return string(e.Kind)
}

// Recorder records what breakers do, in order. Add its Listener to a breaker, a
// set or a manager. The zero value is ready to use. All methods may be called
// by many goroutines at once.
type Recorder struct {
	mu     sync.Mutex // guards events
	events []Event
}

// Listener returns the listener that records.
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

// Events returns the recorded events of the given kinds, oldest first, or all
// events if no kind is given.
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

// Count returns the number of recorded events of a kind.
func (r *Recorder) Count(k Kind) int { return len(r.Events(k)) }

// Reset removes all recorded events.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// String returns the events on one line, such as "before failure closed>open
// rejected", for comparisons in tests.
func (r *Recorder) String() string {
	var words []string
	for _, e := range r.Events() {
		words = append(words, e.String())
	}
	return strings.Join(words, " ")
}
