package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/ops"
)

// Moves is such as "2 closed -> forced-open, 1 stays forced-open" of orders for
// several breakers, those that change their state first; "" of orders for one.
func Moves(all []ops.Receipt) string {
	sum := map[ops.Move]int{}
	for i := range all {
		for _, m := range all[i].Moves {
			n := m.Count
			m.Count = 0
			sum[m] += n
		}
	}
	stays := func(m ops.Move) int {
		if m.From == m.To {
			return 1
		}
		return 0
	}
	order := slices.SortedFunc(maps.Keys(sum), func(a, b ops.Move) int {
		return cmp.Or(stays(a)-stays(b), sum[b]-sum[a], cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	var parts []string
	for _, m := range order {
		switch n := sum[m]; {
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
