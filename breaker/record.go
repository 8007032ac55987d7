package breaker

import (
	"slices"
	"time"
)

const (
	keptErrors      = 3  // distinct errors in a record
	keptTransitions = 32 // records of a breaker
)

// errorRing keeps the last distinct errors, newest first.
type errorRing struct {
	kept [keptErrors]ErrorSample
}

// add enters a sample whose count is 1.
func (r *errorRing) add(s ErrorSample) {
	last := keptErrors - 1
	for i := range r.kept {
		if r.kept[i].Error == s.Error { // an empty place counts 0
			s.Count += r.kept[i].Count
			last = i
			break
		}
	}
	copy(r.kept[1:last+1], r.kept[:last])
	r.kept[0] = s
}

// take hands the errors over to a record.
func (r *errorRing) take() []ErrorSample {
	n := 0
	for n < keptErrors && r.kept[n].Count > 0 {
		n++
	}
	if n == 0 {
		return nil
	}
	out := make([]ErrorSample, n) // append would reckon with growth
	copy(out, r.kept[:n])
	return out
}

// history is a ring of the last records. They are shared with status, errors
// and listeners, and never changed.
type history struct {
	ring []*Transition
	next int // where the next one goes, once the ring is full
}

// add enters a record, in place of the oldest unless the ring may grow.
func (h *history) add(t *Transition, grow bool) {
	if grow || len(h.ring) == 0 {
		h.ring = append(h.ring, t)
		return
	}
	h.ring[h.next] = t
	h.next = (h.next + 1) % len(h.ring)
}

// replace puts a changed copy in place of a record.
func (h *history) replace(old, t *Transition) {
	if i := slices.Index(h.ring, old); i >= 0 {
		h.ring[i] = t
	}
}

// all is the records, oldest first.
func (h *history) all() []*Transition {
	return slices.Concat(h.ring[h.next:], h.ring[:h.next])
}

// flaps is the number of changes of the effective state in the last hour that
// the record still has.
func (h *history) flaps(now time.Time) (n int) {
	for _, t := range h.ring {
		n += btoi(!t.Shadow && now.Sub(t.At) < flapSpan)
	}
	return n
}

// keepRecordLocked enters a record into the history. The keys of a set share a
// budget; beyond it each keeps its newest alone. mu is held.
func (b *Breaker) keepRecordLocked(t *Transition) {
	h := &b.cold.Load().past
	grow := len(h.ring) < keptTransitions && h.next == 0 && !b.cfg.noHistory
	if b.cfg.owner != nil {
		b.keepLocked()
		grow = grow && len(h.ring) > 0 && b.cfg.owner.noteRecord()
	}
	h.add(t, grow)
}

// History is the record of the last transitions, oldest first: 32 of them, or
// for a keyed breaker what the budget of its set allows, see SetOptions.
func (b *Breaker) History() []Transition {
	b.mu.Lock()
	var all []*Transition
	if c := b.cold.Load(); c != nil {
		all = c.past.all()
	}
	b.mu.Unlock()
	out := make([]Transition, len(all))
	for i, t := range all {
		out[i] = *t
	}
	return out
}
