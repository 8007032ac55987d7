package main_test

import (
	"strings"
	"testing"
)

func TestHelpIsThere(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, page := range []string{"processes", "orders", "exit-codes", "status", "force-open", "set", "audit verify", "completion"} {
		got := h.ok(append([]string{"help"}, strings.Fields(page)...)...)
		for line := range strings.Lines(got) {
			if len(line) > 81 && !strings.Contains(line, "--") {
				t.Errorf("help %s has a line of %d columns: %s", page, len(line)-1, line)
			}
		}
	}
}
