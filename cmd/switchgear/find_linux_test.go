package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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

func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	a, b := h.shop("shop"), h.shop("desk")
	if got := h.ok("status"); !hasAll(got, []string{fmt.Sprintf("shop/%d", a.PID), fmt.Sprintf("desk/%d", b.PID), "PROCESS"}) {
		t.Errorf("status:\n%s", got)
	}
	h.fails(2, args("close", "payments", "--if-version", "2", "-p", strconv.Itoa(a.PID), "-p", strconv.Itoa(b.PID)), "--if-version is for one breaker")
	// The same id in two processes is two breakers.
	h.fails(1, args("close", "payments"), "2 breakers", "1 in shop/", "1 in desk/", "--yes 2")
	h.ok("close", "payments", "-p", "shop")
	if got := h.ok("explain", "payments"); !hasAll(got, []string{
		fmt.Sprintf("shop/%d: payments has been closed", a.PID), fmt.Sprintf("desk/%d: payments has been open", b.PID),
	}) {
		t.Errorf("explain:\n%s", got)
	}
	if got := h.ok("open", "payments", "--yes", "2"); !strings.Contains(got, "Changed 2 of 2.") {
		t.Errorf("open in both:\n%s", got)
	}
}

func TestDeadAndStoppedProcessesAreNamedInBoundedTime(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.shop("shop")
	dead, stopped := h.shop("dead"), h.shop("stopped")
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.cmd.Wait()
	stop(t, stopped)
	isGone, isStopped := fmt.Sprintf("process %d is gone", dead.PID), fmt.Sprintf("process %d does not answer: the process is stopped", stopped.PID)
	// Some did not answer: the exit code is the same for all queries.
	for _, words := range [][]string{args("status"), args("explain", "payments"), args("history", "payments"), args("status", "--json"), args("status", "payments")} {
		began := time.Now()
		r := h.run(words...)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("%q took %s beside a stopped process", words, took)
		}
		if r.code != 4 || r.out == "" || !hasAll(r.errOut, []string{isGone, isStopped}) {
			t.Errorf("%q: exit %d, want 4, the breakers that answer, and the names of the two that do not\n%s%s", words, r.code, r.out, r.errOut)
		}
	}
	if r := h.run("explain", "nosuch"); r.code != 4 || !hasAll(r.errOut, []string{`unknown breaker "nosuch"`, isStopped}) {
		t.Errorf("an id that none of those that answer knows: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	// The order was carried out in all processes that have the id, as far as
	// they answer.
	if r := h.run("close", "payments"); r.code != 0 || !strings.Contains(r.out, "closed") || !strings.Contains(r.errOut, isStopped) {
		t.Errorf("close: exit %d, want 0, and the name of the one that was not asked\n%s%s", r.code, r.out, r.errOut)
	}
	h.fails(3, args("close", "payments", "-p", strconv.Itoa(dead.PID)), isGone+" and left its socket")
	h.fails(3, args("close", "payments", "-p", strconv.Itoa(stopped.PID)), isStopped)
	h.fails(3, args("status", "-p", strconv.Itoa(stopped.PID)), isStopped)
	// Of two processes that are named, one is there: a query shows its answer,
	// but an order is not given to only one of them.
	both := args("-p", "shop", "-p", strconv.Itoa(stopped.PID))
	if r := h.run(append(args("status"), both...)...); r.code != 4 || !strings.Contains(r.out, "payments") || !strings.Contains(r.errOut, isStopped) {
		t.Errorf("status of two: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	if r := h.run(append(args("open", "payments"), both...)...); r.code != 3 || r.out != "" || !strings.Contains(r.errOut, isStopped) {
		t.Errorf("open in two: exit %d, want 3\n%s%s", r.code, r.out, r.errOut)
	}
	if got := h.run("status", "payments", "-p", "shop").out; !strings.Contains(got, "closed") {
		t.Errorf("an order that was refused changed something:\n%s", got)
	}
	if r := h.run("ps"); r.code != 4 || !hasAll(r.out, []string{"the process is stopped", "the process is gone and left its socket, which was removed"}) || r.errOut != "" {
		t.Errorf("ps: exit %d, want 4\n%s%s", r.code, r.out, r.errOut)
	}
	if r := h.run("ps"); strings.Contains(r.out, "is gone") {
		t.Errorf("what was removed is still listed:\n%s", r.out)
	}
}

// If nothing answers, the exit code says so.
func TestNothingAnswers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.shop("shop")
	stop(t, s)
	for _, words := range [][]string{args("status"), args("explain", "payments"), args("history", "payments"), args("close", "payments")} {
		r := h.run(words...)
		if r.code != 3 || r.out != "" || !hasAll(r.errOut, args("the process is stopped", "no process of this host answers")) {
			t.Errorf("%q: exit %d, want 3\n%s%s", words, r.code, r.out, r.errOut)
		}
	}
	if r := h.run("ps"); r.code != 3 || !strings.Contains(r.out, "the process is stopped") || !strings.Contains(r.errOut, "no process of this host answers") {
		t.Errorf("ps: exit %d, want 3\n%s%s", r.code, r.out, r.errOut)
	}
}

// stop stops a shop, as Ctrl-Z does, and waits until it has stopped.
func stop(t *testing.T, s *shop) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	limit := time.After(10 * time.Second)
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID))
		if err == nil && strings.Contains(string(text), ") T ") {
			return
		}
		select {
		case <-limit:
			t.Fatalf("it does not stop: %s, %v", text, err)
		case <-time.After(time.Millisecond):
		}
	}
}
