package fleet_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
	"github.com/switchgear-go/switchgear/ops"
)

func TestMain(m *testing.M) {
	logging.Disable() // of go-redis: it tells of every dead server that the tests make
	if config := os.Getenv(processEnv); config != "" {
		processMain(config) // this is a process of a fleet, see faults_test.go
		return
	}
	_ = flag.Set("test.parallel", "16") // most tests wait; a flag of the command line replaces it
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
	s := &server{t: t, program: program, addr: freeAddr(), dir: t.TempDir(), args: args}
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

// proxy passes bytes between the members and their store, unless it is told to
// do worse.
type proxy struct {
	l       net.Listener
	to      string
	swallow atomic.Bool  // takes bytes and passes none on, as a partition does
	half    atomic.Bool  // passes on what members say, and no answers
	delay   atomic.Int64 // of each read, in nanoseconds
	conns   atomic.Int64
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Add(1)
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) serve(c net.Conn) {
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		c.Close()
		return
	}
	go p.pipe(up, c, &p.half)
	p.pipe(c, up, nil)
}

func (p *proxy) pipe(from, to net.Conn, also *atomic.Bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if d := p.delay.Load(); d > 0 {
			<-time.After(time.Duration(d))
		}
		if n > 0 && !p.swallow.Load() && (also == nil || !also.Load()) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errDown = errors.New("connection refused")

// crew is the processes of a fleet in one bubble: a manager each, with a breaker
// "db" on one dependency.
type crew struct {
	t     *testing.T
	store *fleettest.Store
	all   []*mate

	mu    sync.Mutex       // guards the fields below, and those of mates
	fails func(*mate) bool // do its calls fail now
	slow  time.Duration    // how long a call takes
}

type mate struct {
	fleet.Options
	m     breaker.Manager
	f     *fleet.Fleet
	every time.Duration // between its calls
	stop  context.CancelFunc
	ran   int // calls that reached the dependency
	phase float64
}

var crewSettings = breaker.Settings{ResetTimeout: 10 * time.Second}

// newCrew starts members, in turn in each of the zones.
func newCrew(t *testing.T, n int, every time.Duration, zones ...string) *crew {
	c := &crew{t: t, store: fleettest.NewStore(), fails: func(*mate) bool { return false }}
	for i := range n {
		x := &mate{every: every, phase: float64(i) / float64(n), Options: fleet.Options{Member: fmt.Sprint("pod-", i)}}
		if len(zones) > 0 {
			x.Zone = zones[i%len(zones)]
		}
		c.all = append(c.all, x)
	}
	return c
}

func (c *crew) start() *crew {
	for _, x := range c.all {
		c.join(x)
	}
	return c
}

// join has a member begin, with calls.
func (c *crew) join(x *mate) {
	c.t.Helper()
	if x.Store == nil {
		x.Store = c.store
	}
	x.Group = "test"
	if _, err := x.m.Create("db", crewSettings); err != nil {
		c.t.Fatal(err)
	}
	f, err := fleet.Join(c.t.Context(), &x.m, x.Options)
	if err != nil {
		c.t.Fatal(err)
	}
	x.f = f
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	if x.every > 0 {
		go c.calls(ctx, x)
	}
	c.t.Cleanup(func() { c.leave(x) })
}

func (c *crew) leave(x *mate) {
	x.stop()
	x.f.Close()
}

func (c *crew) calls(ctx context.Context, x *mate) {
	time.Sleep(time.Duration(float64(x.every) * x.phase)) // not all at the same moment
	tick := time.NewTicker(x.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			go c.call(ctx, x)
		case <-ctx.Done():
			return
		}
	}
}

func (c *crew) call(ctx context.Context, x *mate) {
	_ = x.m.Breaker("db").Do(context.Background(), func(context.Context) error {
		c.mu.Lock()
		x.ran++
		fails, slow := c.fails(x), c.slow
		c.mu.Unlock()
		if slow > 0 {
			select {
			case <-time.After(slow):
			case <-ctx.Done():
			}
		}
		if fails {
			return errDown
		}
		return nil
	})
}

