// Package page writes what happened as a single HTML page that needs no other
// file and no network.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/metrics"
	"github.com/switchgear-go/switchgear/ops"
)

// Incident is what the page shows.
type Incident struct {
	From, To time.Time
	IDs      []string // the requested ids; none: all
	Events   []view.Happening
	Gaps     []string
}

//go:embed page.html
var source string

// The functions make all text plain: the page is evidence, and invisible
// characters must not change what it says.
var layout = template.Must(template.New("page").Funcs(template.FuncMap{
	"plain": plain.Text,
	"clock": func(at time.Time) string { return at.Local().Format("15:04:05.000") },
	"day":   func(at time.Time) string { return at.Local().Format("2006-01-02 15:04:05 MST") },
	"what":  func(e *ops.Event) string { return view.What(e).Text },
	"who":   view.Who,
	"why":   view.Reason,
	"state": stateOf,
	"trace": traces,
}).Parse(source))

// Write writes the page.
func (x *Incident) Write(w io.Writer) error {
	data := struct {
		*Incident
		Lanes    []*lane
		LeftOut  int
		Ticks    []tick
		Rows     []row
		Duration time.Duration
		States   []breaker.State
	}{Incident: x, States: metrics.States(), Ticks: ticks(x.From, x.To), Duration: x.To.Sub(x.From).Round(time.Second)}
	data.Lanes, data.LeftOut = lanes(x)
	day := ""
	for i := range x.Events {
		r := row{Happening: &x.Events[i], E: &x.Events[i].Event}
		if d := r.At.Local().Format("Monday, 2 January 2006"); d != day {
			r.Day, day = d, d
		}
		data.Rows = append(data.Rows, r)
	}
	if err := layout.Execute(w, data); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	return nil
}

type row struct {
	*view.Happening
	E   *ops.Event
	Day string // set in the first row of a day
}

// stateOf returns the CSS class of a row.
func stateOf(e *ops.Event) string {
	switch {
	case e.Kind == ops.EventTransition && e.Transition != nil && !e.Transition.Shadow:
		return e.Transition.To.String()
	case e.Order != nil, e.Override != nil:
		return "order"
	}
	return "other"
}

// traces returns the ids of the traces of the errors that decided.
func traces(e *ops.Event) (ids []string) {
	if e.Transition != nil {
		for _, s := range e.Transition.Errors {
			if s.TraceID != "" {
				ids = append(ids, s.TraceID)
			}
		}
	}
	return ids
}

const (
	mostLanes = 60
	width     = 1000 // of a lane, in units of its drawing
)

// lane is the timeline of one breaker of one process.
type lane struct {
	Process, ID string
	Spans       []span
	at          time.Time // when the state below began
	state       breaker.State
}

// span is a time spent in one state.
type span struct {
	X, W  float64
	State string
	Title string
}

// lanes returns a lane for each breaker that changed, in the order of their
// first changes.
func lanes(x *Incident) (all []*lane, leftOut int) {
	byID := map[[2]string]*lane{}
	scale := func(at time.Time) float64 {
		return min(max(at.Sub(x.From).Seconds()/max(x.To.Sub(x.From).Seconds(), 1)*width, 0), width)
	}
	end := func(l *lane, at time.Time) {
		from, to := scale(l.at), scale(at)
		l.Spans = append(l.Spans, span{
			X: from, W: max(to-from, 1.5), State: l.state.String(),
			Title: fmt.Sprintf("%s from %s to %s", l.state, l.at.Local().Format(time.TimeOnly), at.Local().Format(time.TimeOnly)),
		})
	}
	for i := range x.Events {
		e := &x.Events[i]
		if e.Kind != ops.EventTransition || e.Transition == nil || e.Transition.Shadow {
			continue
		}
		key := [2]string{e.Process, e.ID}
		l := byID[key]
		if l == nil {
			l = &lane{Process: e.Process, ID: e.ID, at: x.From, state: e.Transition.From}
			byID[key] = l
			all = append(all, l)
		}
		end(l, e.At)
		l.at, l.state = e.At, e.Transition.To
	}
	for _, l := range all {
		end(l, x.To)
	}
	leftOut = max(0, len(all)-mostLanes)
	return all[:len(all)-leftOut], leftOut
}

// tick is a time on the axis.
type tick struct {
	Percent float64 // position along the axis
	Text    string
}

// ticks returns four to ten round times.
func ticks(from, to time.Time) (all []tick) {
	steps := []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}
	length := to.Sub(from)
	step := max(length/8, 24*time.Hour)
	for _, s := range steps {
		if length/s <= 10 {
			step = s
			break
		}
	}
	format := "15:04"
	if step < time.Minute {
		format = time.TimeOnly
	} else if step >= 12*time.Hour {
		format = "2 Jan 15:04"
	}
	_, zone := from.Local().Zone()
	shift := time.Duration(zone) * time.Second
	for at := from.Add(shift).Truncate(step).Add(step - shift); at.Before(to); at = at.Add(step) {
		if x := at.Sub(from).Seconds() / length.Seconds() * 100; x > 3 && x < 97 { // there is room for its text
			all = append(all, tick{x, at.Local().Format(format)})
		}
	}
	return all
}
