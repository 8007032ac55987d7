package replay

import (
	"bytes"
	"encoding/xml"
	"errors"
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
