package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var program string // switchgear, built for the tests

func TestMain(m *testing.M) {
	if service := os.Getenv(shopEnv); service != "" {
		if err := keepShop(service); err != nil {
			panic(err)
		}
		return
	}
	dir, err := os.MkdirTemp("", "switchgear-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "switchgear")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// process is a running program whose output is read line by line.
type process struct {
	*lines
	t   *testing.T
	cmd *exec.Cmd
	tmp string // its folder for temporary files
}

// start runs the program with a new folder for temporary files, where it would
// leave something behind.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := startAs(t, nil, exec.Command(program, args...))
	p.begin()
	return p
}

// startAs makes a process that begin starts. Without an out its lines are
// read.
func startAs(t *testing.T, out *os.File, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, tmp: shortTemp(t)}
	cmd.Env = append(os.Environ(), "TMPDIR="+p.tmp, "SWITCHGEAR_RUNTIME_DIR="+p.tmp)
	cmd.Stderr = os.Stderr
	if out != nil {
		cmd.Stdout = out
	}
	return p
}

func (p *process) begin() {
	p.t.Helper()
	if p.cmd.Stdout == nil {
		out, in, err := os.Pipe()
		if err != nil {
			p.t.Fatal(err)
		}
		defer in.Close() // the program has its own
		p.cmd.Stdout = in
		p.lines = linesOf(p.t, out)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
}

// shortTemp returns a new folder with a short path, as the path of a unix
// socket requires.
func shortTemp(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sg") //nolint:usetesting // T.TempDir has the test's name in it, which is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func hasAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// ends waits for the end, and reports an exit code other than 0 and anything
// left behind.
func (p *process) ends() {
	p.t.Helper()
	p.rest()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("exit: %v, want status 0; it wrote:\n%s", err, p.text())
	}
	p.leavesNothing()
}

// leavesNothing looks for files that were left, in any folder.
func (p *process) leavesNothing() {
	p.t.Helper()
	err := filepath.WalkDir(p.tmp, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() || strings.Contains(path, "switchgear-demo") {
			p.t.Errorf("left behind: %s", path)
		}
		return nil
	})
	if err != nil {
		p.t.Error(err)
	}
}
