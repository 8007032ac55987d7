package ops

import (
	"cmp"
	"container/heap"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Timeline is what happened, in order: transitions, overrides and their ends,
// orders, changes of settings, and notices.
type Timeline struct {
	Events []Event `json:"events"` // oldest first
	// CompleteSince is the time since which no event is missing. Zero: none is
	// missing.
	CompleteSince time.Time `json:"complete_since,omitzero"`
}

const (
	defaultTimelineBytes = 4 << 20
	idOverhead           = 256      // bytes that an id takes in addition to its events
	sizeClass            = 16 << 10 // ids are compared by the number of such units that their events take
	maxTimeline          = 5000     // events in an answer
	maxTimelineBytes     = 8 << 20  // bytes of an answer: a client reads 16 MiB
)

// timelineStore keeps events in bounded memory. When it is full, it drops the
// oldest event of the id whose events take the most, so that a breaker that
// flaps all night does not push out the events of others.
type timelineStore struct {
	limit int // bytes

	mu    sync.Mutex // guards the fields below
	bytes int
	byID  map[string]*idEvents
	most  idHeap // bytes of all events in byID
	// dropped is the time of the newest dropped event of ids that have none
	// left.
	dropped time.Time
}

// idEvents are the events of one id, oldest first.
type idEvents struct {
	id      string
	events  []storedEvent
	bytes   int
	dropped time.Time // the time of the newest event that was dropped
	place   int       // in the heap
}

// storedEvent is an event and its approximate size in bytes.
type storedEvent struct {
	Event
	size int
}

// sizeOf returns the approximate size of an event in bytes: its structs, and
// texts of varying length.
func sizeOf(e *Event) int {
	n := structSize[storedEvent]() + len(e.ID) + len(e.Notice)
	if t := e.Transition; t != nil {
		n += structSize[breaker.Transition]() + len(t.Rule) + len(t.Actor) + len(t.Reason) + structSize[breaker.Peers]()
		for i := range t.Errors {
			n += structSize[breaker.ErrorSample]() + len(t.Errors[i].Error) + len(t.Errors[i].TraceID)
		}
	}
	if o := e.Override; o != nil {
		n += structSize[breaker.Override]() + len(o.Actor) + len(o.Reason)
	}
	if o := e.Order; o != nil {
		n += structSize[OrderEvent]() + len(o.Verb) + len(o.Actor) + len(o.Reason)
		for _, c := range o.Changes {
			n += structSize[breaker.SettingsChange]() + len(c.From) + len(c.To)
		}
	}
	return n
}

func structSize[T any]() int { return int(reflect.TypeFor[T]().Size()) }

func newTimelineStore(limit int) *timelineStore {
	return &timelineStore{limit: cmp.Or(limit, defaultTimelineBytes), byID: make(map[string]*idEvents)}
}

// add stores an event.
func (t *timelineStore) add(e *Event) {
	x := storedEvent{*e, sizeOf(e)}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.byID[e.ID]
	if of == nil {
		of = &idEvents{id: e.ID, dropped: t.dropped}
		t.byID[e.ID] = of
		t.bytes += len(of.id) + idOverhead
		heap.Push(&t.most, of)
	}
	of.events = append(of.events, x)
	// Events are published out of order: an order after it was carried out,
	// and a transition when the listeners before this one have returned.
	for i := len(of.events) - 1; i > 0 && of.events[i-1].At.After(x.At); i-- {
		of.events[i-1], of.events[i] = of.events[i], of.events[i-1]
	}
	of.bytes += x.size
	t.bytes += x.size
	heap.Fix(&t.most, of.place)
	for t.bytes > t.limit && len(t.byID) > 0 {
		t.dropLocked(t.most[0])
	}
}

// dropLocked drops the oldest event of an id, and the id itself with its last
// event. mu is held.
func (t *timelineStore) dropLocked(of *idEvents) {
	x := &of.events[0]
	of.dropped = x.At
	of.bytes -= x.size
	t.bytes -= x.size
	of.events[0] = storedEvent{}
	if of.events = of.events[1:]; len(of.events) > 0 {
		heap.Fix(&t.most, of.place)
		return
	}
	heap.Remove(&t.most, of.place)
	delete(t.byID, of.id)
	t.bytes -= len(of.id) + idOverhead
	if of.dropped.After(t.dropped) {
		t.dropped = of.dropped
	}
}

// since returns the newest events since from of these ids, as many as an
// answer has room for, and the time since which none is missing. Without ids
// it returns those of all.
func (t *timelineStore) since(from time.Time, ids []string) Timeline {
	found, complete := t.collect(from, ids)
	slices.SortFunc(found, func(a, b storedEvent) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq)) })
	first, room := len(found), maxTimelineBytes
	for first > 0 && len(found)-first < maxTimeline && room > 0 {
		first--
		room -= found[first].size
	}
	if first > 0 {
		complete = found[first-1].At
	}
	if !complete.After(from) {
		complete = time.Time{}
	}
	out := Timeline{Events: make([]Event, 0, len(found)-first), CompleteSince: complete}
	for i := range found[first:] {
		out.Events = append(out.Events, found[first+i].Event)
	}
	return out
}

