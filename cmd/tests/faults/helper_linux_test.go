package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/tests/faults/wallclock"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

// roleEnv makes this test binary another process; confEnv says where it works.
const (
	roleEnv = "SWITCHGEAR_FAULTS_ROLE"
	confEnv = "SWITCHGEAR_FAULTS_CONF"
)

// place is where an owner works, and its settings.
type place struct {
	In, Out, Audit, Runtime string
	Socket                  string // its socket, once it is there
	Breakers                []string
	Settings                breaker.Settings
}

// at returns the usual place in a folder: pipe, reply and audit log in it, and
// the socket below it.
func at(dir string, breakers ...string) place {
	return place{
		In: filepath.Join(dir, "o.in"), Out: filepath.Join(dir, "o.out"), Audit: filepath.Join(dir, "audit"), Runtime: dir,
		Breakers: breakers, Settings: breaker.Settings{FailMax: 3, ResetTimeout: time.Hour},
	}
}

// owner is a process with breakers, as the tests see it.
type owner struct {
	place
	t     *testing.T
	cmd   *exec.Cmd
	pid   string
	stdin io.WriteCloser
	lines *bufio.Reader
}

// start starts an owner.
func start(t *testing.T, p place) *owner {
	t.Helper()
	return startAs(t, p, exec.Command(filepath.Join(programs, "owner")))
}

func startAs(t *testing.T, p place, cmd *exec.Cmd) *owner {
	t.Helper()
	o := begin(t, "owner", p, cmd)
	must(t, json.Unmarshal([]byte(o.answer()), &o.place))
	return o
}

// begin starts this binary in a role.
func begin(t *testing.T, role string, p place, cmd *exec.Cmd) *owner {
	t.Helper()
	conf, err := json.Marshal(p)
	must(t, err)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleEnv+"="+role, confEnv+"="+string(conf))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be stopped
		_ = cmd.Wait()
	})
	return &owner{place: p, t: t, cmd: cmd, pid: strconv.Itoa(cmd.Process.Pid), stdin: stdin, lines: bufio.NewReader(stdout)}
}

func (o *owner) answer() string {
	o.t.Helper()
	line, err := o.lines.ReadString('\n')
	if err != nil {
		o.t.Fatalf("the owner says %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// tell sends a line to the owner's program, and returns what it answers.
func (o *owner) tell(words ...string) string {
	o.t.Helper()
	_, err := fmt.Fprintln(o.stdin, strings.Join(words, "\t"))
	must(o.t, err)
	return o.answer()
}

func (o *owner) state(id string) string { return o.tell("state", id) }

// wants returns an error unless the breaker id is in the state.
func (o *owner) wants(id, state string) {
	o.t.Helper()
	if got := o.state(id); got != state {
		o.t.Errorf("%s is %s, want %s", id, got, state)
	}
}

func (o *owner) kill() {
	o.t.Helper()
	must(o.t, o.cmd.Process.Kill())
	_ = o.cmd.Wait()
}

// ends makes the owner close everything, which it must do quickly and cleanly.
func (o *owner) ends() {
	o.t.Helper()
	must(o.t, o.stdin.Close())
	over := make(chan error, 1)
	go func() { over <- o.cmd.Wait() }()
	select {
	case err := <-over:
		if err != nil {
			o.t.Errorf("the owner ended with %v", err)
		}
	case <-time.After(bounded):
		o.t.Errorf("the owner had not ended after %s", bounded)
	}
}

// fifo returns circuit_breaker_fifo's command line for this owner's pipe.
func (o *owner) fifo(words ...string) []string {
	return append([]string{"circuit_breaker_fifo", "-i", o.In, "-o", o.Out, "-p", o.pid}, words...)
}

// viaPipe returns switchgear's command line for the pipe, and viaSocket that
// for the socket.
func (o *owner) viaPipe(words ...string) []string {
	return append(append([]string{"switchgear"}, words...), "-p", "pipe:"+o.In)
}

func (o *owner) viaSocket(words ...string) []string {
	return append(append([]string{"switchgear"}, words...), "-p", o.Socket)
}

// recorded returns the orders in the audit log, which must verify.
func (o *owner) recorded() ([]ops.AuditEntry, ops.AuditReport) {
	o.t.Helper()
	f, err := os.Open(o.Audit)
	must(o.t, err)
	defer f.Close()
	report, err := ops.VerifyAudit(f)
	must(o.t, err)
	_, err = f.Seek(0, io.SeekStart)
	must(o.t, err)
	var all []ops.AuditEntry
	for e, err := range ops.ReadAudit(f) {
		must(o.t, err)
		if !e.Start {
			all = append(all, e)
		}
	}
	return all, report
}

// play is the other process.
func play(role string) error {
	var p place
	if err := json.Unmarshal([]byte(os.Getenv(confEnv)), &p); err != nil {
		return err
	}
	switch role {
	case "owner":
		return p.own()
	case "mute":
		return p.mute()
	}
	return fmt.Errorf("unknown role %q", role)
}

// mute opens a pipe and never reads it.
func (p *place) mute() error {
	if err := syscall.Mkfifo(p.In, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(p.In, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// own has breakers, and can be operated through every endpoint.
func (p *place) own() error {
	m := breaker.NewManager(p.Settings)
	for _, name := range p.Breakers {
		m.Breaker(name)
	}
	plane := ops.New(m, ops.Options{Service: "owner", Audit: p.Audit, RuntimeDir: p.Runtime})
	if p.Runtime != "" {
		socket, err := plane.Listen()
		if err != nil {
			return err
		}
		defer socket.Close()
		p.Socket = socket.Path()
	}
	if p.In != "" {
		pipe, err := fifo.Start(plane, fifo.Config{Input: p.In, Output: p.Out})
		if err != nil {
			return err
		}
		defer pipe.Close()
	}
	defer plane.Close()
	if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); { // it also ends if the tests die
		fmt.Println(obey(m, strings.Split(in.Text(), "\t")))
	}
	return nil
}

var errDown = errors.New("connection refused")

// obey does what a test asks for.
func obey(m *breaker.Manager, words []string) string {
	switch words[0] {
	case "goroutines":
		return strconv.Itoa(runtime.NumGoroutine())
	case "heap":
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return strconv.FormatUint(s.HeapAlloc, 10)
	case "step": // the wall clock, by this time
		d, err := time.ParseDuration(words[1])
		if err == nil {
			err = wallclock.Step(d)
		}
		return fmt.Sprint(err)
	}
	b, err := m.Lookup(words[1])
	if err != nil {
		return err.Error()
	}
	switch words[0] {
	case "fail":
		return call(b, errDown)
	case "call":
		return call(b, nil)
	case "hang": // a call that never ends
		_, err := b.Allow()
		return fmt.Sprint(err)
	case "turn": // it over and over, so many times
		n, _ := strconv.Atoi(words[2])
		for range n {
			b.Open(breaker.Order{Actor: "the owner"})
			b.Close(breaker.Order{Actor: "the owner"})
		}
	case "status":
		text, err := json.Marshal(b.Status())
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return b.State().String()
}

// call makes a call that ends with err, and reports whether it ran.
func call(b *breaker.Breaker, err error) string {
	ran := "rejected"
	_ = b.Do(context.Background(), func(context.Context) error {
		ran = "ran"
		return err
	})
	return ran
}

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
	_ = flag.Set("test.parallel", "24") // most tests wait; a flag of the command line replaces it
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

// long skips one of the tests that take longest, unless SWITCHGEAR_LONG is set. ./check
// sets it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
}
