//go:build unix

package main_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// The demo of a fleet: its processes are real, and the line that it prints shows
// them.
func TestDemoOfAFleet(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--fleet", "--for", "13s")
	line := p.await("switchgear fleet status")
	p.await("zone a: 3 closed", "zone b: 3 closed", "coordinator")
	flags := regexp.MustCompile(`--redis \S+ --group demo --key-file \S+`).FindString(line)
	for began := time.Now(); ; {
		out := newHost(t).ok(append([]string{"fleet", "status"}, strings.Fields(flags)...)...)
		if hasAll(out, []string{"fleet demo: 6 processes", "payments", "6 closed", "a: 3 closed; b: 3 closed"}) {
			break
		}
		if time.Since(began) > 5*time.Second { // each tells of its breakers just after it has joined
			t.Fatalf("fleet status says\n%s", out)
		}
	}
	p.await("pod-1 cannot reach payments")
	p.await("pod-1 in zone b: closed -> open: 5 failures in a row; last error: service unavailable")
	p.await("zone a: 3 closed", "zone b: 2 closed, 1 open")
	p.await("Over after 13s", "calls ok")
	p.ends()
}
