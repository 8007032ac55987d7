//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSettingsDiff(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	a, b, other := h.shop("shop"), h.shop("shop"), h.shop("depot")
	compare(t, "no difference", h.ok("settings", "--diff"), "No difference: 3 processes, with the settings of their program.\n")
	one := args("settings", "payments", "-p", fmt.Sprint(a.PID))
	if got := h.ok(one...); !hasAll(got, []string{"payments  fail_max", "payments  reset_timeout         1h0m0s"}) || strings.Contains(got, "PROGRAM") {
		t.Errorf("settings:\n%s", got)
	}
	pid := func(s *shop) string { return fmt.Sprint(s.PID) }
	h.ok("set", "payments", "fail_max=10", "failure_rate=0.5", "-p", pid(a))
	h.ok("set", "payments", "fail_max=10", "-p", pid(b))
	h.ok("set", "ledger/*", "fail_max=7", "-p", pid(b), "--yes", "3")
	h.ok("set", "ledger/eu-1", "probes=2", "-p", pid(b))
	h.ok("set", "search", "fail_max=3", "-p", pid(other))
	got := strings.NewReplacer(pid(a), "A", pid(b), "B", pid(other), "C").Replace(h.ok("settings", "--diff"))
	got = strings.ReplaceAll(got, "shop/B, shop/A", "shop/A, shop/B")
	for _, want := range []string{
		"depot search fail_max 3 5 depot/C",
		"shop ledger/* fail_max 5 shop/A",
		"shop ledger/* fail_max 7 5 shop/B",
		"shop ledger/eu-1 fail_max 7 5 shop/B",
		"shop ledger/eu-1 probes 2 1 shop/B",
		"shop payments fail_max 10 5 shop/A, shop/B",
		"shop payments failure_rate 0.5 off shop/A",
		"shop payments failure_rate off shop/B",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 9 {
		t.Errorf("%d lines, want 9:\n%s", n, got)
	}
	if got := h.ok(append(one, "--diff")...); !strings.Contains(got, "PROGRAM SAYS") || strings.Contains(got, "PROCESSES") {
		t.Errorf("one process against its program:\n%s", got)
	}
	var diff []struct {
		ID, Key string
		Values  []struct {
			Value, Program string
			Processes      []string
		}
	}
	if err := json.Unmarshal([]byte(h.ok("settings", "--diff", "--json", "search")), &diff); err != nil || len(diff) != 1 || diff[0].Values[0].Program != "5" {
		t.Errorf("%+v, %v", diff, err)
	}
	h.fails(1, args("settings", "nosuch"), `unknown breaker "nosuch"`)
	h.fails(1, args("settings", "-p", a.In), "a pipe has no settings of the program")
}
