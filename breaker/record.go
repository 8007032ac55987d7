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

func (r *errorRing) add(text string, took time.Duration) {
	s := ErrorSample{Text: text, Latency: took, Count: 1}
	last := keptErrors - 1
	for i := range r.kept {
		if r.kept[i].Text == text { // an empty place counts 0
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

// history is a ring of the last transitions. They stand in it by value: a
// breaker that flaps writes where it has written before, and allocates nothing.
type history struct {
	ring []Transition
	next int // where the next one goes, once the ring is full
}

func (h *history) add(t *Transition, newestOnly bool) {
	switch {
	case newestOnly && len(h.ring) == 1:
		h.ring[0] = *t
	case len(h.ring) < keptTransitions:
		h.ring = append(h.ring, *t)
	default:
		h.ring[h.next] = *t
		h.next = (h.next + 1) % keptTransitions
	}
}

// all is the records, oldest first.
func (h *history) all() []Transition {
	return slices.Concat(h.ring[h.next:], h.ring[:h.next])
}

// whyLocked is what began the effective state; nil: nothing yet. It is shared
// and never changed. mu is held.
func (c *cold) whyLocked() *Transition {
	if c.why == nil && c.last.Version != 0 {
		t := c.last
		c.why = &t
	}
	return c.why
}

// History is the record of the last 32 transitions, oldest first.
func (b *Breaker) History() []Transition {
	b = b.current()
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.cold.Load(); c != nil {
		return c.past.all()
	}
	return nil
}