// states counts the members by the state of their breaker.
func (c *crew) states() (closed, open int) {
	for _, x := range c.all {
		if x.m.Breaker("db").State() == breaker.Closed {
			closed++
		} else {
			open++
		}
	}
	return closed, open
}

// until waits until ok, and returns how long that took.
func (c *crew) until(most time.Duration, what string, ok func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > most {
			for _, x := range c.all {
				s := x.m.Breaker("db").Status()
				c.t.Logf("%s: %s %+v", x.Member, s.Explain(), x.f.State())
			}
			c.t.Fatalf("after %s it is not so that %s", most, what)
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(began)
}

func (c *crew) joined() *crew {
	c.t.Helper()
	c.until(5*time.Second, "all have joined", func() bool {
		for _, x := range c.all {
			if s := x.f.State(); !s.Joined || s.Alone || s.Members != len(c.all) {
				return false
			}
		}
		return true
	})
	return c
}

// set says how calls end from now on.
func (c *crew) set(fails func(*mate) bool, slow time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails, c.slow = fails, slow
}

func (c *crew) allFail() { c.set(func(*mate) bool { return true }, 0) }

func (c *crew) allWork() { c.set(func(*mate) bool { return false }, 0) }

// wantNoOverride checks that no member has an override of id.
func (c *crew) wantNoOverride(id string) {
	c.t.Helper()
	for _, x := range c.all {
		if s := x.m.Breaker(id).Status(); s.Override != nil {
			c.t.Errorf("%s: %s", x.Member, s.Explain())
		}
	}
}

// ran is how many calls have reached the dependency.
func (c *crew) ran() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.all {
		n += x.ran
	}
	return n
}

// lossy is one member's way to the store, which can be cut.
type lossy struct {
	fleet.Store
	down atomic.Bool
}

func (l *lossy) err() error {
	if l.down.Load() {
		return fleettest.ErrDown
	}
	return nil
}

func (l *lossy) Beat(ctx context.Context, member string, report []byte) ([]byte, error) {
	if err := l.err(); err != nil {
		return nil, err
	}
	return l.Store.Beat(ctx, member, report)
}

func (l *lossy) Lead(ctx context.Context, holder string, after uint64, ttl time.Duration) (uint64, error) {
	if err := l.err(); err != nil {
		return 0, err
	}
	return l.Store.Lead(ctx, holder, after, ttl)
}

func (l *lossy) Publish(ctx context.Context, holder string, term uint64, ttl time.Duration, digest []byte) error {
	if err := l.err(); err != nil {
		return err
	}
	return l.Store.Publish(ctx, holder, term, ttl, digest)
}

func (l *lossy) Orders(ctx context.Context) ([]fleet.StoredOrder, uint64, error) {
	if err := l.err(); err != nil {
		return nil, 0, err
	}
	return l.Store.Orders(ctx)
}

func (l *lossy) Listen(ctx context.Context, f func([]byte)) error {
	if err := l.err(); err != nil {
		return err
	}
	return l.Store.Listen(ctx, func(d []byte) {
		if l.err() == nil {
			f(d)
		}
	})
}

// fleetsOn has n members of a group join on a real store, each with a breaker db,
// and gives them an order, which all must carry out.
func fleetsOn(t *testing.T, client redis.UniversalClient, group string, n int) (fleets []*fleet.Fleet) {
	t.Helper()
	for range n {
		m := new(breaker.Manager)
		m.Breaker("db")
		plane := ops.New(m, ops.Options{})
		t.Cleanup(func() { plane.Close() })
		f, err := fleet.Join(t.Context(), m, fleet.Options{Redis: client, Group: group, Plane: plane, Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		fleets = append(fleets, f)
	}
	wait(t, "all have joined", func() bool { return fleets[0].State().Members == n })
	if r, err := fleets[n-1].Group().Order(t.Context(), withActor(forceOpen("db", time.Hour)), nil); err != nil || len(r.Done) != n {
		t.Errorf("%v, %v", r, err)
	}
	return fleets
}

// long skips one of the tests that take longest, unless SWITCHGEAR_LONG is set. ./check
// sets it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SWITCHGEAR_LONG") == "" {
		t.Skip("takes long: set SWITCHGEAR_LONG=1")
	}
}
