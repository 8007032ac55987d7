package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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
