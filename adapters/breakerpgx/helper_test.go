//go:build linux

package breakerpgx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/switchgear-go/switchgear/adapters/breakerpgx"
	"github.com/switchgear-go/switchgear/breaker"
)

// server is a PostgreSQL server for the test, in its own folder and on its own
// port.
type server struct {
	t    testing.TB
	dir  string
	port int
	attr *syscall.SysProcAttr
	run  *exec.Cmd
}

// lacking skips the test, or fails it where nothing may be missing.
func lacking(t testing.TB, need string) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
		t.Fatal("needs " + need)
	}
	t.Skip("SKIP: needs " + need)
}

// newServer starts a PostgreSQL that ends with the test.
func newServer(t testing.TB) *server {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		lacking(t, "postgres (Debian's package postgresql)")
	}
	bin := filepath.Dir(found[len(found)-1])
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	dir, err := os.MkdirTemp("", "breakerpgx") //nolint:usetesting // only the test's user may enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			lacking(t, "a user postgres to run PostgreSQL as")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := s.command("initdb", "-D", "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.attr
	return cmd
}

func (s *server) dsn() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// start starts the server and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	s.run = s.command("postgres", "-D", "data", "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", s.dir, "-F")
	if err := s.run.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server answers", func() bool {
		c, err := pgx.Connect(context.Background(), s.dsn())
		return err == nil && c.Close(context.Background()) == nil
	})
}

// kill ends the server as a crash would.
func (s *server) kill() { s.end(syscall.SIGQUIT) }

// restart is an orderly restart, as in a fail-over: each client is notified.
func (s *server) restart() {
	s.t.Helper()
	s.end(syscall.SIGINT)
	s.start()
}

func (s *server) end(sig syscall.Signal) {
	if s.run == nil {
		return
	}
	s.signal(syscall.SIGCONT)
	_ = s.run.Process.Signal(sig)
	_ = s.run.Wait()
	s.run = nil
}

func (s *server) pause()  { s.signal(syscall.SIGSTOP) }
func (s *server) resume() { s.signal(syscall.SIGCONT) }

// signal signals the server and its backends.
func (s *server) signal(sig syscall.Signal) {
	pid := s.run.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, p := range append(strings.Fields(string(children)), strconv.Itoa(pid)) {
		if n, err := strconv.Atoi(p); err == nil {
			_ = syscall.Kill(n, sig)
		}
	}
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// open returns a guarded pool whose breaker opens at its first failure.
func open(t testing.TB, s *server, change func(*pgxpool.Config)) (*breakerpgx.Pool, *breaker.Breaker) {
	t.Helper()
	config, err := pgxpool.ParseConfig(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(config)
	}
	b := breaker.New("db", breaker.Settings{FailMax: 1, ResetTimeout: 50 * time.Millisecond})
	p, err := breakerpgx.NewWithConfig(context.Background(), config, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, b
}

// within is a context with a deadline soon.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// asked returns a breaker with one failure counted: a success takes it back,
// what is not evidence does not, and a second failure adds to it.
func asked(t *testing.T, s *server) (*breakerpgx.Pool, func(t *testing.T, want breaker.Outcome)) {
	t.Helper()
	b := breaker.New("db", breaker.Settings{FailMax: 100})
	p, err := breakerpgx.New(t.Context(), s.dsn(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	permit, _ := b.Allow()
	permit.Done(errors.New("earlier"))
	return p, func(t *testing.T, want breaker.Outcome) {
		t.Helper()
		fails := map[breaker.Outcome]int{breaker.Success: 0, breaker.Ignored: 1, breaker.Failure: 2}
		if got := b.FailCount(); got != fails[want] {
			t.Errorf("%d failures on record after one that was there, want %d: %s", got, fails[want], want)
		}
	}
}

// mistaken are arguments, sources and destinations that fail in the program.
type mistaken struct{ err error }

// deadline is a context whose deadline passes when the test says so.
type deadline struct {
	context.Context
	passed chan struct{}
}

// allReturned waits until no connection is out. The pool takes its time to
// destroy one that broke.
func allReturned(t *testing.T, p *breakerpgx.Pool) {
	t.Helper()
	eventually(t, "each connection is given back", func() bool { return p.Stat().AcquiredConns() == 0 })
}

type panics struct{}

func noError(err error) error {
	if err == nil {
		return errNone
	}
	return nil
}

func statement(sql string, args ...any) func(*breakerpgx.Pool) error {
	return func(p *breakerpgx.Pool) error {
		if strings.Contains(sql, ";") {
			args = append([]any{pgx.QueryExecModeSimpleProtocol}, args...)
		}
		_, err := p.Exec(context.Background(), sql, args...)
		return err
	}
}

func read(r pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
	}
	return r.Err()
}

func batch(fill func(*pgx.Batch), good bool) func(*breakerpgx.Pool) error {
	return func(p *breakerpgx.Pool) error {
		b := &pgx.Batch{}
		fill(b)
		err := p.SendBatch(context.Background(), b).Close()
		if good {
			return noError(err)
		}
		return err
	}
}

func wantRejection(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("got %v, want a rejection", err)
	}
}

func closes(t *testing.T, p *breakerpgx.Pool, b *breaker.Breaker) {
	t.Helper()
	eventually(t, "the breaker closes", func() bool {
		return p.Ping(within(t, 5*time.Second)) == nil && b.State() == breaker.Closed
	})
}

// long skips one of the tests that take longest, unless SWITCHGEAR_LONG is set. ./check
// sets it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
}
