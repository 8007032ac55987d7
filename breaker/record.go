package breaker

import "time"

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
	return append([]ErrorSample(nil), r.kept[:n]...)
}

// history is a ring of the last transitions. Records are never changed once
// they are in it, so that readers outside the lock may hold them.
type history struct {
	ring []*Transition
	next int // where the next one goes, once the ring is full
}

func (h *history) add(t Transition, newestOnly bool) *Transition {
	switch {
	case newestOnly && len(h.ring) == 1:
		h.ring[0] = &t
	case len(h.ring) < keptTransitions:
		h.ring = append(h.ring, &t)
	default:
		h.ring[h.next] = &t
		h.next = (h.next + 1) % keptTransitions
	}
	return &t
}

// all is the records, oldest first.
func (h *history) all() []Transition {
	out := make([]Transition, 0, len(h.ring))
	for i := range h.ring {
		out = append(out, *h.ring[(h.next+i)%len(h.ring)])
	}
	return out
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
