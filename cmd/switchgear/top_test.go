//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// terminal is a real terminal, in tmux.
type terminal struct {
	t      *testing.T
	socket string
}

// newTerminal runs the program in a terminal of this size on the host h.
func newTerminal(t *testing.T, h *host, width, height int, args ...string) *terminal {
	t.Helper()
	needs(t, "tmux")
	term := &terminal{t, filepath.Join(shortTemp(t), "tmux")}
	line := fmt.Sprintf("export SWITCHGEAR_RUNTIME_DIR=%s SWITCHGEAR_ACTOR=tess; %s %s; echo EXIT $?; read x", h.dir, program, strings.Join(args, " "))
	term.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env -u NO_COLOR sh -c "+"'"+line+"'")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() })
	return term
}

// needs skips a test for which a program is not installed.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
		t.Fatalf("needs %s", name)
	}
	t.Skipf("SKIP: needs %s", name)
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (term *terminal) press(keys ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys"}, keys...)...)
}

func (term *terminal) write(text string) {
	term.t.Helper()
	term.tmux("send-keys", "-l", text)
}

// shows waits until the screen shows all the words, and returns it.
func (term *terminal) shows(words ...string) string {
	term.t.Helper()
	limit := time.After(tooLong)
	beat := time.NewTicker(50 * time.Millisecond)
	defer beat.Stop()
	for {
		screen := term.tmux("capture-pane", "-p")
		if hasAll(screen, words) {
			return screen
		}
		select {
		case <-beat.C:
		case <-limit:
			term.t.Fatalf("the terminal does not show %q:\n%s", words, screen)
		}
	}
}

func TestTopInARealTerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	term := newTerminal(t, h, 100, 24, "top", "--every", "200ms")
	term.shows("switchgear top", "1 process", "> payments", "OPEN", "5 failures in a row", "q quit")
	term.press("Enter")
	term.shows("payments has been open for", "rejected; a probe may run")

	term.press("F")
	term.shows("force-closed payments", "reason:")
	term.write("vendor is back")
	term.press("Enter")
	term.shows("for: 30m")
	term.press("Enter")
	term.shows("open -> forced-closed for 30m, by tess", "y to do it")
	term.press("y")
	term.shows("done: payments: open -> forced-closed", "FORCED-CLOSED", "ends in 29m", "by tess: ")
	if got := h.ok("status", "payments"); !strings.Contains(got, "FORCED-CLOSED") {
		t.Errorf("top says done, and status says\n%s", got)
	}

	term.press("Escape")
	term.shows("? help") // the note is gone: esc was taken as a key, not as alt
	term.write("/ledger")
	term.press("Enter")
	term.shows("filter: ledger", "3 keys: 1 forced-open, 2 closed")
	term.press("Home", "Enter")
	term.shows("ledger/eu-1", "ledger/us-1")

	term.press("q")
	term.shows("EXIT 0")
}

func TestTopSaysWhenAProcessIsGone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("desk")
	s := h.shop("shop")
	term := newTerminal(t, h, 120, 24, "top", "--every", "200ms")
	term.shows("2 processes", fmt.Sprintf("shop/%d", s.PID))
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	term.shows("1 process ", "shop/", "is gone")
	term.press("C-c")
	term.shows("EXIT 0")
}

func TestTablesFitTheTerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	for _, width := range []int{120, 80, 40} {
		screen := newTerminal(t, h, width, 20, "status").shows("EXIT 0")
		// Header, payments, the set, its worst key and search: one line each.
		lines := strings.Split(screen, "\n")
		if !strings.HasPrefix(lines[0], "ID") || !strings.HasPrefix(lines[4], "search") || !strings.HasPrefix(lines[5], "EXIT") {
			t.Errorf("status in %d columns does not stand on 5 lines:\n%s", width, screen)
		}
	}
}

func TestConfirmationAtATerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	term := newTerminal(t, h, 100, 20, "open", "ledger/\\*")
	term.shows("open applies to 3 breakers (3 in shop/", "Type 3 to do it")
	term.write("4")
	term.press("Enter")
	term.shows("not confirmed, nothing was changed", "EXIT 1")
	term = newTerminal(t, h, 100, 20, "open", "ledger/\\*")
	term.shows("Type 3 to do it")
	term.write("3")
	term.press("Enter")
	term.shows("Changed 3 of 3.", "EXIT 0")
}

// NO_COLOR removes the colours, not the words.
func TestColourOnlyWhereItIsWanted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	term := newTerminal(t, h, 100, 20, "status")
	term.shows("EXIT 0")
	if raw := term.tmux("capture-pane", "-e", "-p"); !strings.Contains(raw, "\x1b[1m\x1b[31mOPEN") && !strings.Contains(raw, "31mOPEN") {
		t.Errorf("no red OPEN on a terminal: %q", raw)
	}
	term = newTerminal(t, h, 100, 20, "status > /dev/null; NO_COLOR=yes "+program+" status")
	term.shows("OPEN", "EXIT 0")
	if raw := term.tmux("capture-pane", "-e", "-p"); regexp.MustCompile(`\x1b\[[0-9;]*3[0-7]`).MatchString(raw) {
		t.Errorf("colour under NO_COLOR: %q", raw)
	}
}

// In a small terminal top shows what matters, which is at the top, and how much there is
// below it.
func TestFleetTopInASmallTerminal(t *testing.T) {
	t.Parallel()
	m := new(breaker.Manager)
	for i := range 100 {
		m.Breaker("breaker-" + strconv.Itoa(i))
	}
	f := fleetOf(t, m)
	term := newTerminal(t, f.host, 60, 12, "fleet", "top", "--redis", f.url, "--group", "shop")
	screen := term.shows("fleet shop: 1 process, coordinator pod-0", "ID", "breaker-0 ", "... and 92 more lines")
	if n := strings.Count(strings.TrimRight(screen, "\n"), "\n") + 1; n > 12 {
		t.Errorf("%d lines, want 12 at most:\n%s", n, screen)
	}
}
