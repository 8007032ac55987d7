//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops/internal/procstate"
)

const childDir = "SWITCHGEAR_TEST_CHILD_DIR"

// TestMain makes the test binary a process to be killed, stopped and measured
// when it is started by startChild.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	syscall.Umask(0)
	m := breaker.NewManager(breaker.Settings{})
	m.Breaker("foo")
	s, err := Start(m, Config{Input: dir + "/p.in", Output: dir + "/p.out"})
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

// named checks that err matches want, says what, and came within two seconds,
// or three on a machine that is busy with other things.
func named(t *testing.T, from time.Time, err, want error, what string) {
	t.Helper()
	if took := time.Since(from); took > 3*time.Second || DefaultPatience > 1500*time.Millisecond {
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
	_, err := p.ForceOpen(t.Context(), "foo", breaker.Reason{})
	named(t, from, err, ErrNoReader, fmt.Sprintf("there is no process %d", p.PID))
}

func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	p := startChild(t, t.TempDir())
	if _, err := p.Status(t.Context(), "foo"); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGSTOP)
	if runtime.GOOS == "linux" {
		eventually(t, "the process is stopped", func() bool { return procstate.Of(p.PID) == procstate.Stopped })
	}
	from := time.Now()
	_, err := p.ForceOpen(t.Context(), "foo", breaker.Reason{})
	named(t, from, err, ErrNoAnswer, "nothing was ordered")
	if runtime.GOOS == "linux" && !strings.Contains(err.Error(), "is stopped") {
		t.Errorf("got %v, want that the process is stopped", err)
	}

	// Awake again, it must not carry out what nobody waits for any more, and
	// the next answer must be the right one.
	p.cmd.Process.Signal(syscall.SIGCONT)
	text, err := p.Status(t.Context(), "foo")
	if err != nil || !strings.Contains(text, " closed ") {
		t.Errorf("after waking: %q, %v, want closed", text, err)
	}
}

// A client that is killed or stopped while it has its turn does not keep the
// others from theirs: the first gives the turn back, the second is named.
func TestStuckClient(t *testing.T) {
	t.Parallel()
	_, c := serve(t, "foo")
	c.Patience = DefaultPatience // that is what this is about
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
