//go:build unix

package main_test

import (
	"regexp"
	"strings"
	"testing"
)

// The demo of a fleet: its processes are real, and the line that it prints shows
// them.
func TestDemoOfAFleet(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--fleet", "--for", "13s")
	line := p.await("switchgear fleet status")
	p.await("zone a: 3 closed", "zone b: 3 closed", "adds up")
	flags := regexp.MustCompile(`--redis \S+ --group demo --key-file \S+`).FindString(line)
	if out := newHost(t).ok(append([]string{"fleet", "status"}, strings.Fields(flags)...)...); !hasAll(out, []string{"fleet demo: 6 processes", "payments", "6 closed", "a: 3 closed; b: 3 closed"}) {
		t.Errorf("fleet status says\n%s", out)
	}
	p.await("pod-1 cannot reach payments")
	p.await("pod-1 in zone b: closed -> open: 5 failures in a row; last error: service unavailable")
	p.await("zone a: 3 closed", "zone b: 2 closed, 1 open")
	p.await("Over after 13s", "calls ok")
	p.ends()
}
