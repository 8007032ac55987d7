package ops

import (
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	EventTransition EventKind = "transition" // a breaker moved: Transition
	EventNotice     EventKind = "notice"     // the plane reports something: Notice
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
	Verb    breaker.Verb `json:"verb"`
	Actor   string       `json:"actor"`
	Reason  string       `json:"reason,omitempty"`
	For     Duration     `json:"for,omitzero"`
	Touched int          `json:"touched"`
	Failed  int          `json:"failed,omitempty"`
}

const (
	keptEvents = 2048 // for readers that come back
	keptOrders = 100  // for a reader that comes first
)

// hub keeps the newest events for its readers, each of which has a place in
// them and nothing else: a slow one finds a gap, and holds up nobody.
type hub struct {
	mu     sync.Mutex // guards the fields below
	ring   []Event
	last   uint64 // Seq of the newest
	orders []Event
	wake   chan struct{} // closed at the next event; nil: nobody waits
	closed bool
}

func newHub() *hub { return &hub{} }

// publish takes its place in the order of events, and never waits.
func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.last++
	e.Seq, e.At = h.last, time.Now()
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
