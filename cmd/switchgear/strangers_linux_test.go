package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// shopOf starts a shop of another user, where that user's processes have their
// sockets. The binary is copied, so that every user can run it.
func (h *host) shopOf(uid uint32, service string) *shop {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		h.t.Fatal(err)
	}
	bin := shortTemp(h.t)
	exe := filepath.Join(bin, "shop")
	files := filepath.Join(bin, "files")
	for _, err := range []error{
		os.Chmod(bin, 0o755), os.WriteFile(exe, binary, 0o755), os.Mkdir(files, 0o700), os.Chown(files, int(uid), int(uid)),
		os.Chmod(h.dir, 0o777|os.ModeSticky),
	} {
		if err != nil {
			h.t.Fatal(err)
		}
	}
	s := &shop{cmd: exec.Command(exe)}
	s.cmd.Dir = "/"
	s.cmd.Env = []string{shopEnv + "=" + service, fmt.Sprintf("SWITCHGEAR_RUNTIME_DIR=%s/switchgear-%d", h.dir, uid), "SHOP_FILES=" + files, "SHOP_BREAKER=" + os.Getenv("SHOP_BREAKER")}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	s.cmd.Stderr = os.Stderr
	in, err1 := s.cmd.StdinPipe() // it ends when this closes
	out, err2 := s.cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		h.t.Fatal(err1, err2)
	}
	if err := s.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		in.Close()
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	if err := json.NewDecoder(out).Decode(s); err != nil {
		h.t.Fatalf("the shop did not open: %v", err)
	}
	return s
}

// Root sees the processes of other users by their users' names, and gives
// orders to them only by their paths, because they can choose any name.
func TestRootAndTheProcessesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIP: needs root, to become another user")
	}
	h := newHost(t)
	// The host may have other processes, but none with a breaker of this name. It
	// has no digits, which could be those of a process.
	name := "payments-" + strings.Map(func(digit rune) rune { return digit - '0' + 'a' }, strconv.Itoa(os.Getpid()))
	t.Setenv("SHOP_BREAKER", name)
	other := h.shopOf(nobody, "payments-api")
	ownShop := h.shopOf(0, "payments-api")
	// As on a real host, processes are found where users have theirs.
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", "")
	h.env = []string{"SWITCHGEAR_RUNTIME_DIR=", "XDG_RUNTIME_DIR="}
	theirs := fmt.Sprintf("payments-api/%d (nobody)", other.PID)
	ours := fmt.Sprintf("payments-api/%d", ownShop.PID)
	stateOf := func(s *shop) string { return h.ok("status", name, "-p", s.Socket) }

	for _, words := range [][]string{args("ps"), args("status")} {
		got := h.run(words...).out
		for _, want := range [][]string{{"USER"}, {strconv.Itoa(other.PID), "nobody"}, {strconv.Itoa(ownShop.PID), "root"}} {
			if !lineHas(got, want...) {
				t.Errorf("%q has no line with %q:\n%s", words, want, got)
			}
		}
	}
	if got := h.run("explain", name).out; !hasAll(got, args(theirs+": "+name+" has been open", ours+": "+name+" has been open")) {
		t.Errorf("explain:\n%s", got)
	}
	if got := h.run("ps", "--json").out; !strings.Contains(got, `"uid": 65534`) {
		t.Errorf("ps --json:\n%s", got)
	}

	for _, words := range [][]string{args("close", name), args("close", name, "-p", "payments-api"), args("set", name, "fail_max=9"), args("force-open", name, "--for", "1m", "--reason", "x", "--dry-run")} {
		r := h.run(words...)
		if r.code != 0 || strings.Contains(r.out, strconv.Itoa(other.PID)) || !hasAll(r.errOut, args(theirs, "another user", other.Socket)) {
			t.Errorf("%q: exit %d, want it done in our own process alone\n%s%s", words, r.code, r.out, r.errOut)
		}
	}
	if got := stateOf(ownShop); !strings.Contains(got, "closed") {
		t.Errorf("our own process:\n%s", got)
	}
	h.fails(1, args("close", name, "-p", strconv.Itoa(other.PID)), theirs+" belongs to another user", "-p "+other.Socket)
	if text, _ := os.ReadFile(other.Audit); strings.Contains(string(text), `"order"`) {
		t.Errorf("the other user's process was sent orders:\n%s", text)
	}
	if got := stateOf(other); !strings.Contains(got, "OPEN") {
		t.Errorf("the other user's process:\n%s", got)
	}
	h.ok("close", name, "-p", other.Socket)
	if got := stateOf(other); !strings.Contains(got, "closed") {
		t.Errorf("by its path:\n%s", got)
	}
	if err := ownShop.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = ownShop.cmd.Wait()
	if r := h.run("close", name, "-p", "payments-api"); r.code != 1 || !strings.Contains(r.errOut, "another user") {
		t.Errorf("when there is no other: exit %d, want 1\n%s%s", r.code, r.out, r.errOut)
	}
}

// A number that stands for another user's pipe is not accepted for an order
// either.
func TestNumberOfAnotherUsersPipe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIP: needs root, to make a pipe of another user's")
	}
	h := newHost(t)
	const pid = "999999990"
	path := "/tmp/breaker/" + pid + ".in"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	h.fails(1, args("close", "payments", "-p", pid), "(nobody) belongs to another user", "-p pipe:"+path)
}

// lineHas reports whether a line of text has all the words.
func lineHas(text string, words ...string) bool {
	for line := range strings.Lines(text) {
		if hasAll(line, words) {
			return true
		}
	}
	return false
}
