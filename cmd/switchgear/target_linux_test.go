package main_test

import (
	"strings"
	"testing"
)

func TestEveryEndpointWorks(t *testing.T) {
	t.Parallel()
	s := startShop(t, shortTemp(t), "shop")
	h := newHost(t) // where it is not found
	for _, endpoint := range []string{s.Socket, s.URL, "pipe:" + s.In, s.In, "pipe:" + s.In + "," + s.Out} {
		if got := h.ok("status", "-p", endpoint); !hasAll(got, []string{"payments", "OPEN", "eu-2", "FORCED-OPEN"}) {
			t.Errorf("status -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("half-open", "payments", "-p", endpoint, "--reason", "a look"); !strings.Contains(got, "HALF-OPEN") {
			t.Errorf("half-open -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("open", "payments", "-p", endpoint); !strings.Contains(got, "OPEN") {
			t.Errorf("open -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("explain", "payments", "-p", endpoint); !strings.Contains(got, "opened by") {
			t.Errorf("explain -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("history", "payments", "-p", endpoint); !strings.Contains(got, "a look") {
			t.Errorf("history -p %s:\n%s", endpoint, got)
		}
		h.fails(1, args("force-closed", "ledger/*", "-p", endpoint, "--for", "1m", "--reason", "drill"), "this applies to 3 breakers")
		if got := h.ok("force-closed", "ledger/*", "-p", endpoint, "--for", "1m", "--reason", "drill", "--yes", "3"); !strings.Contains(got, "of 3.") {
			t.Errorf("force-closed ledger/* -p %s:\n%s", endpoint, got)
		}
		if got := h.ok("set", "search", "-p", endpoint, "fail_max=7", "--dry-run"); !hasAll(got, []string{"fail_max 5 -> 7", "1 of 1 would be"}) {
			t.Errorf("set -p %s:\n%s", endpoint, got)
		}
		h.fails(1, args("close", "search", "-p", endpoint, "--if-version", "99"), "the order was for 99")
		h.fails(1, args("close", "serch", "-p", endpoint), `did you mean`)
		h.ok("force-open", "ledger/eu-2", "-p", endpoint, "--no-expiry", "--reason", "INC-42 vendor maintenance")
	}
	h.fails(1, args("close", "payments", "-p", s.Locked), "read-only")
	h.fails(1, args("watch", "-p", s.In), "a pipe has no events")
	h.fails(3, args("status", "-p", "pipe:"+s.In+"x,"+s.Out), "no input pipe")
	h.fails(3, args("status", "-p", s.Socket+"x"), "there is no such socket")
	h.fails(3, args("status", "-p", "http://127.0.0.1:1/"), "connection refused")
}
