package fleet

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// receiptsOf is the table of an order's receipts. The store forgets it an hour after
// the last of them, so that receipts do not pile up (F11).
func receiptsOf(order string) Table { return ReceiptTable + Table(":"+order) }

// Recent returns the orders of the last ten minutes and those that stand, the
// newest first, each with the receipts that have come in so far. Dry runs are not
// among them.
func (g *Group) Recent(ctx context.Context) ([]Receipts, error) {
	return g.recent(ctx, math.MaxInt)
}

// recent is Recent for the newest so many.
func (g *Group) recent(ctx context.Context, most int) ([]Receipts, error) {
	orders, _, err := g.store.Orders(ctx)
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
		if stored.Age <= orderLasts || o.Standing() {
			out = append(out, Receipts{ID: o.ID, Number: stored.Number, Age: ops.Duration(stored.Age), Order: o.Order})
		}
	}
	slices.SortFunc(out, func(a, b Receipts) int { return cmp.Or(cmp.Compare(a.Age, b.Age), cmp.Compare(b.Number, a.Number)) })
	out = out[:min(len(out), most)]
	for i := range out {
		r := &out[i]
		receipts, err := g.store.All(ctx, receiptsOf(r.ID))
		if err != nil {
			return nil, err
		}
		// A member that has gone through the orders up to this one, without a
		// receipt, joined after it and was not meant.
		waiting := map[string]string{}
		for field, m := range there {
			if m.Done < r.Number {
				waiting[field] = m.Member
			}
		}
		g.fill(r, receipts, waiting)
	}
	return out, nil
}

// maxText is how much is kept of what others have said, in bytes (F11).
const maxText = 500

// cut shortens a text to so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// closeReceipt makes a message of a receipt. One that is too large, of an order for
// very many breakers, has the results that fit, and the number of the others.
func (f *Fleet) closeReceipt(r *wire.Receipt) ([]byte, error) {
	r.Error = cut(r.Error, maxText)
	for {
		message, err := f.seal.CloseRecord(wire.KindReceipt, r)
		if !errors.Is(err, wire.ErrSize) || r.Receipt == nil || len(r.Receipt.Results) == 0 {
			return message, err
		}
		keep := len(r.Receipt.Results) / 2
		r.Receipt.Omitted += len(r.Receipt.Results) - keep
		r.Receipt.Results = r.Receipt.Results[:keep]
	}
}
