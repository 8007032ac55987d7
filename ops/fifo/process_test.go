//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/internal/procstate"
)

const childDir = "SWITCHGEAR_TEST_CHILD_DIR"

// TestMain makes the test binary a process to be killed, stopped and measured
// when startChild starts it.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	_ = flag.Set("test.parallel", "8") // most tests wait; a flag of the command line replaces it
	os.Exit(m.Run())
}

func child(dir string) int {
	syscall.Umask(0)
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("foo")
	s, err := Start(ops.New(m, ops.Options{}), Config{Input: dir + "/p.in", Output: dir + "/p.out"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		return 1
	}
	return 0
}

type process struct {
	cmd *exec.Cmd
	Client
	stdin io.Closer
}

// startChild starts a process with a server and a breaker foo.
func startChild(t testing.TB, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return &process{cmd, Client{Input: dir + "/p.in", Output: dir + "/p.out", PID: cmd.Process.Pid}, stdin}
}

func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
}

// stop stops the process and waits until it has stopped, if the system can
// show that: a process may run on for a moment after the signal was sent.
func (p *process) stop(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		eventually(t, "the process is stopped", func() bool { return procstate.Of(p.PID) == procstate.Stopped })
	}
}

// named checks that err matches want, contains what, and came after the patience
// of a client, which is below two seconds, rather than a multiple of it. The
// machine may be busy with other things.
func named(t *testing.T, from time.Time, err, want error, what string) {
	t.Helper()
	if took := time.Since(from); took > 10*time.Second || DefaultPatience > 1500*time.Millisecond {
		t.Errorf("took %s, want less than 2 s", took)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), what) {
		t.Errorf("got %v, want %v with %q", err, want, what)
	}
}

func TestDeadProcess(t *testing.T) {
	t.Parallel()
	p := startChild(t, t.TempDir())
	if _, err := p.Status(t.Context(), "foo"); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	from := time.Now()
	_, err := p.ForceOpen(t.Context(), "foo", breaker.Order{})
	named(t, from, err, ErrNoReader, fmt.Sprintf("there is no process %d", p.PID))
}

func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	p := startChild(t, t.TempDir())
	if _, err := p.Status(t.Context(), "foo"); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	from := time.Now()
	_, err := p.ForceOpen(t.Context(), "foo", breaker.Order{})
	named(t, from, err, ErrNoAnswer, "nothing was ordered")
	if runtime.GOOS == "linux" && !strings.Contains(err.Error(), "is stopped") {
		t.Errorf("got %v, want that the process is stopped", err)
	}

	// When it continues, it must not carry out an order whose sender no longer
	// waits, and the next answer must be the right one.
	p.cmd.Process.Signal(syscall.SIGCONT)
	text, err := p.Status(t.Context(), "foo")
	if err != nil || !strings.Contains(text, " closed ") {
		t.Errorf("after waking: %q, %v, want closed", text, err)
	}
}

// A file at the reply's path when a process continues is replaced by its next
// reply: a client waits for that, within its patience, and reads nothing else.
func TestReplyBehindALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startChild(t, dir)
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("SUCCESS\nprecious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func() {
		t.Helper()
		if err := os.Remove(p.Output); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, p.Output); err != nil {
			t.Fatal(err)
		}
	}
	p.stop(t)
	link()
	from := time.Now()
	_, err := p.ForceOpen(t.Context(), "foo", breaker.Order{})
	named(t, from, err, ErrUnsafe, "the process did not replace it within 1.5s")
	if !strings.Contains(err.Error(), "nothing was ordered") {
		t.Errorf("got %v, want that nothing was ordered", err)
	}
	patient := p.Client
	patient.Patience = 20 * time.Second
	answered := make(chan error, 1)
	go func() {
		_, err := patient.Status(t.Context(), "foo")
		answered <- err
	}()
	eventually(t, "the client has its turn", func() bool { return inTurn(t, p.Input) })
	select {
	case err := <-answered:
		t.Errorf("while the process is stopped: %v, want that the client waits", err)
	case <-time.After(200 * time.Millisecond):
		p.cmd.Process.Signal(syscall.SIGCONT)
		if err := <-answered; err != nil {
			t.Errorf("when the process is awake: %v", err)
		}
	}
	for range 20 {
		link()
		if text, err := patient.Status(t.Context(), "foo"); err != nil || !strings.Contains(text, " closed ") {
			t.Fatalf("%q, %v", text, err)
		}
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "SUCCESS\nprecious\n" {
		t.Errorf("the link's target is %q, %v", text, err)
	}
}

// inTurn reports whether a client has its turn on the pipe.
func inTurn(t *testing.T, in string) bool {
	t.Helper()
	f, err := os.OpenFile(in, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return errors.Is(flock(f), syscall.EWOULDBLOCK)
}

// A client that is killed or stopped during its turn does not block the
// others: a killed one gives the turn back, a stopped one is named.
func TestStuckClient(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "foo")
	c.Patience = DefaultPatience // that is what this test is about
	x := &exchange{Client: c}
	if err := errors.Join(x.open(), flock(x.pipe)); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	_, err := c.Status(t.Context(), "")
	named(t, from, err, ErrNoAnswer, "another program waits for its answer")
	x.close()
	if _, err := c.Status(t.Context(), ""); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestChildInheritsNothing(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc")
	}
	_, c := serve(t)
	out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil || strings.Contains(string(out), c.Input) {
		t.Errorf("a child of the process holds the pipe: %v\n%s", err, out)
	}
}
