package ops

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	EventTransition EventKind = "transition" // a breaker moved: Transition
	EventHeldBack   EventKind = "held-back"  // CapOpen kept a breaker from moving: Transition
	EventAudit      EventKind = "audit"      // the audit log fails, or works again: Notice
	EventNotice     EventKind = "notice"     // the program or the plane reports something: Notice
	EventReminder   EventKind = "reminder"   // half the time of an override is over: Override
	EventOrder      EventKind = "order"      // an order was carried out: Order
	// EventGap says that Missed events are gone, because the reader was too slow
	// or came too late: what it knows of the breakers is old.
	EventGap EventKind = "gap"
)

// Event is something that happened to the breakers of a manager.
type Event struct {
	// StreamID names the event's place in the stream of one process; a Client
	// sets it. It is what Client.Events resumes after.
	StreamID   string              `json:"-"`
	Seq        uint64              `json:"seq"` // counts the events since the plane was made
	At         time.Time           `json:"at"`
	Kind       EventKind           `json:"kind"`
	ID         string              `json:"id,omitempty"` // the breaker's or the order's
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
	// Changes are what VerbSet changed in the settings of a breaker, or in those
	// that the keys of a set have in common.
	Changes []breaker.SettingsChange `json:"changes,omitempty"`
	Touched int                      `json:"touched"`
	Failed  int                      `json:"failed,omitempty"`
}

const (
	keptEvents = 2048 // for readers that come back
	keptOrders = 100  // for a reader that comes first
)

// hub keeps the newest events for its readers, each of which has a place in
// them and nothing else: a slow one finds a gap, and holds up nobody.
type hub struct {
	timeline *timelineStore

	mu     sync.Mutex // guards the fields below
	ring   []Event
	last   uint64 // Seq of the newest
	orders []Event
	wake   chan struct{} // closed at the next event; nil: nobody waits
	closed bool
}

func newHub(t *timelineStore) *hub { return &hub{timeline: t} }

// publish takes its place in the order of events, and never waits.
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

// newest is the Seq of the newest event.
func (h *hub) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// after returns up to most events that follow seq, or what to wait for when
// there are none yet. With neither, the hub is closed.
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

// lastOrders are the newest orders, oldest first.
func (h *hub) lastOrders() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Event{}, h.orders...)
}

// Events yields what happens from now on, or what followed the event with the
// StreamID after, as Client.Events does, until ctx ends or the plane is closed.
// It never yields an error. A reader that is too slow finds an EventGap.
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

// streamPlace is where a reader of the events begins.
type streamPlace struct {
	seq   uint64 // of the last event it has had
	stale bool   // it comes from another process, or has an id of the future: what it knows is old
}

// placeOf is the place behind the event with this id, or else the newest one.
func (p *Plane) placeOf(id string) streamPlace {
	newest := p.hub.newest()
	seq, ok := p.place(id)
	if !ok || seq > newest {
		return streamPlace{newest, id != ""}
	}
	return streamPlace{seq: seq}
}
