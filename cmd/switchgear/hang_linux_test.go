package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// silent is a process that accepts connections and never answers, like one
// that is busy forever. It counts the connections.
type silent struct{ asked atomic.Int32 }

func (h *host) silent(pid int) *silent {
	h.t.Helper()
	folder := filepath.Join(h.dir, "switchgear")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		h.t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(folder, fmt.Sprint(pid, ".sock")))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	s := new(silent)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.asked.Add(1)
			go io.Copy(io.Discard, c)
		}
	}()
	return s
}

// If a process is named by its number, only that one is asked.
func TestNumberAsksThatProcessAlone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	shop := h.shop("shop")
	hanging := h.silent(4_242_424)
	for _, words := range [][]string{
		args("status"), args("explain", "payments"), args("history", "payments"), args("status", "--json"),
		args("close", "payments"), args("open", "payments", "--dry-run"), args("set", "payments", "fail_max=7"),
	} {
		h.ok(append(words, "-p", strconv.Itoa(shop.PID))...)
	}
	if n := hanging.asked.Load(); n > 0 {
		t.Errorf("another process was asked %d times", n)
	}
}

// Answers are shown, whatever else hangs.
func TestAnswersAreShown(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	shop := h.shop("shop")
	h.silent(4_242_424)
	hangs := "process 4242424 does not answer: no answer in time"
	if r := h.run("status"); r.code != 4 || !strings.Contains(r.out, "payments") || !strings.Contains(r.errOut, hangs) {
		t.Errorf("status: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	// A process whose service is unknown may belong to the requested one.
	if r := h.run("status", "-p", "shop"); r.code != 4 || !strings.Contains(r.out, "payments") || !strings.Contains(r.errOut, "may belong to the service shop") {
		t.Errorf("status -p shop: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	if r := h.run("close", "payments", "-p", "shop"); r.code != 0 || !strings.Contains(r.out, "closed") || !strings.Contains(r.errOut, "may belong to the service shop") {
		t.Errorf("close -p shop: exit %d, want 0\n%s%s", r.code, r.out, r.errOut)
	}
	// The tab key offers what has been answered so far.
	for _, tt := range []struct {
		args []string
		want string
	}{
		{args("__complete", "explain", "pay"), "payments\t"},
		{args("__complete", "force-open", "led"), "ledger/eu-2\t"},
		{args("__complete", "status", "-p", ""), fmt.Sprintf("%d\tshop", shop.PID)},
	} {
		if r := h.run(tt.args...); !strings.Contains(r.out, tt.want) {
			t.Errorf("%q beside a process that hangs:\n%swant %q", tt.args, r.out, tt.want)
		}
	}
}

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

// Watch ends when its reader has gone, as in "switchgear watch | head -1": at
// the next event, and also without one.
func TestWatchEndsWithItsReader(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{0, 1} {
		for _, extra := range [][]string{nil, {"--json"}} {
			h := newHost(t)
			h.shop("shop")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := h.command(t.Context(), append(args("watch"), extra...)...)
			cmd.Stdout = w
			errs, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			remarks := linesOf(t, errs)
			remarks.await("watching 1 process")
			if lines == 1 {
				got := make(chan error, 1)
				go func() {
					_, err := bufio.NewReader(r).ReadString('\n')
					got <- err
				}()
				for received := false; !received; { // the stream may begin a little later
					h.ok("open", "search")
					select {
					case err := <-got:
						if received = true; err != nil {
							t.Fatal(err)
						}
					case <-time.After(100 * time.Millisecond):
					}
				}
			}
			r.Close()
			endsSoon(t, fmt.Sprintf("watch %q after %d lines", extra, lines), cmd)
			if remarks.rest(); remarks.saw("broken") || remarks.saw("EPIPE") {
				t.Errorf("it says:\n%s", remarks.text())
			}
		}
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
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
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
