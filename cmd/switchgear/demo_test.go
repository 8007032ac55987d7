//go:build unix

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// pipeOf returns a client for the pipe that the demo prints.
func pipeOf(t *testing.T, line string) fifo.Client {
	t.Helper()
	m := regexp.MustCompile(`-i (\S+) -o (\S+) status`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no -i and -o in %q", line)
	}
	return fifo.Client{Input: m[1], Output: m[2]}
}

func TestDemoOpensAndCloses(t *testing.T) {
	long(t)
	t.Parallel()
	p := start(t, "demo", "--for", "9s")
	pipe := pipeOf(t, p.await("-i ", "status"))

	p.await("payments server is stopped")
	p.await("payments", "closed -> open", "calls failed in the last 1s", "connection refused")
	p.await("calls: payments", "rejected")

	// Orders work through the pipe while the shop trades.
	table, err := pipe.Status(t.Context(), "")
	if err != nil || !strings.Contains(table, "inventory/umbrella") {
		t.Fatalf("status: %v\n%s", err, table)
	}
	why := breaker.Order{Actor: "ana", Reason: "stocktaking", For: time.Minute}
	if _, err := pipe.ForceOpen(t.Context(), "inventory/acme", why); err != nil {
		t.Fatal(err)
	}
	p.await("inventory/acme", "closed -> forced-open", `by ana`, "stocktaking", "1m0s")
	if _, err := pipe.Release(t.Context(), "inventory/acme", breaker.Order{}); err != nil {
		t.Fatal(err)
	}
	p.await("inventory/acme", "forced-open -> closed")

	p.await("payments", "open -> half-open")
	p.await("payments", "half-open -> closed", "probes succeeded")
	p.await("payments server hangs")
	p.await("payments", "closed -> open", "limit 50%") // failed or slow calls, whichever rule is met first
	p.await("Over after ", "ok", "failed", "rejected")
	p.ends()
}

// The recording of the demo, a real incident on a machine that is busy with other
// tests, is reproduced by the first command that the demo prints, and the second
// writes a report.
func TestDemoRecordsAnIncident(t *testing.T) {
	long(t)
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "demo.sgr")
	p := start(t, "demo", "--for", "16s", "--record="+file)
	p.await("payments", "half-open -> closed")
	p.await("Replay it:")
	verify := p.await("replay", file, "--verify")
	report := p.await("replay", file, "--html replay.html")
	p.ends()
	paste := func(line string) string {
		t.Helper()
		sh := exec.CommandContext(t.Context(), "sh", "-c", line)
		sh.Dir = dir
		out, err := sh.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	out := paste(verify)
	m := regexp.MustCompile(`(\d+) of (\d+) transitions reproduced\.`).FindStringSubmatch(out)
	if m == nil || m[1] != m[2] || len(m[1]) < 2 {
		t.Errorf("%s\nwant ten or more transitions, all of them reproduced", out)
	}
	if out := paste(report); !strings.Contains(out, "as recorded") || !strings.Contains(out, "candidate") {
		t.Error(out)
	}
	if page, err := os.ReadFile(filepath.Join(dir, "replay.html")); err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("the report: %v, %d bytes", err, len(page))
	}
}

func TestDemoEndsBySignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "demo")
			p.await("calls: payments")
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			p.await("Over after")
			p.ends()
		})
	}
}

func TestDemoUsesNoColourWithoutATerminal(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--for", "1500ms")
	p.await("Over after")
	p.ends()
	if all := p.text(); strings.Contains(all, "\x1b") {
		t.Errorf("escape sequences in the output:\n%q", all)
	}
}

// A reader that goes away, as in "switchgear demo | head", ends the demo.
func TestDemoCleansUpWithoutAReader(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startAs(t, w, exec.Command(program, "demo"))
	p.begin()
	w.Close()
	buf := make([]byte, 10)
	if _, err := r.Read(buf); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := p.cmd.Wait(); err == nil {
		t.Error("exit status 0, want an error for the lost output")
	}
	p.leavesNothing()
}

// The commands that it prints can be pasted into a second terminal: each is
// run as it is.
func TestDemoCommandsWorkAsPrinted(t *testing.T) {
	long(t)
	t.Parallel()
	// Built first, so that the wait below is for the demo and not for the compiler.
	build := exec.Command("go", "run", "./cmd/switchgear", "--version")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "GOWORK=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := startAs(t, nil, exec.Command("go", "run", "./cmd/switchgear", "demo", "--for", "60s"))
	p.cmd.Dir = filepath.Join("..", "..")
	p.cmd.Env = append(p.cmd.Env, "GOWORK=") // as in a fresh clone, whatever the tests run under
	p.begin()
	p.await("In a second terminal")
	cd := p.await("  cd ")
	top := p.await("./cmd/switchgear top -p ") // needs a terminal, and contains the process id
	pid, err := strconv.Atoi(top[strings.LastIndex(top, " ")+1:])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGTERM) })
	for _, want := range [][]string{
		{"explain payments", "payments "},
		{" status", "inventory/globex"},
		{"force_open payments", "Changed `payments` state"},
		{"release payments", "Changed `payments` state"},
	} {
		line := p.await(want[0])
		sh := exec.CommandContext(t.Context(), "sh", "-c", cd+"\n"+line)
		sh.Env = p.cmd.Env
		if out, err := sh.CombinedOutput(); err != nil || !strings.Contains(string(out), want[1]) {
			t.Errorf("%s: %v\n%swant %q", line, err, out, want[1])
		}
	}
	p.await("payments", "-> forced-open", "trying it out")
	p.await("payments", "forced-open -> ")
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.ends()
}

// The demo of a fleet: its processes are real, and the line that it prints shows
// them.
func TestDemoOfAFleet(t *testing.T) {
	long(t)
	t.Parallel()
	p := start(t, "demo", "--fleet", "--for", "17s")
	h := newHost(t)
	for range 2 {
		_, exported, _ := strings.Cut(p.await("export "), "export ")
		h.env = append(h.env, strings.Fields(exported)...)
	}
	p.await("switchgear fleet status")
	p.await("zone a: 3 closed", "zone b: 3 closed", "coordinator")
	for began := time.Now(); ; {
		out := h.ok("fleet", "status")
		if hasAll(out, []string{"fleet demo: 6 processes", "payments", "6 closed", "a: 3 closed; b: 3 closed"}) {
			break
		}
		if time.Since(began) > tooLong { // each tells of its breakers just after it has joined
			t.Fatalf("fleet status says\n%s", out)
		}
	}
	p.await("pod-1 cannot reach payments")
	p.await("pod-1 in zone b: closed -> open: 5 failures in a row; last error: service unavailable")
	p.await("zone a: 3 closed", "zone b: 2 closed, 1 open")
	p.await("Over after 17s", "calls ok")
	p.ends()
}
