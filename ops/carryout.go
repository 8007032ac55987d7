package ops

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// ErrConfirm is matched by the error for an order with a wildcard that would
// apply to more breakers than Order.Confirm allows.
var ErrConfirm = errors.New("order not confirmed")

// carryOut carries out an order on the breakers of the manager; see Do. kept means
// that what is to outlive a restart is kept elsewhere. If it returns an error, the
// receipt shows what the order was.
func (p *Plane) carryOut(o Order, kept bool) (Receipt, error) {
	r := Receipt{ID: o.ID, Verb: o.Verb, DryRun: o.DryRun, Note: o.note()}
	err := p.standing.do(&o, &r, kept, func() error { return r.carryOut(p, o) })
	r.shorten()
	return r, err
}

func (r *Receipt) carryOut(p *Plane, o Order) error {
	if err := o.Check(); err != nil {
		return err
	}
	r.Results = []Result{}
	switch {
	case o.Verb == VerbMark:
		return p.setMark(o)
	case o.Verb == VerbShadow, o.Verb == VerbUnshadow:
		return r.shadow(p.m, o)
	case !o.Wildcard():
		return r.one(p, o)
	case o.changesSettings():
		return r.setAll(p.m, o)
	}
	found, err := match(p.m, o)
	if err != nil {
		return err
	}
	r.Matched = len(found)
	for _, b := range found {
		res, err := p.apply(b, o)
		var notMeant *notMeantError
		if errors.As(err, &notMeant) { // it existed when the breakers were counted
			r.Matched--
			continue
		}
		r.add(res, err)
	}
	return nil
}

func (r *Receipt) one(p *Plane, o Order) error {
	b, err := find(p.m, o.ID)
	if err != nil {
		return err
	}
	res, err := p.apply(b, o)
	var notMeant *notMeantError
	switch {
	case errors.As(err, &notMeant) && len(o.States) > 0:
		r.Note = notMeant.why
		return nil
	case err != nil:
		return err
	}
	r.Matched = 1
	r.add(res, nil)
	return nil
}

// setMark keeps the newest mark of the process. On the timeline, the mark is
// the event of its order.
func (p *Plane) setMark(o Order) error {
	switch set, wild := strings.CutSuffix(o.ID, "/*"); {
	case o.ID == "*":
		if !o.DryRun {
			p.notes.setMark(Note{At: time.Now(), Actor: o.Actor, Reason: o.Reason})
		}
		return nil
	case wild:
		_, err := p.m.LookupSet(set)
		return err
	}
	_, err := find(p.m, o.ID)
	return err
}

// find is Manager.Lookup with a better hint for the name of a set.
func find(m *breaker.Manager, id string) (*breaker.Breaker, error) {
	b, err := m.Lookup(id)
	if err == nil {
		return b, nil
	}
	if s, setErr := m.LookupSet(id); setErr == nil {
		return nil, &breaker.UnknownError{ID: id, Near: []string{s.Name() + "/*"}}
	}
	return nil, err
}

// match returns the breakers that a wildcard matches, if there are no more
// than confirmed.
func match(m *breaker.Manager, o Order) ([]*breaker.Breaker, error) {
	var found []*breaker.Breaker
	if o.ID == "*" {
		found = m.Breakers()
	} else {
		s, err := m.LookupSet(strings.TrimSuffix(o.ID, "/*"))
		if err != nil {
			return nil, err
		}
		found = s.Breakers()
	}
	found = slices.DeleteFunc(found, func(b *breaker.Breaker) bool { return !o.meant(b) })
	if _, err := o.confirmed(len(found)); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *breaker.Breaker) int { return strings.Compare(a.ID(), b.ID()) })
	return found, nil
}

// ConfirmError is the error for an order that would apply to more breakers
// than it confirms. It matches ErrConfirm.
type ConfirmError struct {
	ID      string // the order's
	Matched int    // what Order.Confirm must be, at least
	Confirm int    // what it was
}

// Error names the number to confirm.
func (e *ConfirmError) Error() string {
	if e.Confirm == 0 {
		return fmt.Sprintf("%s applies to %s: confirm that number", e.ID, breakers(e.Matched))
	}
	return fmt.Sprintf("%s applies to %s now, and the number confirmed was %d: nothing was changed", e.ID, breakers(e.Matched), e.Confirm)
}

func breakers(n int) string {
	if n == 1 {
		return "1 breaker"
	}
	return fmt.Sprintf("%d breakers", n)
}

// Is reports whether target is ErrConfirm.
func (e *ConfirmError) Is(target error) bool { return target == ErrConfirm }

// confirmed returns n, or an error if the order may not apply to so many.
func (o *Order) confirmed(n int) (int, error) {
	if o.DryRun || n <= o.Confirm {
		return n, nil
	}
	return n, &ConfirmError{ID: o.ID, Matched: n, Confirm: o.Confirm}
}
