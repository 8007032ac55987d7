package page

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain/plaintest"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

var began = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func moved(id string, after time.Duration, from, to breaker.State) view.Happening {
	return view.Happening{Process: "shop/1", Event: ops.Event{
		ID: id, At: began.Add(after), Kind: ops.EventTransition,
		Transition: &breaker.Transition{From: from, To: to, Cause: breaker.CauseConsecutive, Fails: 5, Errors: []breaker.ErrorSample{{Error: "timeout", TraceID: "4bf92f"}}},
	}}
}

func write(t *testing.T, x *Incident) string {
	t.Helper()
	var b strings.Builder
	if err := x.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	text := write(t, &Incident{
		From: began, To: began.Add(100 * time.Second), IDs: []string{"payments", "x/*"}, Gaps: []string{"shop/1: events may be missing"},
		Events: []view.Happening{
			moved("payments", 10*time.Second, breaker.Closed, breaker.Open),
			moved("payments", 50*time.Second, breaker.Open, breaker.Closed),
			{Process: "shop/1", Event: ops.Event{ID: "payments", At: began, Kind: ops.EventOrder, Order: &ops.OrderEvent{Verb: "set", Actor: "ana", Reason: "INC-42", Changes: []breaker.SettingsChange{{Key: "fail_max", From: "5", To: "9"}}}}},
		},
	})
	for _, want := range []string{
		"payments, x/*", "3 events", "<strong>shop/1: events may be missing</strong>", "trace 4bf92f", "fail_max 5 -&gt; 9", "(&#34;INC-42&#34;)", "5 failures in a row; last error: timeout",
		`<rect class="closed" x="0.00" y="4" width="100.00"`, `<rect class="open" x="100.00" y="0" width="400.00"`, `<rect class="closed" x="500.00" y="4" width="500.00"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, outside := range []string{"http://", "https://", "src=", "href=", "url(", "@import", "<script"} {
		if strings.Contains(text, outside) {
			t.Errorf("the page has %q, and so depends on something else", outside)
		}
	}
}

// Whatever a process says is text on the page, and visible.
func TestPageIsPlain(t *testing.T) {
	var e view.Happening
	plaintest.Fill(&e)
	e.Order, e.Override = nil, nil
	e.Kind = ops.EventTransition
	hostile := moved(`<script>alert(1)</script><img src=x onerror=alert(1)>"'&`, time.Second, breaker.Closed, breaker.Open)
	hostile.Process = `</title></style><script>`
	text := write(t, &Incident{From: began, To: began.Add(time.Minute), IDs: []string{"<b>\u202e"}, Events: []view.Happening{e, hostile}})
	plaintest.Check(t, "the page", text)
	tags := map[string]bool{}
	for _, m := range regexp.MustCompile(`<([a-z0-9!]+)`).FindAllStringSubmatch(text, -1) {
		tags[m[1]] = true
	}
	if tags["script"] || tags["img"] || tags["b"] {
		t.Errorf("what a process says is markup: %v", tags)
	}
}

// Very many breakers and a time span of zero do no harm.
func TestPageOfMany(t *testing.T) {
	x := &Incident{From: began, To: began}
	for i := range 500 {
		x.Events = append(x.Events, moved(fmt.Sprint("b", i), 0, breaker.Closed, breaker.Open))
	}
	text := write(t, x)
	if n := strings.Count(text, "<svg viewBox=\"0 0 1000"); n != mostLanes || !strings.Contains(text, "440 more breakers changed state") {
		t.Errorf("%d timelines, want %d", n, mostLanes)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("the drawing has numbers that are none")
	}
	if empty := write(t, &Incident{From: began, To: began.Add(time.Hour)}); !strings.Contains(empty, "Nothing happened.") {
		t.Error("an empty page does not say so")
	}
}

func TestTicks(t *testing.T) {
	for _, d := range []time.Duration{time.Second, time.Minute, time.Hour, 8 * time.Hour, 24 * time.Hour, 400 * 24 * time.Hour} {
		all := ticks(began.Add(time.Second), began.Add(d))
		if len(all) > 11 || d > time.Minute && len(all) < 3 {
			t.Errorf("%s has %d ticks", d, len(all))
		}
		for _, x := range all {
			if x.Percent < 0 || x.Percent > 100 {
				t.Errorf("%s has a tick at %v %%", d, x.Percent)
			}
		}
	}
}

// The drawings are well formed.
func TestDrawings(t *testing.T) {
	text := write(t, &Incident{From: began, To: began.Add(time.Minute), Events: []view.Happening{moved(`a<"b`, time.Second, breaker.Closed, breaker.Open)}})
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		dec := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v: %s", err, svg)
			}
		}
	}
}