// collect returns the events in any order. They are sorted without the lock,
// because transitions wait for it.
func (t *timelineStore) collect(from time.Time, ids []string) (found []storedEvent, dropped time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped = t.dropped
	for id, of := range t.byID {
		if len(ids) > 0 && !slices.ContainsFunc(ids, func(ask string) bool { return concerns(id, ask) }) {
			continue
		}
		if of.dropped.After(dropped) {
			dropped = of.dropped
		}
		at, _ := slices.BinarySearchFunc(of.events, from, func(x storedEvent, from time.Time) int { return x.At.Compare(from) })
		found = append(found, of.events[at:]...)
	}
	return found, dropped
}

// concerns reports whether an event of id is part of the timeline of ask: an
// id, "name/*" for the keys of a set, or "*". An event of all keys or of the
// whole process is part of each key's timeline.
func concerns(id, ask string) bool {
	set, wild := strings.CutSuffix(ask, "/*")
	switch {
	case id == ask, ask == "*", id == "*", id == "":
		return true
	case wild:
		return strings.HasPrefix(id, set+"/")
	}
	of, all := strings.CutSuffix(id, "/*")
	return all && strings.HasPrefix(ask, of+"/")
}

// idHeap has at the top the id that loses the next event: the one whose events
// take the most, and among ids that take about the same the one with the
// oldest event.
type idHeap []*idEvents

func (h idHeap) Len() int { return len(h) }

func (h idHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if ca, cb := a.bytes/sizeClass, b.bytes/sizeClass; ca != cb {
		return ca > cb
	}
	if len(a.events) == 0 || len(b.events) == 0 {
		return len(a.events) > 0
	}
	return a.events[0].At.Before(b.events[0].At)
}

func (h idHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *idHeap) Push(x any) {
	of := x.(*idEvents)
	of.place = len(*h)
	*h = append(*h, of)
}

func (h *idHeap) Pop() any {
	last := len(*h) - 1
	of := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return of
}

// Timeline returns what happened since from, of these ids or, without ids, of
// all: at most the newest 5,000 events. An id may be "name/*" for the keys of
// a set. A zero from means all that is kept, see Options.TimelineBytes.
// Changes of settings are included if they were ordered, but not if the
// program made them. What the events point to is shared and must not be
// modified.
//
// The error matches breaker.ErrUnknown for an unknown id of which no event is
// kept.
func (p *Plane) Timeline(from time.Time, ids ...string) (Timeline, error) {
	for _, id := range ids {
		if err := p.known(id); err != nil {
			return Timeline{}, err
		}
	}
	return p.timeline.since(from, ids), nil
}

// known returns an error for an id that can have no events.
func (p *Plane) known(id string) error {
	if id == "*" || p.timeline.has(id) {
		return nil // a key that its set has forgotten may have events
	}
	if set, wild := strings.CutSuffix(id, "/*"); wild {
		_, err := p.m.LookupSet(set)
		return err
	}
	_, err := find(p.m, id)
	return err
}

func (t *timelineStore) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id] != nil
}

func (e *endpoint) getTimeline(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	from, err := parseSince(q.Get("since"), time.Now())
	if err != nil {
		return err
	}
	if len(q["id"]) > maxAskedID {
		return refuse(http.StatusBadRequest, "order", "%d ids, want at most %d at once", len(q["id"]), maxAskedID)
	}
	return e.answerJSON(w, r, func() (any, error) { return e.Timeline(from, q["id"]...) })
}

// parseSince parses a time, or how long ago it was; "" means the beginning.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, refuse(http.StatusBadRequest, "order", "since is %.100q, want a time such as 2006-01-02T15:04:05Z, or how long ago, such as 1h30m", text)
	}
	return at, nil
}
