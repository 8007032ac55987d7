package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTimelineOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	h.shop("billing")
	h.ok("force-open", "search", "-p", "shop", "--for", "1h", "--reason", "INC-42")
	h.ok("set", "search", "fail_max=9", "-p", "billing", "--reason", "too nervous")
	h.ok("release", "search", "-p", "shop", "--reason", "all clear")
	out := h.ok("timeline")
	at := -1
	for _, want := range [][]string{ // in this order
		{"shop/", "search", "closed -> FORCED-OPEN", "tess", `forced open by tess ("INC-42")`, "for 1h"},
		{"billing/", "search", "set", "tess", "fail_max 5 -> 9", `("too nervous")`},
		{"shop/", "search", "forced-open -> ", "tess", `("all clear")`},
	} {
		lines := strings.Split(out, "\n")
		i := slices.IndexFunc(lines, func(line string) bool { return hasAll(line, want) })
		if i <= at {
			t.Errorf("line %d has %q, want one after line %d:\n%s", i, want, at, out)
		}
		at = i
	}
	if n := strings.Count(out, "INC-42"); n != 1 {
		t.Errorf("an order and what it did are %d lines, want 1:\n%s", n, out)
	}
	if out = h.ok("timeline", "--id", "payments", "-p", "shop", "--since", time.Now().Add(-time.Hour).Format(time.RFC3339)); strings.Contains(out, "search") {
		t.Errorf("the timeline of payments has others:\n%s", out)
	}
	var events struct {
		Events []struct {
			Process, Kind, ID string
			At                time.Time
		}
	}
	if err := json.Unmarshal([]byte(h.ok("timeline", "--json", "--id", "search")), &events); err != nil || len(events.Events) < 3 {
		t.Errorf("in JSON: %v, %+v", err, events)
	}
	file := filepath.Join(t.TempDir(), "incident.html")
	h.ok("timeline", "--html", file)
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "INC-42") || !strings.Contains(string(page), "</html>") {
		t.Errorf("the page: %v\n%.300s", err, page)
	}
	if out := h.ok("timeline", "--since", "1ms"); out != "" && !strings.HasPrefix(out, "Nothing has happened since ") {
		t.Errorf("of a millisecond: %s", out)
	}
	h.fails(1, args("timeline", "--id", "paymnets"), "paymnets", "payments")
	h.fails(2, args("timeline", "--since", "yesterday"), `--since "yesterday", want how long ago`)
	h.fails(2, args("timeline", "--since", "-1h"), "want how long ago")
	h.fails(2, args("timeline", "--since", "2999-01-01T00:00:00Z"), "want how long ago")
	h.fails(2, args("timeline", "payments"), `takes no "payments"`)
	h.fails(1, args("timeline", "--html", "/no/such/folder/x.html"), "no such file or directory")
}

func TestTimelineOfAPipe(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	h.fails(1, args("timeline", "-p", "pipe:"+s.In+","+s.Out), "is a pipe, which has no timeline")
}
