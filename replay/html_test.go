package replay

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

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
	for _, want := range []string{`class="ill"`, `class="unknown"`, `class="open"`, "<circle", "class=\"warn\"", `class="assumed"`, "coverage"} {
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
