package view

import (
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
)

// History lays out transitions, oldest first.
func History(all []breaker.Transition) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "TIME"}, {Title: "FROM", Drop: 1}, {Title: "TO"}, {Title: "WHY", Min: 16},
	}}
	for i := range all {
		x := &all[i]
		t.Rows = append(t.Rows, []table.Cell{
			{Text: Clock(x.At), Style: dim}, State(x.From), State(x.To), table.Plain(Story(x)),
		})
	}
	return t
}

// Clock returns a time of day, with the date unless it is today.
func Clock(at time.Time) string {
	at = at.Local()
	if time.Since(at) > 24*time.Hour {
		return at.Format("2006-01-02 15:04:05")
	}
	return at.Format("15:04:05.000")
}

// Story returns why a transition happened and what followed.
func Story(t *breaker.Transition) string {
	text := t.Summary()
	if t.Shadow {
		text = "behind its override: " + text
	}
	if t.OpenFor > 0 {
		text += "; open for " + Short(t.OpenFor)
	}
	if t.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", t.Attempt)
	}
	if t.For > 0 {
		text += "; for " + Short(t.For)
	}
	return text
}
