package top

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/switchgear-go/switchgear/ops"
)

// chosen returns the lines that an order applies to: those that are marked, or
// else the selected one.
func (m *model) chosen() []Ref {
	if len(m.marked) > 0 {
		return slices.Clone(m.marked)
	}
	if ref, ok := m.selected(); ok {
		return []Ref{ref}
	}
	return nil
}

// mark marks the selected line, or removes its mark, and moves to the next.
func (m *model) mark() {
	ref, ok := m.selected()
	if !ok {
		return
	}
	if i := slices.Index(m.marked, ref); i >= 0 {
		m.marked = slices.Delete(m.marked, i, i+1)
	} else {
		m.marked = append(m.marked, ref)
	}
	m.move(1)
}

// result is the result of an order for one of its lines.
type result struct {
	Ref
	ops.Receipt
	err error
}

// do gives an order to all refs at once. Those with a wildcard are confirmed
// for as many breakers as the dry run in before found.
func (m *model) do(ctx context.Context, refs []Ref, o ops.Order, before []result) []result {
	all := make([]result, len(refs))
	var wg sync.WaitGroup
	for i, ref := range refs {
		wg.Go(func() {
			each := o
			each.ID = ref.ID
			if each.Wildcard() && before != nil {
				each.Confirm = before[i].Matched
			}
			all[i].Ref = ref
			all[i].Receipt, all[i].err = m.c.Do(ctx, ref.Process, each)
		})
	}
	wg.Wait()
	return all
}

// sum combines the receipts of an order for several lines, and the errors,
// each with its id.
func sum(all []result) (ops.Receipt, error) {
	if len(all) == 1 {
		return all[0].Receipt, all[0].err
	}
	r := ops.Receipt{ID: fmt.Sprintf("%d marked", len(all))}
	var errs []error
	moves := map[ops.Move]int{}
	for i := range all {
		x := &all[i]
		if x.err != nil {
			errs = append(errs, fmt.Errorf("%s in %s: %w", x.Ref.ID, x.Process, x.err))
			continue
		}
		r.Verb, r.DryRun = x.Verb, x.DryRun
		r.Matched += x.Matched
		r.Touched += x.Touched
		r.Failed += x.Failed
		r.Results = append(r.Results, x.Results...)
		r.Note = cmp.Or(r.Note, x.Note)
		r.AuditError = cmp.Or(r.AuditError, x.AuditError)
		r.StandingError = cmp.Or(r.StandingError, x.StandingError)
		for _, m := range x.Moves {
			moves[ops.Move{From: m.From, To: m.To}] += m.Count
		}
		if len(x.Moves) == 0 && len(x.Results) == 1 { // for a single breaker there is no summary
			moves[ops.Move{From: x.Results[0].Before, To: x.Results[0].After}]++
		}
	}
	for m, n := range moves {
		m.Count = n
		r.Moves = append(r.Moves, m)
	}
	return r, errors.Join(errs...)
}
