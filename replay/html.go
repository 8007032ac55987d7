package replay

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

//go:embed report.html
var reportText string

var reportPage = template.Must(template.New("report").Parse(reportText))

// The size of a time line, in pixels.
const (
	lineWidth  = 1000
	lineHeight = 80
	laneHeight = 14
	paretoSize = 300
)

// WriteHTML writes a report as one page that needs nothing else: a table of the
// figures, a time line of each breaker with what the candidates would have done,
// and a plot of good calls rejected against calls wasted.
func (r *Report) WriteHTML(w io.Writer, t *Trace) error {
	p := page{
		Program: t.Program, From: t.Began.Format(time.DateTime), To: t.Ended.Format(time.DateTime),
		Calls: plural(t.Calls, "call"), Rejected: t.Rejected, Episodes: plural(len(r.Episodes), "episode"),
		Width: lineWidth, Notes: slices.Clone(r.Notes),
	}
	for _, x := range r.Results {
		if x.Warning != "" {
			p.Warnings = append(p.Warnings, x.Warning)
		}
		row := pageRow{Name: x.Name, Coverage: fmt.Sprintf("%.4g%%", 100*x.Coverage)}
		for _, f := range x.Figures {
			row.Cells = append(row.Cells, pageCell{Text: f.Text(), Trust: f.Trust.String()})
		}
		p.Rows = append(p.Rows, row)
	}
	for _, f := range figures {
		p.Columns = append(p.Columns, f.name)
	}
	points, most := r.points()
	p.Points, p.MostWasted, p.MostRejected = points, fmt.Sprintf("%.0f", most[0]), fmt.Sprintf("%.0f", most[1])
	shown := r.busiest(t.Breakers)
	if more := len(t.Breakers) - len(shown); more > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("the time lines of %s are left out: the others have more episodes and transitions", plural(more, "breaker")))
	}
	drawn, err := t.draw(shown)
	if err != nil {
		return err
	}
	merged := false
	for _, l := range shown {
		line := r.line(t, l, drawn[l])
		merged = merged || line.Merged
		p.Lines = append(p.Lines, line)
	}
	if merged {
		p.Notes = append(p.Notes, fmt.Sprintf("what is less than %.3gs apart, the width of a pixel, is drawn as one", t.Ended.Sub(t.Began).Seconds()/lineWidth))
	}
	return reportPage.Execute(w, p)
}

// mostLines is the number of breakers that a page shows the time lines of.
const mostLines = 50

// busiest returns the breakers of which a page shows the time lines, in their
// order: those with the most episodes and transitions.
func (r *Report) busiest(lanes []*Lane) []*Lane {
	if len(lanes) <= mostLines {
		return lanes
	}
	events := map[string]int{}
	for _, e := range r.Episodes {
		events[e.ID]++
	}
	for _, res := range r.Results {
		for _, b := range res.Breakers {
			events[b.ID] += len(b.Moves)
		}
	}
	order := make([]int, len(lanes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(events[lanes[b].ID], events[lanes[a].ID]) })
	order = order[:mostLines]
	slices.Sort(order)
	out := make([]*Lane, 0, mostLines)
	for _, i := range order {
		out = append(out, lanes[i])
	}
	return out
}

// Text returns the figure as text, with its range if it is an assumption.
func (f Figure) Text() string {
	show := func(x float64) string {
		switch {
		case x == math.Trunc(x) && f.Unit == "":
			return fmt.Sprintf("%.0f", x)
		case math.Abs(x) >= 100:
			return fmt.Sprintf("%.0f", x)
		}
		return fmt.Sprintf("%.3g", x)
	}
	if f.Low != f.High {
		return show(f.Low) + "–" + show(f.High) + f.Unit
	}
	return show(f.Value) + f.Unit
}

type page struct {
	Program, From, To string
	Calls, Episodes   string
	Rejected          uint64
	Warnings, Notes   []string
	Columns           []string
	Rows              []pageRow
	Lines             []pageLine
	Points            []pagePoint
	MostWasted        string
	MostRejected      string
	Width             int
}

type pageRow struct {
	Name, Coverage string
	Cells          []pageCell
}

