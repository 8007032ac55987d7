package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestStatusExplainHistory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	compare(t, "status", still(h.ok("status")), `
ID  STATE  AUTO  SINCE  NEXT  TRIPS/24h  WHY
payments  OPEN  0ms  probe in 59m59s  1  5 failures in a row; last error: connection refused
ledger/*  3 keys: 1 forced-open, 2 closed
ledger/eu-2  FORCED-OPEN  closed  0ms  until released  by ana: "INC-42 vendor maintenance"
search  closed  2 failed in a row, opens at 5
`)
	compare(t, "status of a set by id", still(h.ok("status", "ledger/*", "--sort", "id")), `
ID  STATE  AUTO  SINCE  NEXT  WHY
ledger/eu-1  closed
ledger/eu-2  FORCED-OPEN  closed  0ms  until released  by ana: "INC-42 vendor maintenance"
ledger/us-1  closed
`)
	compare(t, "explain", still(h.ok("explain", "payments")), `
payments has been open for 0ms: 5 failures in a row; last error: connection refused. Every call is rejected; a probe may run in 59m59s.
error: connection refused (3 times), trace https://traces.example/4bf9%202f
owner: team payments
runbook: https://runbooks.example/payments
`)
	compare(t, "history", still(h.ok("history", "payments")), `
TIME  FROM  TO  WHY
hh:mm:ss.mmm  closed  OPEN  5 failures in a row; last error: connection refused; open for 59m59s
`)
	compare(t, "history of a quiet one", h.ok("history", "search"), "search has always been closed.\n")
	ps := fmt.Sprintf(`
PID  SERVICE  UP  BREAKERS  STATES  OVERRIDES  PATH
%d  shop  0ms  5  1 open, 1 forced-open  1  %s
`, s.PID, s.Socket)
	if os.Geteuid() == 0 {
		ps = strings.NewReplacer("PID  ", "PID  USER  ", "  shop", "  root  shop").Replace(ps)
	}
	compare(t, "ps", still(h.ok("ps")), ps)
}

func TestJSONForPrograms(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, tt := range []struct {
		args []string
		want string // a piece of it
	}{
		{args("ps", "--json"), `"service": "shop"`},
		{args("status", "--json"), `"id": "ledger/eu-1"`},
		{args("status", "payments", "--json"), `"state": "open"`},
		{args("explain", "payments", "--json"), `"explain": "payments has been open`},
		{args("explain", "payments", "--json"), `"why": "5 failures in a row`},
		{args("explain", "payments", "--json"), `"next": "Every call is rejected; a probe may run`},
		{args("history", "payments", "--json"), `"cause": "consecutive-failures"`},
		{args("release", "ledger/*", "--yes", "3", "--json"), `"after": "closed"`},
		{args("set", "search", "fail_max=7", "--json"), `"fail_max": 7`},
	} {
		got := h.ok(tt.args...)
		if !json.Valid([]byte(got)) || !strings.Contains(got, tt.want) {
			t.Errorf("switchgear %q:\n%swant JSON with %s", tt.args, got, tt.want)
		}
	}
}
