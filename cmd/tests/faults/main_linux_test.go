package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programs is the folder of the two programs and of this test binary, which is
// the owner; every user may run them.
var programs string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(withPrograms(m.Run))
}

func withPrograms(run func() int) int {
	dir, err := os.MkdirTemp("", "switchgear-faults-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programs = dir
	self, err1 := os.Executable()
	binary, err2 := os.ReadFile(self)
	err = errors.Join(err1, err2, os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "owner"), binary, 0o755))
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", dir, "../../circuit_breaker_fifo", "../../switchgear")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	return run()
}

// result is what a run of a program left.
type result struct {
	code        int
	out, errOut string
	took        time.Duration
}

// command returns one of the programs, as it would be typed.
func command(ctx context.Context, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(programs, words[0]), words[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SWITCHGEAR_ACTOR=tess")
	return cmd
}

// hung is the time after which a program counts as hung.
const hung = 90 * time.Second

// run runs a program to its end.
func run(t *testing.T, words ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hung)
	defer cancel()
	return finish(t, command(ctx, words...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	from := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() < 0 {
		t.Errorf("%q: %v\n%s%s", cmd.Args, err, &out, &errOut)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String(), time.Since(from)}
}

// done requires a program to do what it was asked.
func done(t *testing.T, words ...string) string {
	t.Helper()
	r := run(t, words...)
	if r.code != 0 || r.errOut != "" {
		t.Errorf("%q: exit %d, want 0\n%s%s", words, r.code, r.out, r.errOut)
	}
	return r.out
}

// bounded is the longest that a program may take to say what is wrong: its
// patience is 1.5 to 3 s, and the machine may be busy.
const bounded = 15 * time.Second

// refused requires a program to end soon with code and one line that has the
// words.
func refused(t *testing.T, code int, command []string, words ...string) {
	t.Helper()
	wantRefusal(t, run(t, command...), code, command, words...)
}

func wantRefusal(t *testing.T, r result, code int, command []string, words ...string) {
	t.Helper()
	if r.code != code || r.took > bounded {
		t.Errorf("%q: exit %d after %s, want %d within %s\n%s%s", command, r.code, r.took, code, bounded, r.out, r.errOut)
	}
	said := r.out + r.errOut
	if strings.Count(said, "\n") != 1 {
		t.Errorf("%q says\n%swant one line", command, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%q says\n%swant it to say %q", command, said, word)
		}
	}
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !cond() {
		select {
		case <-limit:
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shortTemp returns a new folder with a short path, as the path of a unix
// socket requires.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sg") //nolint:usetesting // T.TempDir has the test's name in it, which is too long for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// needs skips a test that needs something that this machine or user does not
// have, or fails it where everything has to be there.
func needs(t *testing.T, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1":
		t.Fatalf("needs %s: %v", what, err)
	default:
		t.Skipf("SKIP: needs %s: %v", what, err)
	}
}

func needsRoot(t *testing.T, why string) {
	t.Helper()
	var err error
	if os.Geteuid() != 0 {
		err = errors.New("this is user " + strconv.Itoa(os.Geteuid()))
	}
	needs(t, "root, "+why, err)
}

// smallDisk returns a folder with a separate disk.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := shortTemp(t)
	needs(t, "root, to mount a small disk", syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,"+options))
	unmountAtEnd(t, dir)
	return dir
}

// fill fills the disk that dir is on until the returned function is called.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			must(t, err)
		}
	}
	return func() { must(t, os.Remove(path)) }
}

// readOnly makes the folder read-only, for root as well, until the returned
// function is called.
func readOnly(t *testing.T, dir string) (writable func()) {
	t.Helper()
	needs(t, "root, to mount a folder read-only", syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
	unmountAtEnd(t, dir)
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	return func() { must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND, "")) }
}

func unmountAtEnd(t *testing.T, dir string) {
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// nobody is a user who owns nothing here.
const nobody = 65534

// as makes cmd run as another user.
func as(uid uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// stop stops a process as a debugger or a full freezer does, and waits until
// it has stopped.
func stop(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	eventually(t, "the process is stopped", func() bool { return procState(pid) == "T" })
}

func wake(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGCONT))
}

// procState returns the letter for a process's state.
func procState(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	state, _, _ := strings.Cut(after, " ")
	return state
}

// put writes to the pipe as a shell does.
func put(t *testing.T, in, text string) {
	t.Helper()
	f, err := os.OpenFile(in, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	_, err = io.WriteString(f, text)
	must(t, err)
}
