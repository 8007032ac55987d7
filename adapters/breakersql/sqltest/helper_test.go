//go:build linux

package sqltest

import (
	"database/sql"
	"fmt"
	"io"
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
)

// postgres is a server for the test, in its own folder and on its own port.
type postgres struct {
	t    *testing.T
	bin  string
	dir  string
	port int
	cred *syscall.Credential // postgres refuses to run as root
	cmd  *exec.Cmd
}

// skip skips the test for want of something, where that is allowed.
func skip(t testing.TB, need string) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
		t.Fatal("needs " + need)
	}
	t.Skip("SKIP: needs " + need)
}

// newPostgres starts a server that ends with the test.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{t: t, bin: postgresBin()}
	if p.bin == "" {
		skip(t, "postgres (Debian's package postgresql)")
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			skip(t, "a user postgres to run PostgreSQL as")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "pg"); err != nil { //nolint:usetesting // only the test's user may enter t.TempDir
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	if p.cred != nil {
		if err := os.Chown(p.dir, int(p.cred.Uid), int(p.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	initdb := p.command("initdb", "-D", p.data(), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	t.Cleanup(p.stop)
	p.start()
	return p
}

// postgresBin is the folder of PostgreSQL's programs, or "".
func postgresBin() string {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (p *postgres) dsn() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", p.port)
}

// start starts the server and waits until it answers.
func (p *postgres) start() {
	p.t.Helper()
	p.cmd = p.command("postgres", "-D", p.data(), "-p", strconv.Itoa(p.port), "-h", "127.0.0.1", "-k", p.dir, "-F")
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, io.Discard
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	db, err := sql.Open("pgx", p.dsn())
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	eventually(p.t, "the server answers", func() bool { return db.Ping() == nil })
}

// stop ends the server at once, as a crash would.
func (p *postgres) stop() {
	if p.cmd == nil {
		return
	}
	p.signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *postgres) pause()  { p.signal(syscall.SIGSTOP) }
func (p *postgres) resume() { p.signal(syscall.SIGCONT) }

// signal signals the server and its backends, which are in process groups of
// their own.
func (p *postgres) signal(sig syscall.Signal) {
	pid := p.cmd.Process.Pid
	all := []int{pid}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			all = append(all, n)
		}
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, sig)
	}
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
