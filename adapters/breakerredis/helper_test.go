package breakerredis_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/switchgear-go/switchgear/breaker"
)

func TestMain(m *testing.M) {
	logging.Disable()                   // of go-redis: it logs every dead server that the tests make
	_ = flag.Set("test.parallel", "16") // most tests wait; a flag of the command line replaces it
	os.Exit(m.Run())
}

// server is a redis-server for the test, on a free port and in its own folder.
type server struct {
	t    testing.TB
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("SWITCHGEAR_REQUIRE_ALL") == "1" {
			t.Fatal("needs redis-server, and SWITCHGEAR_REQUIRE_ALL=1 allows no skip")
		}
		t.Skip("SKIP: needs redis-server")
	}
	s := &server{t: t, addr: freeAddr(), dir: t.TempDir(), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// given holds the addresses that freeAddr has returned: their servers may not have
// taken them yet.
var given sync.Map

// freeAddr returns an address that nothing listens on, another one each time. Its
// port is below those that systems give to connections, one of which could take it
// before the server does.
func freeAddr() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue // another server's
		}
		l.Close()
		if _, again := given.LoadOrStore(addr, true); !again {
			return addr
		}
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
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
	s.cmd = exec.Command("redis-server", append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
	}, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer c.Close()
	for c.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("redis-server does not answer:\n%s", log)
		}
		<-time.After(10 * time.Millisecond)
	}
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
func (s *server) pause() { s.signal("STOP") }

// resume ends a pause.
func (s *server) resume() { s.signal("CONT") }

// signal sends a signal by its name, such as STOP: not every system that compiles
// this has its number.
func (s *server) signal(name string) {
	s.t.Helper()
	if out, err := exec.Command("kill", "-s", name, strconv.Itoa(s.cmd.Process.Pid)).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// connections returns the number of connections that it has ever had.
func (s *server) connections() int {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	defer c.Close()
	n, err := strconv.Atoi(c.InfoMap(context.Background(), "stats").Item("Stats", "total_connections_received"))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// quick are options that lose no time between attempts.
func quick(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, ReadTimeout: 10 * time.Second,
		MinRetryBackoff: time.Millisecond, MaxRetryBackoff: time.Millisecond, DialerRetries: 2, DialerRetryTimeout: time.Millisecond,
		PoolSize: 100,
	}
}

// warm makes a connection of a client whose timeouts are short, however long that
// takes.
func warm(t *testing.T, c *redis.Client) {
	t.Helper()
	if err := c.WithTimeout(time.Minute).Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func wantState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if s := b.Status(); s.State != want {
		t.Errorf("the breaker is %v, want %v: %s", s.State, want, s.Explain())
	}
}

func wantFails(t *testing.T, b *breaker.Breaker, want int, after string) {
	t.Helper()
	if got := b.FailCount(); got != want {
		t.Errorf("%d failures are on record after %s, want %d", got, after, want)
	}
}
