package main_test

import (
	"testing"
)

func TestCompletionKnowsTheBreakers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{args("__complete", "explain", "pay"), args("payments\topen")},
		{args("__complete", "force-open", "led"), args("ledger/*\tall keys", "ledger/eu-2\tforced-open")},
		{args("__complete", "set", "payments", "fail"), args("fail_max=\tdefault 5", "failure_rate=\tdefault off")},
		{args("__complete", "set", "payments", "reset_"), args("reset_timeout=\tdefault 1m0s", "reset_jitter=\tdefault 0")},
		{args("__complete", "status", "--sort", ""), args("worst", "trips")},
	} {
		if r := h.run(tt.args...); !hasAll(r.out, tt.want) {
			t.Errorf("switchgear %q:\n%swant %q", tt.args, r.out, tt.want)
		}
	}
}
