package ops_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// TestMain lets the test binary be another process: one that listens, or one
// that connects as another user.
func TestMain(m *testing.M) {
	switch os.Getenv("OPS_TEST_AS") {
	case "listener":
		s, err := ops.New(breaker.NewManager(breaker.Settings{}), ops.Options{Service: "child"}).Listen()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.Path())
		select {}
	case "crowded":
		playCrowded()
	case "standing":
		playStanding()
	case "stranger":
		c, err := net.Dial("unix", os.Getenv("OPS_TEST_SOCKET"))
		if err == nil {
			fmt.Fprint(c, "GET /v1/process HTTP/1.0\r\n\r\n")
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Printf("connected, answer %q\n", line)
		} else {
			fmt.Println(err)
		}
		os.Exit(0)
	case "fake":
		fmt.Println(playFake())
		os.Exit(1)
	case "finder":
		for _, f := range ops.Processes(context.Background()) {
			fmt.Println(f.Path)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t testing.TB, as string, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), append(env, "OPS_TEST_AS="+as)...)
	c.Stderr = os.Stderr
	return c
}

func TestProcessesThatLiveAndDie(t *testing.T) {
	dir := t.TempDir()
	start := func() (*exec.Cmd, string) {
		c := child(t, "listener", "SWITCHGEAR_RUNTIME_DIR="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		path, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(path, err)
		}
		return c, strings.TrimSpace(path)
	}
	alive, alivePath := start()
	killed, killedPath := start()
	stopped, stoppedPath := start()
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(stopped.Process.Pid, nil, syscall.WUNTRACED, nil); err != nil { // until it has stopped
		t.Fatal(err)
	}
	began := time.Now()
	found := map[string]ops.Found{}
	for _, f := range ops.Processes(ctx, dir) {
		found[f.Path] = f
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
	if f := found[alivePath]; f.Process == nil || f.Process.PID != alive.Process.Pid || f.PID != alive.Process.Pid || f.Process.Service != "child" {
		t.Errorf("the living: %+v", f)
	}
	if f := found[killedPath]; !f.Dead || f.PID != killed.Process.Pid || f.Problem != "the process is gone and left its socket" {
		t.Errorf("the killed: %+v", f)
	}
	if f := found[stoppedPath]; f.Dead || f.Process != nil || f.Problem != "the process is stopped" {
		t.Errorf("the stopped: %+v", f)
	}
	c, err := ops.NewClient(stoppedPath)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.Order(soon, ops.Order{ID: "x", Verb: breaker.VerbOpen, Actor: "ana"}); !errors.Is(err, ops.ErrUnreachable) || !strings.Contains(err.Error(), "may yet be carried out") {
		t.Errorf("an order for the stopped: %v", err)
	}
	if _, path := start(); path == killedPath {
		t.Skip("the kernel gave the same number again")
	}
	if _, err := os.Lstat(killedPath); !errors.Is(err, os.ErrNotExist) {
		t.Error("a new process left the dead one's socket")
	}
	if _, err := os.Lstat(stoppedPath); err != nil {
		t.Errorf("a new process took a stopped one's socket: %v", err)
	}
}

func TestKernelReportsThePeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	p := audited(t, path)
	s, err := listenAt(t, p)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := ops.NewClient(s.Path())
	if _, err := c.Order(ctx, ops.Order{ID: "payments", Verb: breaker.VerbOpen, Actor: "another user"}); err != nil {
		t.Fatal(err)
	}
	f, _ := os.Open(path)
	defer f.Close()
	for e, err := range ops.ReadAudit(f) {
		if e.Start {
			continue
		}
		if err != nil || e.Peer.UID == nil || *e.Peer.UID != os.Getuid() || e.Peer.PID != os.Getpid() || e.Order.Actor != "another user" {
			t.Errorf("entry = %+v, %v, want the kernel's word beside the claim", e, err)
		}
	}
}

func listenAt(t *testing.T, p *ops.Plane) (*ops.Server, error) {
	t.Setenv("SWITCHGEAR_RUNTIME_DIR", t.TempDir())
	s, err := p.Listen()
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// Even if the folder and the socket are accessible by mistake, another user
// gets no answer.
func TestOtherUsersGetNoAnswer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root, to become another user")
	}
	p := ops.New(shop(t), ops.Options{})
	defer p.Close()
	s, err := listenAt(t, p)
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(s.Path()); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(filepath.Dir(s.Path()), "knock") // where another user may run it
	if err := os.WriteFile(exe, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	knock := func(uid uint32) string {
		c := exec.Command(exe)
		c.Dir = "/"
		c.Env = []string{"OPS_TEST_AS=stranger", "OPS_TEST_SOCKET=" + s.Path()}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := knock(0); !strings.Contains(got, "200 OK") {
		t.Errorf("root got %s", got)
	}
	if got := knock(65534); !strings.Contains(got, `connected, answer ""`) {
		t.Errorf("a stranger got %s", got)
	}
}
