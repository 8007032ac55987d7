package ops

import (
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	maxNotes = 5       // of a breaker
	maxNoted = 1000    // breakers with notes
	maxAcks  = 100_000 // breakers that are acknowledged
)

// Note is what a person wrote about a breaker or a process.
type Note struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"` // the Reason of its order
}

// notes holds the notes on breakers and their acknowledgements. They end with
// the process.
type notes struct {
	mu   sync.Mutex // guards the fields below
	by   map[string][]Note
	acks map[string]*Note // one for all ids of an order
	mark *Note            // the newest mark of the process
}

// apply carries out VerbNote or VerbAck.
func (n *notes) apply(b *breaker.Breaker, o Order) (Result, error) {
	s := b.Status()
	res := Result{Receipt: breaker.Receipt{ID: s.ID, Before: s.State, After: s.State, From: s.Version, Version: s.Version, DryRun: o.DryRun}}
	x := Note{At: time.Now(), Actor: o.Actor, Reason: o.Reason}
	switch {
	case o.Verb == VerbAck:
		return res, n.ack(b, x, o.DryRun)
	case o.DryRun:
	case o.Reason == "":
		n.clear(s.ID)
	default:
		n.add(s.ID, x)
	}
	return res, nil
}

func (n *notes) add(id string, x Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = map[string][]Note{}
	}
	if n.by[id] == nil && len(n.by) >= maxNoted {
		delete(n.by, n.oldestLocked())
	}
	all := append(slices.Clone(n.by[id]), x) // readers may hold the old slice
	n.by[id] = all[max(0, len(all)-maxNotes):]
}

// oldestLocked returns the id whose newest note is the oldest. mu is held.
func (n *notes) oldestLocked() (oldest string) {
	var at time.Time
	for id, all := range n.by {
		if last := all[len(all)-1].At; oldest == "" || last.Before(at) {
			oldest, at = id, last
		}
	}
	return oldest
}

func (n *notes) clear(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.by, id)
}

// ack acknowledges that b is not closed. It checks the state after the
// acknowledgement is stored: if b closes later, closed removes it.
func (n *notes) ack(b *breaker.Breaker, x Note, dry bool) error {
	id := b.ID()
	closed := func() error { return notMeant("ack of %s, which is closed", id) }
	if dry {
		if b.State() == breaker.Closed {
			return closed()
		}
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.acks[id] == nil && len(n.acks) >= maxAcks {
		return bad("%d breakers are acknowledged already, which is the limit", len(n.acks))
	}
	if b.State() == breaker.Closed {
		return closed()
	}
	if n.acks == nil {
		n.acks = map[string]*Note{}
	}
	n.acks[id] = &x
	return nil
}

// closed removes the acknowledgement of a breaker that has closed. A listener
// calls it.
func (n *notes) closed(b *breaker.Breaker) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.State() == breaker.Closed {
		delete(n.acks, b.ID())
	}
}

func (n *notes) setMark(x Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mark = &x
}

func (n *notes) lastMark() *Note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mark
}

// of returns the notes on a breaker, oldest first, and its acknowledgement.
// Neither may be modified.
func (n *notes) of(id string) ([]Note, *Note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.by[id], n.acks[id]
}

// onto adds to a status what people wrote about the breaker.
func (n *notes) onto(s *Status) { s.Notes, s.Ack = n.of(s.ID) }
