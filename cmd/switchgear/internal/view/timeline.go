package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/ops"
)

// Happening is an event of one of several processes.
type Happening struct {
	Process string `json:"process"`
	ops.Event
}

// orderEffect is how long after an order its transition may follow.
const orderEffect = 10 * time.Second

// Merge sorts the events of several processes. It leaves out an order for one
// breaker if its transition says everything that the order says.
func Merge(all []Happening) []Happening {
	slices.SortStableFunc(all, func(a, b Happening) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Process, b.Process), cmp.Compare(a.Seq, b.Seq))
	})
	var out []Happening
	for i := range all {
		if all[i].Order == nil || !carriedOut(&all[i], all[i+1:]) {
			out = append(out, all[i])
		}
	}
	return out
}

// carriedOut reports whether the transition caused by an order is among the
// events that follow it.
func carriedOut(order *Happening, later []Happening) bool {
	for i := range later {
		x := &later[i]
		if x.At.Sub(order.At) > orderEffect {
			break
		}
		if t := x.Transition; x.Process == order.Process && x.ID == order.ID && t != nil && t.Cause == breaker.CauseOrder && t.Order == order.Order.Verb && t.Actor == order.Order.Actor {
			return true
		}
	}
	return false
}

// Timeline lays out events, oldest first.
func Timeline(all []Happening, several bool) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "TIME"}, {Title: "ID", Min: 12}, {Title: "WHAT"}, {Title: "WHO", Min: 6}, {Title: "WHY", Min: 16},
	}}
	if several {
		t.Columns = slices.Insert(t.Columns, 1, table.Column{Title: "PROCESS", Min: 8})
	}
	for i := range all {
		x := &all[i]
		row := []table.Cell{{Text: Clock(x.At), Style: dim}, table.Plain(x.ID), What(&x.Event), table.Plain(Who(&x.Event)), table.Plain(Reason(&x.Event))}
		if several {
			row = slices.Insert(row, 1, table.Plain(x.Process))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// What says what happened, in a few words.
func What(e *ops.Event) table.Cell {
	switch {
	case e.Kind == ops.EventHeldBack:
		return table.Cell{Text: "held back", Style: warn}
	case e.Transition != nil && e.Transition.Shadow: // the next call is not affected
		return table.Cell{Text: fmt.Sprintf("(%s -> %s)", e.Transition.From, e.Transition.To), Style: dim}
	case e.Transition != nil:
		to := State(e.Transition.To)
		to.Text = e.Transition.From.String() + " -> " + to.Text
		return to
	case e.Order != nil:
		return table.Cell{Text: string(e.Order.Verb), Style: byOrder}
	case e.Shadow != nil: // no call meets it
		return table.Cell{Text: fmt.Sprintf("(%s -> %s)", e.Shadow.Transition.From, e.Shadow.Transition.To), Style: dim}
	case e.Kind == ops.EventAudit:
		return table.Cell{Text: "audit log", Style: warn}
	}
	return table.Plain(string(e.Kind))
}

// Who returns the person who did it, or "" if it happened automatically.
func Who(e *ops.Event) string {
	switch {
	case e.Transition != nil:
		return e.Transition.Actor
	case e.Order != nil:
		return e.Order.Actor
	case e.Override != nil:
		return e.Override.Actor
	}
	return ""
}

// Reason returns why it happened, or the text of a notice.
func Reason(e *ops.Event) string {
	switch {
	case e.Kind == ops.EventHeldBack:
		return Story(e.Transition) + "; the cap on open breakers kept it closed"
	case e.Transition != nil:
		return Story(e.Transition)
	case e.Order != nil:
		return orderText(e.Order)
	case e.Shadow != nil:
		return "the shadow " + e.Shadow.Name + ": " + e.Shadow.Transition.Summary()
	case e.Override != nil && !e.Override.Expires.IsZero():
		return fmt.Sprintf("half the time of the override has passed, it ends at %s (%q)", Clock(e.Override.Expires), e.Override.Reason)
	case e.Missed > 0:
		return fmt.Sprintf("%d events were missed", e.Missed)
	}
	return e.Notice
}

func orderText(o *ops.OrderEvent) string {
	var parts []string
	if o.Shadow != "" {
		parts = append(parts, "the shadow "+o.Shadow)
	}
	for _, c := range o.Changes {
		parts = append(parts, fmt.Sprintf("%s %s -> %s", c.Key, c.From, c.To))
	}
	if o.For > 0 {
		parts = append(parts, "for "+Short(time.Duration(o.For)))
	}
	changed := fmt.Sprintf("%d changed", o.Touched)
	if o.Failed > 0 {
		changed += fmt.Sprintf(", %d could not be", o.Failed)
	}
	text := strings.Join(append(parts, changed), "; ")
	if o.Reason != "" {
		text += fmt.Sprintf(" (%q)", o.Reason)
	}
	return text
}
