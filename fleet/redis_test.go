package fleet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

func newRedis(t testing.TB, c redis.UniversalClient, group string) fleet.Store {
	t.Helper()
	s, err := fleet.NewRedis(c, group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRedisContract(t *testing.T) {
	s := startServer(t)
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		c := s.client()
		t.Cleanup(func() { c.Close() })
		return newRedis(t, c, t.Name()), newRedis(t, c, t.Name())
	})
}

func TestValkeyContract(t *testing.T) {
	s := startValkey(t)
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		c := s.client()
		t.Cleanup(func() { c.Close() })
		return newRedis(t, c, t.Name()), newRedis(t, c, t.Name())
	})
}

// A store that is stopped fails within its own time, whatever the user's client
// would do, and a server that comes back empty needs no help: scripts are loaded
// again.
func TestRedisStoppedAndReplaced(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := redis.NewClient(&redis.Options{Addr: s.addr, ReadTimeout: time.Minute, MaxRetries: 10})
	defer c.Close()
	store := newRedis(t, c, "g")
	if _, err := store.Lead(t.Context(), "a", 0, time.Second); err != nil {
		t.Fatal(err)
	}
	s.pause()
	began := time.Now()
	if _, err := store.Beat(t.Context(), "m", []byte("x")); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("a stopped server: %v after %s", err, time.Since(began))
	}
	s.resume()
	s.kill()
	s.start()
	deadline := time.Now().Add(20 * time.Second)
	for {
		term, err := store.Lead(t.Context(), "a", 7, time.Second)
		if err == nil {
			if term != 8 {
				t.Errorf("term %d after the loss of all data, want 8", term)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// A subscription that hears nothing is given up, because a frozen server never
// says that it is gone.
func TestRedisDeaf(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	store := newRedis(t, s.client(), "g")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- store.Listen(ctx, func([]byte) {}) }()
	s.pause()
	defer s.resume()
	if <-done; ctx.Err() != nil {
		t.Error("Listen lasted until its context was over")
	}
}

func TestRedisClients(t *testing.T) {
	if _, err := fleet.NewRedis(redis.NewRing(&redis.RingOptions{}), "g"); err == nil {
		t.Error("a ring is no store")
	}
	for _, c := range []redis.UniversalClient{
		redis.NewClient(&redis.Options{}),
		redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}}),
		redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}),
	} {
		s, err := fleet.NewRedis(c, "g")
		if err != nil {
			t.Errorf("%T: %v", c, err)
			continue
		}
		s.Close()
		c.Close()
	}
}

// The store's client says nothing in the program's log, whatever it shares with
// the client that it was made of.
func TestRedisIsQuiet(t *testing.T) {
	s := startServer(t)
	var said lockedBuffer
	redis.SetLogger(&said)
	defer logging.Disable()
	c := s.client()
	defer c.Close()
	for range 2 {
		store := newRedis(t, c, "g")
		if _, err := store.Beat(t.Context(), "m", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if text := said.String(); text != "" {
		t.Errorf("in the log: %s", text)
	}
}

// lockedBuffer is a logger of go-redis.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedBuffer) Printf(_ context.Context, format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, format+"\n", v...)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const aclUser, aclPassword = "switchgear", "a-long-password"

// aclRule is the rule of docs/fleet.md, for a Cluster with what it needs more.
func aclRule(t *testing.T, also ...any) (args []any) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`ACL SETUSER .*`).FindString(string(page))
	for _, word := range strings.Fields(rule) {
		args = append(args, word)
	}
	for _, word := range also {
		if !strings.Contains(string(page), "A Cluster also needs `"+word.(string)+"`") {
			t.Errorf("docs/fleet.md does not say that a Cluster needs %s", word)
		}
	}
	if args = append(args, also...); len(args) < 10 || args[2] != aclUser || args[4] != ">"+aclPassword {
		t.Fatalf("docs/fleet.md has the rule %q", rule)
	}
	return args
}

