//go:build linux

package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

// A shadow is tried, shown, promoted, and the promotion taken back, in a process
// that runs.
func TestShadowAndPromote(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	if out := h.ok("shadow"); out != "No shadows.\n" {
		t.Errorf("at first: %s", out)
	}
	compare(t, "a dry run", still(h.ok("shadow", "search", "tight", "--set", "fail_max=3", "--dry-run")), `
ID  BEFORE  AFTER  VERSION  CHANGED
search  closed  closed  1  tries fail_max=3, not 5
Nothing was changed: 1 of 1 would be.
`)
	h.ok("shadow", "search", "tight", "--set", "fail_max=3", "--reason", "too slow")
	h.ok("shadow", "ledger/*", "tight", "--set", "fail_max=3", "--set", "reset_timeout=10s")
	compare(t, "shadow", still(h.ok("shadow")), `
ID  SHADOW  FOR  TRIPS  OPEN FOR  REJECTED GOOD  AND BAD  SAW  AHEAD
ledger/*  tight  0ms  0  0ms  0  0  100%
search  tight  0ms  0  0ms  0  0  100%
`)
	var shown []struct {
		Shadows []struct {
			ID      string
			Shadows []breaker.ShadowStatus
		}
	}
	if err := json.Unmarshal([]byte(h.ok("shadow", "search", "--json")), &shown); err != nil || len(shown) != 1 || len(shown[0].Shadows) != 1 || shown[0].Shadows[0].Shadows[0].Settings.FailMax != 3 {
		t.Errorf("%+v, %v", shown, err)
	}
	h.fails(1, args("promote", "search", "loose"), `search has no shadow "loose", want tight`)
	if out := h.ok("shadow", "search", "tight", "--set", "fail_max=3"); !strings.Contains(out, "Note: a shadow of this name is replaced; the new one starts over.") {
		t.Errorf("the same name twice: %s", out)
	}
	// A typing error is not "No shadows".
	h.fails(1, args("shadow", "serch"), `unknown breaker "serch", did you mean "search"?`)
	h.fails(1, args("shadow", "ledger"), `did you mean "ledger/*"?`)
	h.fails(1, args("shadow", "search", "loose"), `search has no shadow "loose", want tight`)
	h.fails(1, args("promote", "search", "tight", "--if-version", "99"), "version")
	h.ok("promote", "search", "tight", "--if-version", "1", "--reason", "it did well")
	if out := h.ok("settings", "search"); !strings.Contains(out, "fail_max") || !strings.Contains(still(out), "fail_max  3  5") {
		t.Errorf("promoted: %s", out)
	}
	h.fails(1, args("promote", "ledger/*", "tight"), "--yes 3")
	h.fails(1, args("promote", "ledger/*", "tight", "--yes", "3", "--if-version", "99"), "ledger/* is at version 1, the order was for 99")
	h.fails(1, args("set", "ledger/*", "fail_max=3", "--dry-run", "--if-version", "99"), "ledger/* is at version 1, the order was for 99")
	h.ok("promote", "ledger/*", "tight", "--yes", "3", "--if-version", "1")
	if out := h.ok("shadow", "search"); !strings.Contains(out, " before ") || strings.Contains(out, "tight") {
		t.Errorf("after that: %s", out)
	}
	h.ok("promote", "search", "before")
	if out := h.ok("settings", "search"); strings.Contains(still(out), "fail_max  3") {
		t.Errorf("taken back: %s", out)
	}
	h.ok("shadow", "search", "before", "--drop")
	h.fails(1, args("shadow", "search", "before", "--drop"), "it has none")
	// All at once, for as long as there is room.
	h.ok("shadow", "*", "wide", "--set", "fail_max=9")
	if out := h.ok("shadow"); strings.Count(out, " wide ") < 2 || !strings.Contains(out, "ledger/*") || !strings.Contains(out, "search") {
		t.Errorf("for all: %s", out)
	}
	h.fails(2, args("promote", "*", "wide"), "want an id or name/*")
	h.ok("shadow", "*", "wide", "--drop")
	h.fails(1, args("shadow", "*", "wide", "--drop"), `nothing has a shadow "wide"`)
	out := still(h.ok("audit", "show", s.Audit))
	for _, want := range []string{
		"promote search tight  fail_max 5 -> 3  it did well",
		"promote ledger/* tight  3 of 3 changed: fail_max 5 -> 3, reset_timeout 59m59s -> 10s",
		`shadow search tight {"fail_max":3}`,
		"unshadow search before  done",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit log has no %q: %s", want, out)
		}
	}
	if out := still(h.ok("timeline")); !strings.Contains(out, `the shadow tight; fail_max 5 -> 3; 1 changed ("it did well")`) {
		t.Errorf("the timeline: %s", out)
	}
	if out := h.ok("timeline"); !strings.Contains(out, "the shadow tight") {
		t.Errorf("the timeline: %s", out)
	}
	for _, c := range [][]string{
		{"shadow", "search", "--set", "fail_max=3"},
		{"shadow", "search", "x", "--set", "fail_max=3", "--drop"},
		{"shadow", "search", "x", "y"},
		{"shadow", "search", "x", "--set", "fail_maxx=3"},
		{"promote", "search"},
	} {
		h.fails(2, c)
	}
}
