package main_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// ends waits for a command whose reader has gone.
func endsSoon(t *testing.T, what string, cmd *exec.Cmd) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill()
		t.Errorf("%s continues although its output is not read", what)
		<-done
	}
}

// Every command ends when its output cannot be written, and its exit code says
// so; an order is carried out nevertheless.
func TestWriteErrorsEndEveryCommand(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIP: needs /dev/full")
	}
	defer full.Close()
	for i, words := range [][]string{
		args("ps"), args("ps", "--json"), args("status"), args("status", "--json"), args("status", "nosuch"), args("explain", "payments"), args("history", "payments"),
		args("close", "payments"), args("open", "payments", "--json"), args("force-open", "ledger/*", "--for", "1m", "--reason", "x", "--dry-run"),
		args("set", "search", "fail_max=7"), args("audit", "verify", s.Audit), args("audit", "verify", s.Audit, "--json"), args("audit"),
		args("help"), args("help", "orders"), args("status", "--help"), args("completion", "bash"), args("__complete", "explain", "p"), args("demo"), args(),
	} {
		code, errOut := h.into(full, words...)
		prints := words == nil || words[len(words)-1] != "nosuch"
		if code == 0 || prints && !strings.Contains(errOut, "the output cannot be written: write /dev/stdout: no space left on device") {
			t.Errorf("%d: %q to a full disk: exit %d, %s", i, words, code, errOut)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		code, errOut = h.into(w, words...)
		if w.Close(); prints && (code == 0 || strings.Contains(errOut, "pipe")) {
			t.Errorf("%d: %q without a reader: exit %d, %s", i, words, code, errOut)
		}
	}
	if got := h.ok("status", "search", "--json"); !strings.Contains(got, `"fail_max": 7`) {
		t.Errorf("an order whose receipt could not be written was not carried out:\n%s", got)
	}
}

// into runs the program with a given output, to its end.
func (h *host) into(out *os.File, words ...string) (code int, errOut string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), tooLong)
	defer cancel()
	var errs strings.Builder
	cmd := h.command(ctx, words...)
	cmd.Stdout, cmd.Stderr = out, &errs
	_ = cmd.Run()
	if ctx.Err() != nil {
		h.t.Errorf("switchgear %q goes on although nothing can be written", words)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

func TestExitCodesOfErrors(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.fails(3, args("status"), "no process of this host has a switchgear socket")
	h.fails(3, args("ps"), "no process of this host")
	h.shop("shop")
	for _, tt := range []struct {
		code  int
		args  []string
		words []string
	}{
		{1, args("explain", "paymets"), args(`unknown breaker "paymets"`, "payments")},
		{1, args("explain", "ledger"), args(`"ledger"`, "ledger/*")},
		{1, args("close", "ledger/eu-9"), args("ledger/eu-9", "ledger/eu-1")},
		{1, args("set", "nosuch", "fail_max=1"), args("nosuch")},
		{1, args("set", "search", "reset_max=1s"), args("ResetMax", "at least ResetTimeout")},
		{2, args("nosuch"), args(`unknown command "nosuch"`, "switchgear --help")},
		{2, args("stauts"), args(`unknown command "stauts"`, "did you mean status")},
		{2, args("audit", "verfy"), args(`unknown command "verfy"`, "verify")},
		{2, args("status", "--nosuch"), args("unknown flag: --nosuch", "switchgear status --help")},
		{2, args("status", "--sort", "colour"), args("--sort colour", "worst")},
		{2, args("explain"), args("needs the id of a breaker")},
		{2, args("explain", "a", "b"), args("no more", `"b"`)},
		{2, args("close"), args("needs the id of a breaker", "name/*")},
		{2, args("force-open", "payments", "--reason", "x"), args("--for 30m", "--no-expiry")},
		{2, args("force-open", "payments", "--reason", "x", "--for", "1m", "--no-expiry"), args("one of them")},
		{2, args("force-closed", "payments", "--for", "1m"), args("--reason")},
		{2, args("force-closed", "payments", "--for", "5"), args("--for", "missing unit")},
		{2, args("force-closed", "payments", "--for", "-5m", "--reason", "x"), args("--for -5m", "above 0")},
		{2, args("close", "payments", "--for", "1m"), args("unknown flag: --for")},
		{2, args("set", "payments"), args("KEY=VALUE")},
		{2, args("set", "payments", "fail_max"), args("KEY=VALUE")},
		{2, args("set", "payments", "fail_mux=1"), args("fail_mux", `did you mean "fail_max"`)},
		{2, args("set", "payments", "window=10"), args("window", "10s")},
		{2, args("set", "payments", "fail_max=1", "fail_max=2"), args("fail_max appears twice")},
		{2, args("close", "ledger/*", "--if-version", "1", "--yes", "9"), args("wildcard")},
		{2, args("history", "payments", "-n", "0"), args("-n 0", "1 or more")},
		{2, args("history", "payments", "-n", "-1"), args("-n -1", "1 or more")},
		{2, args("history", "payments", "--lines=-9223372036854775808"), args("1 or more")},
		{2, args("status", "--timeout", "0"), args("--timeout", "above 0")},
		{2, args("status", "--timeout", "-3s"), args("--timeout -3s", "above 0")},
		{2, args("status", "-p", ""), args("-p without a process")},
		{2, args("close", "ledger/*", "--yes", "-1"), args("--yes -1", "the number")},
		{2, args("open", "payments", "--for", "0s"), args("--for 0s", "above 0")},
		{2, args("open", "payments", "--for", "-1m"), args("--for -1m", "above 0")},
		{2, args("close", "payments", "--if-version", "0"), args("--if-version 0", "at least 1")},
		{2, args("demo", "--for", "-1s"), args("--for -1s", "above 0")},
		{2, args("top", "--json"), args("watch --json")},
		{2, args("top"), args("needs a terminal")},
		{2, args("demo", "now"), args("now")},
		{3, args("status", "-p", "1"), args("no socket of process 1", "shop/")},
		{3, args("status", "-p", "desk"), args("no service called desk", "shop/")},
		{2, args("status", "-p", "pipe:/x/y"), args("pipe:/x/y,REPLY")},
		{1, args("audit", "verify", "/nosuch"), args("/nosuch", "no such file")},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			(&host{t: t, dir: h.dir}).fails(tt.code, tt.args, tt.words...)
		})
	}
}
