package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/ops"
)

// Moves returns a text such as "2 closed -> forced-open, 1 stays forced-open"
// for orders for several breakers, those that change their state first; "" for
// orders for one.
func Moves(all []ops.Receipt) string {
	var parts []string
	for _, m := range sumOf(all) {
		switch n := m.Count; {
		case m.From != m.To:
			parts = append(parts, fmt.Sprintf("%d %s -> %s", n, m.From, m.To))
		case n == 1:
			parts = append(parts, fmt.Sprintf("1 stays %s", m.To))
		default:
			parts = append(parts, fmt.Sprintf("%d stay %s", n, m.To))
		}
	}
	return strings.Join(parts, ", ")
}

// sumOf adds up the moves of several receipts, those that change a state
// first.
func sumOf(all []ops.Receipt) (out []ops.Move) {
	sum := map[ops.Move]int{}
	for i := range all {
		for _, m := range all[i].Moves {
			n := m.Count
			m.Count = 0
			sum[m] += n
		}
	}
	for m, n := range sum {
		m.Count = n
		out = append(out, m)
	}
	stays := func(m ops.Move) int {
		if m.From == m.To {
			return 1
		}
		return 0
	}
	slices.SortFunc(out, func(a, b ops.Move) int {
		return cmp.Or(stays(a)-stays(b), b.Count-a.Count, cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return out
}

// Limits for what is shown about several breakers before an order is given.
const (
	changesShown = 3 // kinds of changes
	idsShown     = 5 // of each
)

// Changes says which breakers would change their state, with a line for each
// kind of change, for orders for several breakers.
func Changes(all ...ops.Receipt) (lines []string) {
	for _, m := range sumOf(all) {
		if m.From == m.To || len(lines) == changesShown {
			break // those that stay come last
		}
		var ids []string
		for i := range all {
			for j := range all[i].Results {
				if x := &all[i].Results[j]; x.Error == "" && x.Before == m.From && x.After == m.To && len(ids) < idsShown {
					ids = append(ids, x.ID)
				}
			}
		}
		line := fmt.Sprintf("%d %s -> %s: %s", m.Count, m.From, m.To, strings.Join(ids, ", "))
		if m.Count > len(ids) {
			line += ", …"
		}
		lines = append(lines, line)
	}
	return lines
}
