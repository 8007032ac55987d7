package fleet_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func TestMain(m *testing.M) {
	logging.Disable() // of go-redis: it tells of every dead server that the tests make
	if config := os.Getenv(processEnv); config != "" {
		processMain(config) // this is a process of a fleet, see process_test.go
		return
	}
	os.Exit(m.Run())
}

// server is a redis-server, or a valkey-server, of the test's own, on a free
// port and in a folder of its own.
type server struct {
	t       testing.TB
	program string
	addr    string
	dir     string
	args    []string
	cmd     *exec.Cmd
}

// need skips a test whose program is not installed, by name.
func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
		t.Fatalf("needs %s, and SWITCHGEAR_REQUIRE_ALL=1 allows no skip", program)
	}
	t.Skip("SKIP: needs " + program)
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	need(t, "redis-server")
	return startProgram(t, "redis-server", args...)
}

// startValkey starts a valkey-server, which Debian 12 does not have: it is used
// where there is one.
func startValkey(t testing.TB) *server {
	t.Helper()
	if _, err := exec.LookPath("valkey-server"); err != nil {
		t.Skip("SKIP: needs valkey-server")
	}
	return startProgram(t, "valkey-server")
}

func startProgram(t testing.TB, program string, args ...string) *server {
	t.Helper()
	s := &server{t: t, program: program, addr: freeAddr(t), dir: t.TempDir(), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts it, or starts it again, and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.Command(s.program, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
	}, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := s.client()
	defer c.Close()
	for {
		err := c.Ping(ctx).Err()
		if err == nil || redis.IsAuthError(err) {
			return
		}
		if ctx.Err() != nil {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("%s does not answer: %v\n%s", s.program, err, log)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (s *server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
}

func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// pause makes it hang, connections and all.
func (s *server) pause() { s.signal(syscall.SIGSTOP) }

// resume ends a pause.
func (s *server) resume() { s.signal(syscall.SIGCONT) }

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
