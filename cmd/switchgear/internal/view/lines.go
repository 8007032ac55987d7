package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
)

// Line is one breaker of one process; or, with Keys set, what a set's keys are
// like in sum.
type Line struct {
	Process string // "" when there is only one
	breaker.Status
	Keys *Keys
}

// Keys is a set in sum.
type Keys struct {
	States [5]int // number of keys by state
	Hidden int    // those of them that have no line of their own
}

// Order is how lines are sorted.
type Order string

// The orders.
const (
	Worst  Order = "worst" // worst first, then busiest, then by id
	ByID   Order = "id"
	Newest Order = "since" // what changed last, first
	Busy   Order = "calls" // most calls in the window first
	Fails  Order = "fails" // most failures in the window, or in a row, first
)

// Orders are all orders, the default first.
var Orders = []Order{Worst, ByID, Newest, Busy, Fails}

// Sort sorts lines. Those that are alike stand by process and id.
func Sort(lines []Line, by Order) {
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Or(by.compare(&a, &b), byID(&a, &b)) })
}

func (o Order) compare(a, b *Line) int {
	switch o {
	case ByID:
		return 0
	case Newest:
		return b.Since.Compare(a.Since)
	case Busy:
		return b.Window.Calls - a.Window.Calls
	case Fails:
		return max(b.Window.Failures, b.FailCount) - max(a.Window.Failures, a.FailCount)
	default:
		return cmp.Or(severity(&a.Status)-severity(&b.Status), b.Window.Calls-a.Window.Calls)
	}
}

func byID(a, b *Line) int {
	return cmp.Or(strings.Compare(a.Process, b.Process), strings.Compare(a.ID, b.ID))
}

// severity is less for what needs eyes first. An override that hides a breaker
// that would be open is as bad as an open one.
func severity(s *breaker.Status) int {
	switch {
	case s.State == breaker.Open, s.State == breaker.ForcedClosed && s.Auto == breaker.Open:
		return 0
	case s.State == breaker.HalfOpen:
		return 1
	case s.Override != nil:
		return 2
	case s.Admitted < 1:
		return 3
	case s.FailCount > 0 || s.Window.Failures > 0:
		return 4
	default:
		return 5
	}
}

// KeysShown is how many keys of a set Fold leaves, the worst, where there are
// more.
const KeysShown = 5

// Fold puts a line in sum in the place of the keys of each larger set, and
// leaves the worst keys below it that are not well. Lines must be in order; it
// stays.
func Fold(lines []Line) []Line {
	type group struct{ process, set string }
	sums := map[group]*Keys{}
	for i := range lines {
		if l := &lines[i]; keyed(l) {
			g := group{l.Process, l.Name}
			if sums[g] == nil {
				sums[g] = &Keys{}
			}
			sums[g].States[l.State]++
		}
	}
	var out []Line
	shown := map[group]int{}
	for _, l := range lines {
		sum := sums[group{l.Process, l.Name}]
		if !keyed(&l) || sum.total() <= KeysShown {
			out = append(out, l)
			continue
		}
		g := group{l.Process, l.Name}
		if shown[g]++; shown[g] == 1 {
			out = append(out, Line{Process: l.Process, Keys: sum, Status: breaker.Status{ID: l.Name + "/*", Name: l.Name, State: l.State}})
		}
		if shown[g] > KeysShown || severity(&l.Status) > 4 {
			sum.Hidden++
			continue
		}
		out = append(out, l)
	}
	return out
}

func keyed(l *Line) bool { return strings.Contains(l.ID, "/") }

func (k *Keys) total() (n int) {
	for _, x := range k.States {
		n += x
	}
	return n
}

// String is such as "412 keys: 2 open, 1 forced-open, 409 closed".
func (k *Keys) String() string {
	var parts []string
	for _, s := range []breaker.State{breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed, breaker.Closed} {
		if n := k.States[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return fmt.Sprintf("%d keys: %s", k.total(), strings.Join(parts, ", "))
}

// Table lays out lines as of now.
func Table(lines []Line, now time.Time) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "PROCESS", Optional: true, Drop: 2},
		{Title: "ID", Min: 12},
		{Title: "STATE"},
		{Title: "AUTO", Optional: true, Drop: 3},
		{Title: "OVERRIDE", Optional: true, Min: 6, Drop: 4},
		{Title: "SINCE", Right: true, Drop: 5},
		{Title: "NEXT", Optional: true, Drop: 1},
		{Title: "CALLS/FAILED/SLOW", Right: true, Optional: true, Drop: 6},
		{Title: "WHY", Optional: true, Min: 16},
	}}
	for i := range lines {
		t.Rows = append(t.Rows, row(&lines[i], now))
	}
	return t
}

func row(l *Line, now time.Time) []table.Cell {
	process := table.Cell{Text: l.Process, Style: dim}
	if l.Keys != nil {
		return []table.Cell{process, table.Plain(l.ID), {}, {}, {}, {}, {}, {}, table.Plain(l.Keys.String())}
	}
	s := &l.Status
	return []table.Cell{
		process, table.Plain(l.ID), State(s.State), auto(s), table.Plain(override(s)),
		table.Plain(since(s, now)), table.Plain(next(s, now)), table.Plain(window(s)), table.Plain(Why(s)),
	}
}
