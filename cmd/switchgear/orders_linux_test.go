package main_test

import (
	"strings"
	"testing"
)

func TestOrdersSayWhatTheyChanged(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	compare(t, "force-closed", h.ok("force-closed", "payments", "--for", "30m", "--reason", "vendor says it is back"), `
ID        BEFORE  AFTER          VERSION
payments  OPEN    FORCED-CLOSED        3
`)
	if got := h.ok("status", "payments"); !hasAll(got, []string{"FORCED-CLOSED", "by tess", "ends in 29m", `"vendor says it is back"`}) {
		t.Errorf("status after force-closed:\n%s", got)
	}
	compare(t, "release", h.ok("release", "payments"), `
ID        BEFORE         AFTER      VERSION
payments  FORCED-CLOSED  HALF-OPEN        4
`)
	compare(t, "release again", h.ok("release", "payments"), `
ID        BEFORE     AFTER      VERSION
payments  HALF-OPEN  HALF-OPEN        4
No change: it was so already.
`)
	h.fails(1, args("close", "payments", "--if-version", "3"), "is at version 4", "was for 3")
	h.ok("close", "payments", "--if-version", "4")

	compare(t, "set", h.ok("set", "search", "fail_max=10", "failure_rate=0.5"), `
ID      BEFORE  AFTER   VERSION  CHANGED
search  closed  closed        2  fail_max 5 -> 10, failure_rate off -> 0.5
`)
	if got := h.ok("status", "search"); !strings.Contains(got, "opens at 10") {
		t.Errorf("status after set:\n%s", got)
	}
	compare(t, "set back", h.ok("set", "search", "failure_rate=0", "fail_max=off", "--dry-run"), `
ID      BEFORE  AFTER   VERSION  CHANGED
search  closed  closed        2  fail_max 10 -> off, failure_rate 0.5 -> off
Nothing was changed: 1 of 1 would be.
`)
}

func TestOrdersForManyNeedTheirNumber(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	force := args("force-open", "ledger/*", "--no-expiry", "--reason", "INC-43")
	h.fails(1, force, "this applies to 3 breakers (3 in shop/", "--yes 3")
	h.fails(1, append(force, "--yes", "2"), "this applies to 3 breakers now", "nothing was changed")
	if got := h.ok("status", "ledger/eu-1"); !strings.Contains(got, "closed") {
		t.Errorf("an order that was refused changed something:\n%s", got)
	}
	compare(t, "dry run", h.ok(append(force, "--dry-run")...), `
ID           BEFORE       AFTER        VERSION
ledger/eu-1  closed       FORCED-OPEN        1
ledger/us-1  closed       FORCED-OPEN        1
ledger/eu-2  FORCED-OPEN  FORCED-OPEN        2
2 closed -> forced-open, 1 stays forced-open.
Nothing was changed: 3 of 3 would be.
Note: keys that ledger creates later are not affected: they begin closed, without an override.
`)
	if got := h.ok(append(force, "--yes", "3")...); !strings.Contains(got, "Changed 3 of 3.") {
		t.Errorf("force-open ledger/*:\n%s", got)
	}
}
