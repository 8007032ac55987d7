package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/ops"
)

// Line is one breaker of one process, or the sum of a set.
type Line struct {
	Process string
	User    string // who owns it; "" unless processes of several users are shown
	// Status is that of the breaker. For a set it has the ID "name/*", and
	// everything else is from its worst key.
	ops.Status
	Set  *ops.Set  // nil for a breaker
	Plot *ops.Plot // how its recent calls ended; nil if unknown
}

// block is a group of lines that stay together: a set and its worst keys.
type block []Line

// Order is how lines are sorted.
type Order string

// The orders.
const (
	Worst  Order = "worst" // worst first, then busiest, then by id
	ByID   Order = "id"
	Newest Order = "since" // what changed last, first
	Busy   Order = "calls" // most calls in the last minute first
	Trips  Order = "trips" // what opened most often in 24 hours, first
)

// Orders are all orders, the default first.
var Orders = []Order{Worst, ByID, Newest, Busy, Trips}

// Page is what processes answered, line by line.
type Page struct {
	blocks []block
	users  map[string]string // by process
}

// Owned sets the user who owns a process.
func (p *Page) Owned(process, user string) {
	if p.users == nil {
		p.users = make(map[string]string)
	}
	p.users[process] = user
}

// AddOverview adds a process with its sets folded: each is one line, followed
// by its worst keys, or by those in unfolded under its name. plots are those
// of breakers and sets by name, and may be missing.
func (p *Page) AddOverview(process string, o *ops.Overview, plots map[string]ops.Plot, unfolded map[string][]ops.Status) {
	plot := func(name string) *ops.Plot {
		if x, ok := plots[name]; ok {
			return &x
		}
		return nil
	}
	for i := range o.Breakers {
		s := &o.Breakers[i]
		p.blocks = append(p.blocks, block{{Process: process, Status: *s, Plot: plot(s.Name)}})
	}
	for i := range o.Sets {
		set := &o.Sets[i]
		head := Line{Process: process, Set: set, Plot: plot(set.Name)}
		if len(set.Worst) > 0 {
			head.Status = set.Worst[0]
		}
		head.Name, head.Key, head.ID = set.Name, "", set.Name+"/*"
		keys, ok := unfolded[set.Name]
		if !ok {
			keys = set.Worst
		}
		b := block{head}
		for _, s := range keys {
			b = append(b, Line{Process: process, Status: s})
		}
		p.blocks = append(p.blocks, b)
	}
}

// Add adds breakers of a process, one line each.
func (p *Page) Add(process string, all []ops.Status) {
	for _, s := range all {
		p.blocks = append(p.blocks, block{{Process: process, Status: s}})
	}
}

// Lines returns the lines whose process or id contains text, sorted. Equal
// lines are sorted by process and id.
func (p *Page) Lines(by Order, text string) (lines []Line) {
	slices.SortFunc(p.blocks, func(a, b block) int {
		return cmp.Or(by.compare(&a[0], &b[0]), strings.Compare(a[0].Process, b[0].Process), strings.Compare(a[0].ID, b[0].ID))
	})
	text = strings.ToLower(text)
	for _, b := range p.blocks {
		for _, l := range b {
			l.User = p.users[l.Process]
			if text == "" || strings.Contains(strings.ToLower(l.Process+" "+l.ID+" "+l.State.String()), text) {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// Sum returns a summary such as "14 breakers: 2 open, 12 closed", including
// keys.
func (p *Page) Sum() string {
	states := map[string]int{}
	n := 0
	for _, b := range p.blocks {
		if set := b[0].Set; set != nil {
			n += set.Keys
			for state, k := range set.States {
				states[state] += k
			}
			continue
		}
		n++
		states[b[0].State.String()]++
	}
	return counted(n, "breaker", states)
}

func (o Order) compare(a, b *Line) int {
	switch o {
	case ByID:
		return strings.Compare(a.ID, b.ID)
	case Newest:
		return b.Since.Compare(a.Since)
	case Busy:
		return cmp.Or(cmp.Compare(calls(b.Plot), calls(a.Plot)), cmp.Compare(b.Window.Calls, a.Window.Calls))
	case Trips:
		return cmp.Compare(b.TripsDay, a.TripsDay)
	default:
		return ops.CompareStatus(&a.Status, &b.Status)
	}
}

// counted returns a text such as "412 keys: 2 open, 1 forced-open, 409
// closed".
func counted(n int, what string, states map[string]int) string {
	var parts []string
	for _, state := range []breaker.State{breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed, breaker.Closed} {
		if k := states[state.String()]; k > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k, state))
		}
	}
	text := plain.Count(n, what, what+"s")
	if n > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}

// Table lays out lines as of now, with the process of each if there are
// several.
func Table(lines []Line, several bool, now time.Time) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "USER", Optional: true},
		{Title: "PROCESS", Optional: true, Drop: 2},
		{Title: "ID", Min: 12},
		{Title: "STATE", Optional: true},
		{Title: "AUTO", Optional: true, Drop: 3},
		{Title: "SINCE", Right: true, Optional: true, Drop: 4},
		{Title: "NEXT", Optional: true, Drop: 1},
		{Title: "60s OK/FAIL/REJ", Right: true, Optional: true, Drop: 6},
		{Title: "WINDOW N/FAIL/SLOW", Right: true, Optional: true, Drop: 8},
		{Title: "TRIPS/24h", Right: true, Optional: true, Drop: 7},
		{Title: "WHY", Optional: true, Min: 36},
	}}
	for i := range lines {
		r := row(&lines[i], now)
		if !several && lines[i].User == "" {
			r[1] = table.Cell{}
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func row(l *Line, now time.Time) []table.Cell {
	user := table.Cell{Text: l.User, Style: dim}
	process := table.Cell{Text: strings.TrimSuffix(l.Process, " ("+l.User+")"), Style: dim}
	if l.Set != nil {
		return []table.Cell{user, process, table.Plain(l.ID), {}, {}, {}, {}, table.Plain(lastMinute(l.Plot)), {}, {}, table.Plain(counted(l.Set.Keys, "key", l.Set.States))}
	}
	s := &l.Status
	return []table.Cell{
		user, process, table.Plain(l.ID), State(s.State), auto(s),
		table.Plain(since(s, now)), table.Plain(next(s, now)), table.Plain(lastMinute(l.Plot)),
		table.Plain(window(s)), table.Plain(trips(s)), table.Plain(Why(s)),
	}
}

func trips(s *ops.Status) string {
	if s.TripsDay == 0 {
		return ""
	}
	return fmt.Sprint(s.TripsDay)
}
