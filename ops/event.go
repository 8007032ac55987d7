package ops

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// EventKind is the kind of an Event.
type EventKind string

// The kinds of events.
const (
	EventTransition EventKind = "transition" // the state of a breaker changed: Transition
	EventHeldBack   EventKind = "held-back"  // CapOpen kept a breaker closed: Transition
	EventAudit      EventKind = "audit"      // the audit log fails, or works again: Notice
	EventNotice     EventKind = "notice"     // the program or the plane reports something: Notice
	EventReminder   EventKind = "reminder"   // half the time of an override has passed: Override
	EventOrder      EventKind = "order"      // an order was carried out: Order
	// EventGap means that Missed events were lost, because the reader was too
	// slow or connected too late. What it knows about the breakers is out of
	// date.
	EventGap EventKind = "gap"
)

// Event is something that happened to the breakers of a manager.
type Event struct {
	// StreamID identifies the event's place in the stream of one process. A
	// Client sets it, and Client.Events can resume after it.
	StreamID   string              `json:"-"`
	Seq        uint64              `json:"seq"` // numbers the events since the plane was created
	At         time.Time           `json:"at"`
	Kind       EventKind           `json:"kind"`
	ID         string              `json:"id,omitempty"` // of the breaker or the order
	Transition *breaker.Transition `json:"transition,omitempty"`
	Override   *breaker.Override   `json:"override,omitempty"`
	Order      *OrderEvent         `json:"order,omitempty"`
	Notice     string              `json:"notice,omitempty"`
	Missed     uint64              `json:"missed,omitempty"`
}

// OrderEvent is an order that was carried out.
type OrderEvent struct {
	Verb   breaker.Verb `json:"verb"`
	Actor  string       `json:"actor"`
	Reason string       `json:"reason,omitempty"`
	For    Duration     `json:"for,omitzero"`
	// Changes are the settings that VerbSet changed, of a breaker or of the
	// common settings of a set.
	Changes []breaker.SettingsChange `json:"changes,omitempty"`
	Touched int                      `json:"touched"`
	Failed  int                      `json:"failed,omitempty"`
}

const (
	keptEvents = 2048 // for readers that reconnect
	keptOrders = 100  // for a reader that connects for the first time
)

// hub keeps the newest events for its readers. A reader only has a place in
// the stream, so a slow reader finds a gap and delays no other reader.
type hub struct {
	timeline *timelineStore

	mu     sync.Mutex // guards the fields below
	ring   []Event
	last   uint64 // Seq of the newest event
	orders []Event
	wake   chan struct{} // closed at the next event; nil if no reader is waiting
	closed bool
}

func newHub(t *timelineStore) *hub { return &hub{timeline: t} }

// publish adds an event. The order of the calls is the order of the stream.
// publish never waits.
func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.last++
	e.Seq = h.last
	switch {
	case e.Transition != nil:
		e.At = e.Transition.At // when it happened, not when it was delivered
	case e.At.IsZero():
		e.At = time.Now()
	}
	h.timeline.add(&e)
	if len(h.ring) < keptEvents {
		h.ring = append(h.ring, e)
	} else {
		h.ring[(e.Seq-1)%keptEvents] = e
	}
	if e.Kind == EventOrder {
		if len(h.orders) == keptOrders {
			h.orders = append(h.orders[:0], h.orders[1:]...)
		}
		h.orders = append(h.orders, e)
	}
	h.wakeLocked()
}

func (h *hub) wakeLocked() {
	if h.wake != nil {
		close(h.wake)
		h.wake = nil
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.wakeLocked()
}

// newest returns the Seq of the newest event.
func (h *hub) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// after returns up to most events that follow seq. If there are none yet, it
// returns a channel to wait for. If it returns neither, the hub is closed.
func (h *hub) after(seq uint64, most int) (events []Event, wait <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq >= h.last {
		if h.closed {
			return nil, nil
		}
		if h.wake == nil {
			h.wake = make(chan struct{})
		}
		return nil, h.wake
	}
	if oldest := h.last - uint64(len(h.ring)) + 1; seq+1 < oldest {
		events = append(events, Event{Seq: oldest - 1, At: time.Now(), Kind: EventGap, Missed: oldest - 1 - seq})
		seq = oldest - 1
	}
	for ; seq < h.last && len(events) < most; seq++ {
		events = append(events, h.ring[seq%keptEvents])
	}
	return events, nil
}

// lastOrders returns the newest orders, oldest first.
func (h *hub) lastOrders() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Event{}, h.orders...)
}

// Events yields what happens from now on, or what followed the event whose
// StreamID is after, as Client.Events does. It ends when ctx is done or the
// plane is closed, and never yields an error. A reader that is too slow finds
// an EventGap.
func (p *Plane) Events(ctx context.Context, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		place := p.placeOf(after)
		if place.stale && !yield(Event{Seq: place.seq, At: time.Now(), Kind: EventGap, StreamID: p.eventID(place.seq)}, nil) {
			return
		}
		for seq := place.seq; ; {
			events, wait := p.hub.after(seq, eventBatch)
			for _, e := range events {
				seq = e.Seq
				e.StreamID = p.eventID(seq)
				if !yield(e, nil) {
					return
				}
			}
			switch {
			case len(events) > 0:
				continue
			case wait == nil:
				return // the plane is closed
			}
			select {
			case <-wait:
			case <-ctx.Done():
				return
			}
		}
	}
}

// streamPlace is where a reader of the events starts.
type streamPlace struct {
	seq   uint64 // Seq of the last event that it has received
	stale bool   // the id is from another process or from the future: what the reader knows is out of date
}

// placeOf returns the place after the event with this id, or else after the
// newest event.
func (p *Plane) placeOf(id string) streamPlace {
	newest := p.hub.newest()
	seq, ok := p.place(id)
	if !ok || seq > newest {
		return streamPlace{newest, id != ""}
	}
	return streamPlace{seq: seq}
}
