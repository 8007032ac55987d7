package fleet

import (
	"cmp"
	"context"
	"slices"

	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// Recent returns the orders of the last ten minutes and those that stand, the
// newest first, each with the receipts that have come in so far. Dry runs are not
// among them.
func (g *Group) Recent(ctx context.Context) ([]Receipts, error) {
	orders, _, err := g.store.Orders(ctx)
	if err != nil {
		return nil, err
	}
	receipts, err := g.store.All(ctx, ReceiptTable)
	if err != nil {
		return nil, err
	}
	reports, _, err := g.store.Collect(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]*wire.Report{}
	for field, raw := range reports {
		if r := g.report(raw); r != nil {
			there[field] = r
		}
	}
	out := []Receipts{}
	for _, stored := range orders {
		var o wire.Order
		if g.seal.OpenRecord(wire.KindOrder, stored.Order, &o) != nil || o.ID != stored.ID || o.Order.DryRun {
			continue
		}
		if stored.Age > orderLasts && !o.Standing() {
			continue
		}
		r := Receipts{ID: o.ID, Number: stored.Number, Age: ops.Duration(stored.Age), Order: o.Order}
		// A member that has gone through the orders up to this one, without a
		// receipt, joined after it and was not meant.
		waiting := map[string]string{}
		for field, m := range there {
			if m.Done < stored.Number {
				waiting[field] = m.Member
			}
		}
		g.fill(&r, receipts, waiting)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Receipts) int { return cmp.Or(cmp.Compare(a.Age, b.Age), cmp.Compare(b.Number, a.Number)) })
	return out, nil
}
