package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var program string // switchgear, built for the tests

func TestMain(m *testing.M) {
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
	t     *testing.T
	cmd   *exec.Cmd
	tmp   string // its folder for temporary files
	lines chan string
	seen  []string
}

// start runs the program with a folder for temporary files of its own, which
// is where it would leave something behind.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startTo(t, in, args...)
	in.Close() // the program has its own
	go func() {
		defer out.Close()
		defer close(p.lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			p.lines <- sc.Text()
		}
	}()
	return p
}

// startTo runs the program with out as its output.
func startTo(t *testing.T, out *os.File, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), tmp: shortTemp(t), lines: make(chan string, 10_000)}
	p.cmd.Env = append(os.Environ(), "TMPDIR="+p.tmp)
	p.cmd.Stdout, p.cmd.Stderr = out, os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// shortTemp is a new folder with a short path, as the path of a unix socket
// has to be.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// await reads lines up to the one that has all the words, and returns it.
func (p *process) await(words ...string) string {
	p.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended without a line with %q; it wrote:\n%s", words, strings.Join(p.seen, "\n"))
			}
			p.seen = append(p.seen, line)
			if hasAll(line, words) {
				return line
			}
		case <-limit:
			p.t.Fatalf("no line with %q within 20s; it wrote:\n%s", words, strings.Join(p.seen, "\n"))
		}
	}
}

func hasAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// ends waits for the end, and reports an exit status other than 0 and
// whatever was left behind.
func (p *process) ends() {
	p.t.Helper()
	for line := range p.lines {
		p.seen = append(p.seen, line)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("exit: %v, want status 0; it wrote:\n%s", err, strings.Join(p.seen, "\n"))
	}
	left, err := os.ReadDir(p.tmp)
	if err != nil || len(left) > 0 {
		p.t.Errorf("left behind: %v %v, want nothing", left, err)
	}
}