type pageCell struct{ Text, Trust string }

type pagePoint struct {
	Name                     string
	X, Y, TextY              float64
	Left, Top, Width, Height float64 // of the ranges
}

// pageLine is the time line of a breaker.
type pageLine struct {
	ID       string
	Height   int
	Good     template.HTMLAttr // the path of the calls
	Bad      template.HTMLAttr
	Episodes []pageSpan
	Unknown  []pageSpan // when every call was rejected
	Lanes    []pageLane
	Ticks    []pageTick
	Merged   bool // some spans are drawn as one
}

type pageSpan struct {
	X, W  float64
	Title string
}

type pageLane struct {
	Name string
	Y    int
	Open []pageSpan
}

type pageTick struct {
	X    float64
	Text string
}

// points places the candidates by the good calls that they reject and the calls
// that they waste, with the ranges of both: the nearer to the origin, the better.
func (r *Report) points() (out []pagePoint, most [2]float64) {
	const from, size, line = 10.0, paretoSize - 30.0, 13.0
	wasted := func(x *Result) Figure { return x.Figure("wasted") }
	rejected := func(x *Result) (f Figure) {
		in, outside := x.Figure("false_rejects_in"), x.Figure("false_rejects_out")
		return Figure{Value: in.Value + outside.Value, Low: in.Low + outside.Low, High: in.High + outside.High}
	}
	for i := range r.Results {
		most[0], most[1] = max(most[0], wasted(&r.Results[i]).High), max(most[1], rejected(&r.Results[i]).High)
	}
	x := func(v float64) float64 { return from + v/max(1, most[0])*size }
	y := func(v float64) float64 { return paretoSize - from - v/max(1, most[1])*size }
	for i := range r.Results {
		w, f := wasted(&r.Results[i]), rejected(&r.Results[i])
		p := pagePoint{
			Name: r.Results[i].Name, X: x(w.Value), Y: y(f.Value),
			Left: x(w.Low), Top: y(f.High), Width: x(w.High) - x(w.Low), Height: y(f.Low) - y(f.High),
		}
		// A name that would lie on that of the axis goes below it, and one that
		// would lie on another one above that.
		p.TextY = max(p.Y-3, from+line)
		for k := range out {
			if o := &out[k]; math.Abs(o.TextY-p.TextY) < line && math.Abs(o.X-p.X) < paretoSize/2 {
				p.TextY = o.TextY - line
			}
		}
		out = append(out, p)
	}
	return out, most
}

// drawing is the calls of a breaker on its time line.
type drawing struct {
	good, bad [lineWidth / 2]float64
	unknown   []pageSpan // when every call was rejected
}

// draw draws the calls of some breakers.
func (t *Trace) draw(lanes []*Lane) (map[*Lane]*drawing, error) {
	out := make(map[*Lane]*drawing, len(lanes))
	for _, l := range lanes {
		out[l] = &drawing{}
	}
	err := t.each(context.Background(), func(l *Lane, c *tape.Call) {
		d := out[l]
		if d == nil {
			return
		}
		k := min(int(t.x(c.Ended)/2), len(d.good)-1)
		switch {
		case c.What.Kind() == tape.Rejected:
			s := t.pageSpan(c.Began, c.Ended, "no call had an outcome")
			if n := len(d.unknown); n > 0 && d.unknown[n-1].X+d.unknown[n-1].W >= s.X-1 {
				d.unknown[n-1].W = max(d.unknown[n-1].W, s.X+s.W-d.unknown[n-1].X)
			} else {
				d.unknown = append(d.unknown, s)
			}
		case c.What.Outcome() == uint8(breaker.Failure):
			d.bad[k]++
		default:
			d.good[k]++
		}
	})
	return out, err
}

// x is the place of a time on a time line.
func (t *Trace) x(d time.Duration) float64 {
	total := max(t.Ended.Sub(t.Began), 1)
	return min(max(0, float64(d-t.Began.Sub(t.Base))/float64(total)*lineWidth), lineWidth)
}

