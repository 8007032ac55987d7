package breaker

import (
	"slices"
	"time"
)

const (
	keptErrors      = 3  // distinct errors in the record of a trip
	keptTransitions = 32 // records in the history of a breaker
)

// errorRing holds the last distinct errors, newest first. Breaker.mu guards it.
type errorRing struct {
	kept [keptErrors]ErrorSample
}

// add moves the error to the front, in place of the same error or of the oldest
// one. The count of s is 1.
func (r *errorRing) add(s ErrorSample) {
	last := keptErrors - 1
	for i := range r.kept {
		if r.kept[i].Error == s.Error { // an empty place has Count 0
			s.Count += r.kept[i].Count
			last = i
			break
		}
	}
	copy(r.kept[1:last+1], r.kept[:last])
	r.kept[0] = s
}

// take returns a copy of the errors for a record.
func (r *errorRing) take() []ErrorSample {
	n := 0
	for n < keptErrors && r.kept[n].Count > 0 {
		n++
	}
	if n == 0 {
		return nil
	}
	out := make([]ErrorSample, n) // exact size: append would allocate more
	copy(out, r.kept[:n])
	return out
}

// history is a ring of the last records. Status, errors and listeners share
// them, so they are never modified. Breaker.mu guards the ring.
type history struct {
	ring []*Transition
	next int // where the next record goes, once the ring is full
}

// add adds a record, in place of the oldest one unless the ring may grow.
func (h *history) add(t *Transition, grow bool) {
	if grow || len(h.ring) == 0 {
		h.ring = append(h.ring, t)
		return
	}
	h.ring[h.next] = t
	h.next = (h.next + 1) % len(h.ring)
}

// replace replaces a record by a modified copy.
func (h *history) replace(old, t *Transition) {
	if i := slices.Index(h.ring, old); i >= 0 {
		h.ring[i] = t
	}
}

// all returns the records, oldest first.
func (h *history) all() []*Transition {
	return slices.Concat(h.ring[h.next:], h.ring[:h.next])
}

// flaps returns the number of changes of the effective state in the last hour,
// as far as the history goes back.
func (h *history) flaps(now time.Time) (n int) {
	for _, t := range h.ring {
		n += btoi(!t.Shadow && now.Sub(t.At) < flapSpan)
	}
	return n
}

// keepRecordLocked adds a record to the history. The keys of a set share a
// budget; once it is used up, each key keeps its newest record only. mu is
// held.
func (b *Breaker) keepRecordLocked(t *Transition) {
	h := &b.cold.Load().past
	grow := len(h.ring) < keptTransitions && h.next == 0 && !b.cfg.noHistory
	if b.cfg.owner != nil {
		// A history is evidence that the word does not show (I8).
		b.keepLocked()
		grow = grow && len(h.ring) > 0 && b.cfg.owner.noteRecord()
	}
	h.add(t, grow)
}

// History returns the last transitions, oldest first: up to 32, or for a keyed
// breaker as many as the budget of its set allows, see SetOptions.MaxHistory.
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
