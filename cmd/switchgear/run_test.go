package main_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// result is the result of a run of the program.
type result struct {
	code        int
	out, errOut string
}

// host is a runtime dir with the processes that the program finds.
type host struct {
	t   testing.TB
	dir string
	env []string // further variables
}

func newHost(t testing.TB) *host { return &host{t: t, dir: shortTemp(t)} }

func (h *host) shop(service string) *shop {
	h.t.Helper()
	return startShop(h.t, h.dir, service)
}

// command is the program with args on this host.
func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "SWITCHGEAR_RUNTIME_DIR="+h.dir, "SWITCHGEAR_ACTOR=tess", "TMPDIR="+h.dir)
	cmd.Env = append(cmd.Env, h.env...)
	return cmd
}

// run runs the program to its end.
func (h *host) run(args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := h.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		h.t.Fatalf("switchgear %q: %v %v\n%s", args, err, ctx.Err(), errOut.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// ok runs the program, which must exit with 0 and print nothing on standard
// error.
func (h *host) ok(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 || r.errOut != "" {
		h.t.Fatalf("switchgear %q: exit %d, want 0 and nothing on standard error\n%s%s", args, r.code, r.out, r.errOut)
	}
	return r.out
}

// fails runs the program, which must exit with code and print one line that
// has the words.
func (h *host) fails(code int, args []string, words ...string) {
	h.t.Helper()
	r := h.run(args...)
	if r.code != code {
		h.t.Errorf("switchgear %q: exit %d, want %d\n%s%s", args, r.code, code, r.out, r.errOut)
	}
	if strings.Count(r.errOut, "\n") != 1 || !hasAll(r.errOut, words) || !strings.HasPrefix(r.errOut, "switchgear: ") {
		h.t.Errorf("switchgear %q says\n%swant one line with %q", args, r.errOut, words)
	}
}

func args(words ...string) []string { return words }
