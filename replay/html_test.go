package replay

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// The page is well formed, holds every part, refers to nothing outside, and
// shows hostile names as text.
func TestWriteHTML(t *testing.T) {
	trace := censor(outages(1), breaker.Settings{})
	trace.Program = "<script>alert(1)</script>"
	trace.Breakers[0].ID = `"><img src=x>`
	r := run(t, trace, AsRecorded, With("</table>", breaker.Recommended()))
	var page bytes.Buffer
	if err := r.WriteHTML(&page, trace); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{`class="ill"`, `class="unknown"`, `class="open"`, "<circle", `class="range"`, "class=\"warn\"", `class="assumed"`, "coverage"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, bad := range []string{"<script", "<img", "http://", "https://", "ZgotmplZ", "NaN"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	// The SVG parts are XML.
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "<svg")
		if !ok {
			break
		}
		svg, after, _ := strings.Cut(after, "</svg>")
		rest = after
		d := xml.NewDecoder(strings.NewReader("<svg" + svg + "</svg>"))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a drawing is not well formed: %v", err)
			}
		}
	}
}

// A page stays small however much happened, and says what it does not show.
func TestWriteHTMLOfMuch(t *testing.T) {
	const breakers, ill, episodes = 80, 60, 10_000
	trace := &Trace{Header: Header{Base: time.Unix(0, 0)}, Began: time.Unix(0, 0), Ended: time.Unix(20*episodes, 0)}
	r := &Report{Results: []Result{newResult("as recorded", nil), newResult("candidate", nil)}}
	for i := range breakers {
		l := &Lane{ID: fmt.Sprintf("b%02d", i)}
		trace.Breakers = append(trace.Breakers, l)
		var moves []Move
		for k := range episodes {
			if i < breakers-ill { // the first ones are well
				break
			}
			at := time.Unix(20*int64(k), 0)
			if i == breakers-1 || k < 10 {
				r.Episodes = append(r.Episodes, Episode{ID: l.ID, Began: at, Ended: at.Add(time.Second), EndedBy: at.Add(2 * time.Second)})
			}
			moves = append(moves, Move{At: at, To: breaker.Open}, Move{At: at.Add(3 * time.Second), From: breaker.Open})
		}
		for k := range r.Results {
			r.Results[k].Breakers = append(r.Results[k].Breakers, Outcome{ID: l.ID, Moves: moves})
		}
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page, trace); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if len(text) > 1<<21 {
		t.Errorf("the page has %d bytes, want less than 2 MiB", len(text))
	}
	for _, want := range []string{
		"10590 episodes", "the time lines of 30 breakers are left out: the others have more episodes and transitions",
		"what is less than 200s apart, the width of a pixel, is drawn as one", "10000 episodes, the first: ", "10000 times, the first: candidate: not closed for 3s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(text, "<h2>b00</h2>") || !strings.Contains(text, "<h2>b79</h2>") {
		t.Error("the page shows the breakers in which nothing happened")
	}
	// What is far enough apart is drawn as it is.
	r = run(t, censor(outages(1), breaker.Settings{}), AsRecorded)
	page.Reset()
	if err := r.WriteHTML(&page, censor(outages(1), breaker.Settings{})); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(page.String(), `class="ill"`); n != len(r.Episodes) || strings.Contains(page.String(), "drawn as one") {
		t.Errorf("%d episodes are drawn, want %d", n, len(r.Episodes))
	}
}

// Names of candidates that fare alike do not lie on each other, and each range
// holds its point.
func TestReportPoints(t *testing.T) {
	r := run(t, censor(outages(1), breaker.Settings{}), AsRecorded, With("the same", breaker.Settings{}), With("again", breaker.Settings{}), With("loose", breaker.Settings{FailMax: 12, ResetTimeout: time.Second}))
	points, most := r.points()
	for i, p := range points {
		if p.X < p.Left || p.X > p.Left+p.Width || p.Y < p.Top || p.Y > p.Top+p.Height || p.Left < 10 || p.Top < 10 || p.Left+p.Width > paretoSize || p.Top+p.Height > paretoSize {
			t.Errorf("%+v: its point is not within its range, or the range not within the plot", p)
		}
		for _, o := range points[:i] {
			if math.Abs(o.TextY-p.TextY) < 11 && math.Abs(o.X-p.X) < 50 {
				t.Errorf("the names of %+v and %+v lie on each other", o, p)
			}
		}
	}
	if most[0] == 0 || most[1] == 0 || points[0].Height == 0 {
		t.Errorf("%v, %+v: want figures with a range", most, points[0])
	}
}
