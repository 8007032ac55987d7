//go:build linux

package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

func TestOrdersByState(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	h.ok("open", "ledger/eu-1")
	h.fails(1, args("close", "*", "--state", "open"), "this applies to 2 breakers (2 in shop/", "--yes 2")
	compare(t, "dry run", h.ok("close", "*", "--state", "open", "--dry-run"), `
ID           BEFORE  AFTER   VERSION
ledger/eu-1  OPEN    closed        2
payments     OPEN    closed        2
2 open -> closed.
Nothing was changed: 2 of 2 would be.
`)
	compare(t, "close all that are open", h.ok("close", "*", "--state", "open", "--yes", "2"), `
ID           BEFORE  AFTER   VERSION
ledger/eu-1  OPEN    closed        3
payments     OPEN    closed        3
2 open -> closed.
Changed 2 of 2.
`)
	for _, words := range [][]string{{"close", "*", "--state", "open"}, {"release", "ledger/*", "--state", "half-open,forced-closed", "--dry-run"}} {
		compare(t, "none is open any more", h.ok(words...), "The order applies to no breaker: nothing was changed.\n")
	}
	compare(t, "one that is not open", h.ok("close", "search", "--state", "open"), `
The order applies to no breaker: nothing was changed.
Note: search is closed, and the order is for those that are open.
`)
	if got := h.ok("status", "ledger/eu-2"); !strings.Contains(got, "FORCED-OPEN") {
		t.Errorf("one that was forced open was closed as well:\n%s", got)
	}
	h.fails(2, args("close", "*", "--state", "shut"), `--state "shut", want one of closed, open, half-open, forced-open, forced-closed`)
	h.fails(2, args("close", "search", "--state", "open", "--if-version", "1"), "want one of them")
	compare(t, "by the pipe", h.ok("close", "ledger/*", "--state", "open", "-p", s.In), "The order applies to no breaker: nothing was changed.\n")
}

func TestExtendNoteAckMark(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")

	h.ok("force-open", "search", "--for", "10m", "--reason", "INC-42")
	if got := h.ok("extend", "search", "30m"); !hasAll(got, []string{"ENDS", "FORCED-OPEN  FORCED-OPEN"}) {
		t.Errorf("extend:\n%s", got)
	}
	if got := h.ok("status", "search"); !hasAll(got, []string{"ends in 39m", `by tess: "INC-42"`}) {
		t.Errorf("status:\n%s", got)
	}
	h.fails(1, args("extend", "payments", "30m"), "extend of payments, which has no override")
	h.fails(1, args("extend", "ledger/eu-2", "30m"), "whose override has no end")
	h.fails(2, args("extend", "search", "soon"), `extend by "soon"`)
	h.fails(2, args("extend", "search"), "needs an id and a time")

	h.ok("note", "payments", "flaky since the deployment")
	h.ok("note", "payments", "see INC-42", "--actor", "bo")
	h.ok("ack", "payments", "--reason", "looking into it")
	h.fails(1, args("ack", "search", "-p", s.Locked), "read-only")
	h.ok("mark", "deploy v1.42", "--actor", "ci")
	h.fails(2, args("mark"), "needs a text")
	h.fails(2, args("note", "payments"), "needs the id of a breaker and a text")
	h.fails(1, args("note", "paymnets", "x"), "payments")
	if got := h.ok("explain", "payments"); !hasAll(got, []string{
		"acknowledged by tess at ", ": looking into it", "note by tess at ", ": flaky since the deployment", "note by bo at ",
		"error: connection refused (3 times), trace https://traces.example/4bf9%202f", "owner: team payments", "runbook: https://runbooks.example/payments",
	}) {
		t.Errorf("explain:\n%s", got)
	}
	if got := h.ok("status"); !strings.Contains(got, "[ack tess] [2 notes] ") {
		t.Errorf("status:\n%s", got)
	}
	var page []struct{ Process ops.Process }
	if err := json.Unmarshal([]byte(h.ok("ps", "--json")), &page); err != nil || page[0].Process.Mark == nil || page[0].Process.Mark.Reason != "deploy v1.42" {
		t.Errorf("%+v, %v", page, err)
	}
	h.ok("note", "payments", "--clear")
	h.ok("close", "payments")
	eventually(t, "the end of the acknowledgement", func() bool {
		return !strings.Contains(h.ok("explain", "payments"), " by ") || !strings.Contains(h.ok("explain", "payments"), "acknowledged")
	})
	if got := h.ok("explain", "payments"); strings.Contains(got, "note") {
		t.Errorf("explain:\n%s", got)
	}
	c, err := ops.NewClient(s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	events, err := c.Orders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, e := range events {
		verbs = append(verbs, string(e.Order.Verb)+" "+e.ID+" "+e.Order.Reason)
	}
	want := "force-open search INC-42|extend search |note payments flaky since the deployment|note payments see INC-42|ack payments looking into it|mark * deploy v1.42|note payments |close payments "
	if got := strings.Join(verbs, "|"); got != want {
		t.Errorf("events: %s\nwant    %s", got, want)
	}
}

// eventually waits for something that another process is about to do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(tooLong); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not within 15s: %s", what)
		}
	}
}