// The ACL rule of docs/fleet.md, applied to a real server: it is enough for a
// fleet, orders included, and for nothing else.
func TestACL(t *testing.T) {
	t.Parallel()
	rule := aclRule(t)
	s := startServer(t)
	admin := s.client()
	defer admin.Close()
	if err := admin.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Set(t.Context(), "other", "secret", 0).Err(); err != nil {
		t.Fatal(err)
	}
	member := redis.NewClient(&redis.Options{Addr: s.addr, Username: aclUser, Password: aclPassword})
	defer member.Close()
	for _, forbidden := range [][]any{
		{"GET", "other"},
		{"SET", "other", "x"},
		{"FLUSHALL"},
		{"KEYS", "*"},
		{"CONFIG", "GET", "*"},
		{"ACL", "LIST"},
		{"PUBLISH", "other", "x"},
		{"EVAL", "return redis.call('GET', 'other')", "0"},
		{"HGETALL", "sg1:{payments}:r"},
		{"SHUTDOWN"},
	} {
		err := member.Do(t.Context(), forbidden...).Err()
		if err == nil || !regexp.MustCompile("NOPERM|permission|can't access").MatchString(err.Error()) {
			t.Errorf("%q: %v, want no permission", forbidden, err)
		}
	}
	fleettest.TestStore(t, func(t *testing.T) (a, b fleet.Store) {
		if err := admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return newRedis(t, member, "checkout"), newRedis(t, member, "checkout")
	})
	if err := admin.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	fleets := fleetsOn(t, member, "checkout", 2)
	if text := fleets[0].State().LastError; text != "" {
		t.Error(text)
	}
}

// startSentinel starts a sentinel that watches a master, and fails over soon.
func startSentinel(t *testing.T, master string) (addr string) {
	t.Helper()
	need(t, "redis-sentinel")
	addr = freeAddr()
	_, port, _ := net.SplitHostPort(addr)
	host, masterPort, _ := net.SplitHostPort(master)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor fleet %s %s 1\nsentinel down-after-milliseconds fleet 1000\nsentinel failover-timeout fleet 10000\n", port, host, masterPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-sentinel", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return addr
}

// The master is killed, or freezes: its replica takes over, and the fleet goes on
// there, its pushed digests included.
func TestSentinel(t *testing.T) {
	long(t)
	t.Parallel()
	for _, how := range []string{"killed", "frozen"} {
		t.Run(how, func(t *testing.T) {
			if how == "killed" { // it is the milder one
				needTime(t)
			}
			t.Parallel()
			master := startServer(t)
			host, port, _ := net.SplitHostPort(master.addr)
			replica := startServer(t, "--replicaof", host, port)
			sentinel := startSentinel(t, master.addr)
			ask := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
			defer ask.Close()
			wait(t, "the sentinel knows the replica", func() bool {
				all, err := ask.Replicas(t.Context(), "fleet").Result()
				return err == nil && len(all) == 1 && all[0]["flags"] == "slave" && all[0]["master-link-status"] == "ok"
			})
			p := startProcesses(t, 4, processConfig{Sentinels: []string{sentinel}, Every: time.Second, Settings: processSettings})
			defer p.check(t)
			p.until(2*slack, "all have joined", p.together)
			p.behave(all)
			p.until(slack, "all are open", p.allOpen)
			began := time.Now()
			if how == "killed" {
				master.kill()
			} else {
				master.pause()
				defer master.resume()
			}
			wait(t, "the replica is the master", func() bool {
				got, err := ask.GetMasterAddrByName(t.Context(), "fleet").Result()
				return err == nil && len(got) == 2 && net.JoinHostPort(got[0], got[1]) == replica.addr
			})
			promoted := time.Since(began)
			<-time.After(time.Second) // what was said before does not count
			p.until(3*slack, "all are together again", p.together)
			t.Logf("promoted after %s, together after %s", promoted, time.Since(began))
			p.behave(none)
			t.Logf("recovered after another %s", p.until(2*slack, "all are closed", p.allClosed))
		})
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*slack)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("it is not so that %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Fleets of the same name in two databases of a server, such as those of two
// environments, are two: channels are common to all databases.
func TestRedisDatabases(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var stores []fleet.Store
	for db := range 2 {
		c := redis.NewClient(&redis.Options{Addr: s.addr, DB: db})
		t.Cleanup(func() { c.Close() })
		stores = append(stores, newRedis(t, c, "g"))
	}
	var heard [2]atomic.Value
	for i, store := range stores {
		go func() { _ = store.Listen(t.Context(), func(d []byte) { heard[i].Store(string(d)) }) }()
	}
	for i, store := range stores {
		term, err := store.Lead(t.Context(), "one", 0, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		wait(t, "a digest is heard", func() bool {
			if err := store.Publish(t.Context(), "one", term, time.Minute, fmt.Append(nil, "of ", i)); err != nil {
				t.Error(err)
			}
			return heard[i].Load() != nil
		})
	}
	<-time.After(100 * time.Millisecond)
	for i := range stores {
		if got, want := heard[i].Load(), fmt.Sprint("of ", i); got != want {
			t.Errorf("in database %d: %q, want %q", i, got, want)
		}
	}
}

// A subscription on which nothing is published is renewed. That is no error: if it were,
// it would hide why there is no coordinator.
func TestRedisSilentSubscription(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.client()
	defer c.Close()
	if err := newRedis(t, c, "g").Listen(t.Context(), func([]byte) {}); err != nil {
		t.Error(err)
	}
}