func (t *Trace) pageSpan(a, b time.Duration, title string) pageSpan {
	return pageSpan{X: t.x(a), W: max(t.x(b)-t.x(a), 0.5), Title: title}
}

// merge draws spans that are less than a pixel apart as one, and reports whether
// there are such: a page with a rectangle for each of many thousands would be slow.
// what is what the title of such a one counts.
func merge(spans []pageSpan, what string) (out []pageSpan, merged bool) {
	slices.SortStableFunc(spans, func(a, b pageSpan) int { return cmp.Compare(a.X, b.X) })
	n := 0 // spans in the last one of out
	for i, s := range spans {
		k := len(out) - 1
		if k >= 0 && s.X < out[k].X+out[k].W+1 {
			n++
			out[k].W = max(out[k].W, s.X+s.W-out[k].X)
			out[k].Title = fmt.Sprintf("%s, the first: %s", plural(n, what), spans[i-n+1].Title)
			merged = true
			continue
		}
		n = 1
		out = append(out, s)
	}
	return out, merged
}

// line draws the time line of a breaker.
func (r *Report) line(t *Trace, l *Lane, calls *drawing) pageLine {
	out := pageLine{ID: l.ID, Unknown: calls.unknown}
	good, bad := &calls.good, &calls.bad
	total, from := max(t.Ended.Sub(t.Began), 1), t.Began.Sub(t.Base)
	top := 1.0
	for i := range good {
		top = max(top, good[i]+bad[i])
	}
	var g, b strings.Builder
	for i := range good {
		at := func(n float64) float64 { return lineHeight - n/top*(lineHeight-4) }
		if n := good[i] + bad[i]; n > 0 {
			fmt.Fprintf(&g, "M%d %.1fV%.1f", 2*i+1, at(bad[i]), at(n))
		}
		if bad[i] > 0 {
			fmt.Fprintf(&b, "M%d %dV%.1f", 2*i+1, lineHeight, at(bad[i]))
		}
	}
	out.Good, out.Bad = template.HTMLAttr(`d="`+g.String()+`"`), template.HTMLAttr(`d="`+b.String()+`"`) //nolint:gosec // numbers
	var episodes []pageSpan
	for _, e := range r.Episodes {
		if e.ID == l.ID {
			title := fmt.Sprintf("%s to %s, %.0f%% failed", e.Began.Format(time.TimeOnly), e.Ended.Format(time.TimeOnly), 100*e.Rate)
			if e.LoadSensitive {
				title += ", load-sensitive"
			}
			episodes = append(episodes, t.pageSpan(e.Began.Sub(t.Base), e.EndedBy.Sub(t.Base), title))
		}
	}
	out.Episodes, out.Merged = merge(episodes, "episode")
	y := lineHeight + 6
	for _, res := range r.Results {
		i := slices.IndexFunc(res.Breakers, func(o Outcome) bool { return o.ID == l.ID })
		if i < 0 {
			continue
		}
		lane := pageLane{Name: res.Name, Y: y}
		var open []pageSpan
		since := time.Duration(-1)
		for _, m := range res.Breakers[i].Moves {
			at := m.At.Sub(t.Base)
			switch {
			case m.To != breaker.Closed && since < 0:
				since = at
			case m.To == breaker.Closed && since >= 0:
				open = append(open, t.pageSpan(since, at, fmt.Sprintf("%s: not closed for %v", res.Name, (at-since).Round(time.Millisecond))))
				since = -1
			}
		}
		if since >= 0 {
			open = append(open, t.pageSpan(since, t.Ended.Sub(t.Base), res.Name+": not closed at the end"))
		}
		merged := false
		lane.Open, merged = merge(open, "time")
		out.Merged = out.Merged || merged
		out.Lanes = append(out.Lanes, lane)
		y += laneHeight
	}
	for i := range 6 {
		d := total * time.Duration(i) / 5
		format := time.TimeOnly
		if total > 48*time.Hour {
			format = "Jan 2 15:04"
		}
		out.Ticks = append(out.Ticks, pageTick{X: min(t.x(from+d), lineWidth-70), Text: t.Began.Add(d).Format(format)})
	}
	out.Height = y + 16
	return out
}
