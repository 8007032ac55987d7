package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
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
	_ = flag.Set("test.parallel", "16") // most tests wait; a flag of the command line replaces it
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
	ctx, cancel := context.WithTimeout(h.t.Context(), tooLong)
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

// lines is what a program writes, line by line as it arrives.
type lines struct {
	t      *testing.T
	c      chan string
	seen   []string // read by await
	peeked []string // read by has
}

func linesOf(t *testing.T, r io.ReadCloser) *lines {
	l := &lines{t: t, c: make(chan string, 10_000)}
	go func() {
		defer r.Close()
		defer close(l.c)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			l.c <- sc.Text()
		}
	}()
	return l
}

// tooLong is how long nothing may take: the machine may be busy.
const tooLong = time.Minute

// await reads lines up to the one that has all the words, and returns it. A
// line that has been returned is not returned again.
func (l *lines) await(words ...string) string {
	l.t.Helper()
	limit := time.After(tooLong)
	for {
		line, ok := l.next(limit)
		if !ok {
			l.t.Fatalf("no line with %q came before the end, or within a minute; it wrote:\n%s", words, l.text())
		}
		l.seen = append(l.seen, line)
		if hasAll(line, words) {
			return line
		}
	}
}

func (l *lines) next(limit <-chan time.Time) (line string, ok bool) {
	if len(l.peeked) > 0 {
		line = l.peeked[0]
		l.peeked = l.peeked[1:]
		return line, true
	}
	select {
	case line, ok = <-l.c:
		return line, ok
	case <-limit:
		return "", false
	}
}

// has waits a moment for a line, and reports whether one has the word. It
// leaves the lines for await.
func (l *lines) has(word string) bool {
	select {
	case line, ok := <-l.c:
		if ok {
			l.peeked = append(l.peeked, line)
		}
	case <-time.After(200 * time.Millisecond):
	}
	return strings.Contains(strings.Join(l.peeked, "\n"), word)
}

// rest reads to the end.
func (l *lines) rest() {
	for line := range l.c {
		l.seen = append(l.seen, line)
	}
}

// saw reports whether a line that was read has the word.
func (l *lines) saw(word string) bool { return strings.Contains(l.text(), word) }

func (l *lines) text() string { return strings.Join(l.seen, "\n") }

// shopEnv makes this test program a shop: a process with breakers in known
// states for the tests to operate. Its value is the name of its service.
const shopEnv = "SWITCHGEAR_TEST_SHOP"

// shop is such a process, as the tests see it.
type shop struct {
	cmd     *exec.Cmd
	PID     int
	Socket  string
	URL     string // takes orders
	Locked  string // a URL that is read-only
	In, Out string // the pipe
	Audit   string
}

// startShop starts a shop whose socket is in the runtime dir.
func startShop(t testing.TB, runtimeDir, service string, env ...string) *shop {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{cmd: exec.Command(self)}
	s.cmd.Env = append(os.Environ(), shopEnv+"="+service, "SWITCHGEAR_RUNTIME_DIR="+runtimeDir, "SHOP_FILES="+shortTemp(t))
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe() // it ends when this is closed, so also if the tests die
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = s.cmd.Process.Kill() // it may be stopped
		_ = s.cmd.Wait()
	})
	if err := json.NewDecoder(out).Decode(s); err != nil {
		t.Fatalf("the shop did not open: %v", err)
	}
	return s
}

// keepShop is the shop's own process.
func keepShop(service string) error {
	m := breaker.NewManager(breaker.Settings{ResetTimeout: time.Hour})
	payments, err := m.Create(cmp.Or(os.Getenv("SHOP_BREAKER"), "payments"), breaker.Settings{ResetTimeout: time.Hour},
		breaker.WithLinks(breaker.Links{Owner: "team payments", Runbook: "https://runbooks.example/payments", Traces: "https://traces.example/{trace_id}"}),
		breaker.WithTraceID(func(context.Context) string { return "4bf9 2f" }))
	if err != nil {
		return err
	}
	fail(payments, 5, errors.New("connection refused"))
	fail(m.Breaker("search"), 2, errors.New("timeout"))
	ledger := breaker.SetOf[string](m, "ledger")
	for _, key := range []string{"eu-1", "eu-2", "us-1"} {
		ledger.Breaker(key)
	}
	ledger.Breaker("eu-2").ForceOpen(breaker.Order{Actor: "ana", Reason: "INC-42 vendor maintenance"})

	dir := os.Getenv("SHOP_FILES")
	s := shop{PID: os.Getpid(), In: filepath.Join(dir, "in"), Out: filepath.Join(dir, "out"), Audit: filepath.Join(dir, "audit")}
	plane := ops.New(m, ops.Options{
		Service: service, Audit: s.Audit,
		Authorize: func(*http.Request, *ops.Order) error { return nil },
	})
	defer plane.Close()
	if folder := os.Getenv("SHOP_PIPE_ONLY"); folder != "" {
		s.In, s.Out = fmt.Sprintf("%s/%d.in", folder, s.PID), fmt.Sprintf("%s/%d.out", folder, s.PID)
	} else {
		socket, err := plane.Listen()
		if err != nil {
			return err
		}
		defer socket.Close()
		s.Socket = socket.Path()
	}
	pipe, err := fifo.Start(plane, fifo.Config{Input: s.In, Output: s.Out})
	if err != nil {
		return err
	}
	defer pipe.Close()
	if s.URL, err = serveShop(plane.Handler()); err != nil {
		return err
	}
	if s.Locked, err = serveShop(ops.New(m, ops.Options{Service: service}).Handler()); err != nil {
		return err
	}
	if os.Getenv("SHOP_CALLS") != "" {
		orders, err := m.Create("orders", breaker.Settings{ResetTimeout: 50 * time.Millisecond})
		if err != nil {
			return err
		}
		go func() {
			for i := 0; ; i++ {
				time.Sleep(time.Millisecond)
				_ = orders.Do(context.Background(), func(context.Context) error {
					if i/100%2 == 1 {
						return errors.New("down")
					}
					return nil
				})
			}
		}()
	}
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the tests end
	return err
}

func serveShop(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, h)
	return fmt.Sprintf("http://%s/", l.Addr()), nil
}

func fail(b *breaker.Breaker, times int, err error) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return err })
	}
}

// still removes from a text what differs from run to run.
func still(text string) string {
	for _, r := range [][2]string{
		{`\b\d+(\.\d+)?(ms|µs)\b`, "0ms"},
		{`\b\d\d:\d\d:\d\d\.\d\d\d`, "hh:mm:ss.mmm"},
		{`\b(59m5\ds|1h0m0s|1h\b)`, "59m59s"},
		{`\b\d(\.\d+)?s\b`, "0ms"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	text = regexp.MustCompile(`(?m)^ +`).ReplaceAllString(text, "")
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ") // widths follow the times
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// long skips one of the tests that take longest, unless SWITCHGEAR_LONG is set. ./check
// sets it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
}
