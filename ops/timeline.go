package ops

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Timeline is what happened, in order: transitions, orders, overrides and their
// ends, notes and notices.
type Timeline struct {
	Events []Event `json:"events"` // oldest first
	// CompleteSince is when the newest event was dropped that the timeline would
	// have had: before it, it has gaps. Zero: it has none since the process
	// started.
	CompleteSince time.Time `json:"complete_since,omitzero"`
}

const (
	defaultTimelineBytes = 4 << 20
	eventOverhead        = 128      // bytes that an event takes beside its JSON
	sizeClass            = 16 << 10 // ids whose events take as much are treated alike
	maxTimeline          = 5000     // events of an answer
)

// timelineStore keeps events in bounded memory. When it is full, it drops the
// oldest event of the id that has most, so that a breaker which flaps all night
// does not push out what happened to the others.
type timelineStore struct {
	mu    sync.Mutex // guards the fields below
	limit int        // bytes
	bytes int
	byID  map[string]*idEvents
	most  idHeap
	// dropped is when the newest event was dropped of ids that have none left.
	dropped time.Time
}

// idEvents are the events of one id, oldest first.
type idEvents struct {
	id      string
	events  []storedEvent
	bytes   int
	dropped time.Time // when the newest event happened that was dropped
	place   int       // in the heap
}

type storedEvent struct {
	seq  uint64
	at   time.Time
	data []byte
}

func (e *storedEvent) size() int { return len(e.data) + eventOverhead }

func newTimelineStore(limit int) *timelineStore {
	return &timelineStore{limit: cmp.Or(limit, defaultTimelineBytes), byID: make(map[string]*idEvents)}
}

// add keeps an event. Its sequence number is that of the stream.
func (t *timelineStore) add(e *Event) {
	data, err := json.Marshal(e)
	if err != nil {
		return // it has nothing that JSON cannot carry
	}
	x := storedEvent{e.Seq, e.At, data}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.byID[e.ID]
	if of == nil {
		of = &idEvents{id: e.ID, dropped: t.dropped}
		t.byID[e.ID] = of
		heap.Push(&t.most, of)
	}
	of.events = append(of.events, x)
	of.bytes += x.size()
	t.bytes += x.size()
	heap.Fix(&t.most, of.place)
	for t.bytes > t.limit && len(t.byID) > 0 {
		t.dropLocked(t.most[0])
	}
}

// dropLocked drops the oldest event of an id.
func (t *timelineStore) dropLocked(of *idEvents) {
	x := &of.events[0]
	of.dropped = x.at
	of.bytes -= x.size()
	t.bytes -= x.size()
	of.events[0] = storedEvent{}
	if of.events = of.events[1:]; len(of.events) > 0 {
		heap.Fix(&t.most, of.place)
		return
	}
	heap.Remove(&t.most, of.place)
	delete(t.byID, of.id)
	if of.dropped.After(t.dropped) {
		t.dropped = of.dropped
	}
}

// since returns the newest events from then on, at most that many, of these ids;
// none asks for all. "name/*" asks for the keys of a set, and the set itself.
func (t *timelineStore) since(from time.Time, ids []string, most int) (found []storedEvent, complete time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	complete = t.dropped
	take := func(of *idEvents) {
		if of.dropped.After(complete) {
			complete = of.dropped
		}
		at, _ := slices.BinarySearchFunc(of.events, from, func(x storedEvent, from time.Time) int { return x.at.Compare(from) })
		found = append(found, of.events[at:]...)
	}
	for id, of := range t.byID {
		if len(ids) == 0 || slices.ContainsFunc(ids, func(ask string) bool { return concerns(id, ask) }) {
			take(of)
		}
	}
	slices.SortFunc(found, func(a, b storedEvent) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
	if extra := len(found) - most; extra > 0 {
		complete = found[extra-1].at
		found = found[extra:]
	}
	return found, complete
}

// concerns reports whether an event of id is wanted by who asks for the id ask.
// What happened to all keys or breakers happened to each.
func concerns(id, ask string) bool {
	set, wild := strings.CutSuffix(ask, "/*")
	switch {
	case id == ask, ask == "*", id == "*", id == "":
		return true
	case wild:
		return strings.HasPrefix(id, set+"/") || id == set
	}
	of, all := strings.CutSuffix(id, "/*")
	return all && strings.HasPrefix(ask, of+"/")
}

// idHeap has the id whose events take most on top; of ids that take about as
// much, the one with the oldest event.
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
	return a.events[0].at.Before(b.events[0].at)
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

// Timeline is what happened from then on, of these ids or, with none, of all:
// the newest 5,000 events at most. An id may be "name/*" for the keys of a set.
func (p *Plane) Timeline(from time.Time, ids ...string) (Timeline, error) {
	found, complete := p.timeline.since(from, ids, maxTimeline)
	out := Timeline{Events: make([]Event, len(found)), CompleteSince: after(complete, from)}
	for i := range found {
		if err := json.Unmarshal(found[i].data, &out.Events[i]); err != nil {
			return Timeline{}, fmt.Errorf("ops: timeline: %w", err)
		}
	}
	return out, nil
}

// after is t if it is after from, else zero.
func after(t, from time.Time) time.Time {
	if t.Before(from) {
		return time.Time{}
	}
	return t
}

// getTimeline answers with the stored JSON as it is.
func (e *endpoint) getTimeline(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	from, err := parseSince(q.Get("since"), time.Now())
	if err != nil {
		return err
	}
	if len(q["id"]) > maxAskedID {
		return refuse(http.StatusBadRequest, "order", "%d ids, want at most %d at once", len(q["id"]), maxAskedID)
	}
	return e.answerJSON(w, r, func() (any, error) {
		found, complete := e.timeline.since(from, q["id"], maxTimeline)
		raw := make([]json.RawMessage, len(found))
		for i := range found {
			raw[i] = found[i].data
		}
		return struct {
			Events        []json.RawMessage `json:"events"`
			CompleteSince time.Time         `json:"complete_since,omitzero"`
		}{raw, after(complete, from)}, nil
	})
}

// parseSince reads a time, or how long ago it was; "" is the beginning.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, refuse(http.StatusBadRequest, "order", "since is %q, want a time such as 2006-01-02T15:04:05Z, or how long ago, such as 1h30m", text)
	}
	return at, nil
}
