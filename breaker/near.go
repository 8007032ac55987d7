package breaker

import (
	"slices"
	"strings"
)

const (
	nearShown  = 3
	nearLooked = 10_000 // keys of a set that are compared
)

// near is the ids nearest to one that is unknown: those of the set it names,
// if it names one, else all names.
func (m *Manager) near(id string, of member) []string {
	var ids []string
	if of != nil {
		ids = of.ids(nearLooked)
	} else {
		for _, x := range m.all() {
			ids = append(ids, x.Name())
		}
	}
	type near struct {
		id   string
		away int
	}
	limit := max(2, len(id)/3)
	var close []near
	for _, x := range ids {
		if d := distance(strings.ToLower(id), strings.ToLower(x), limit); d <= limit {
			close = append(close, near{x, d})
		}
	}
	slices.SortFunc(close, func(a, b near) int {
		if a.away != b.away {
			return a.away - b.away
		}
		return strings.Compare(a.id, b.id)
	})
	var out []string
	for _, c := range close[:min(nearShown, len(close))] {
		out = append(out, c.id)
	}
	return out
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours between a and b (the optimal string alignment distance), or more
// than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+btoi(a[i-1] != b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
