package breakerredis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// guard is a client of addr with a breaker.
func guard(t *testing.T, o *redis.Options, s breaker.Settings) (*redis.Client, *breaker.Breaker) {
	t.Helper()
	set := breaker.NewSet[string]("redis", s, breaker.SetOptions{})
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	if err := breakerredis.Guard(c, set); err != nil {
		t.Fatal(err)
	}
	return c, set.Breaker(o.Addr)
}

func TestServerKilledAndBack(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 3})
	ctx := t.Context()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.kill()
	for i := range 3 {
		if err := c.Get(ctx, "k").Err(); err == nil || errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("a command to a dead server got %v", err)
		}
		// One command is one call: its retries and dials are not more.
		if i < 2 {
			wantFails(t, b, i+1, "a command")
		}
	}
	wantState(t, b, breaker.Open)

	s.start()
	before := s.connections()
	if err := c.Get(ctx, "k").Err(); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("an open breaker answers %v, want ErrOpen", err)
	}
	if got := s.connections() - before; got != 1 { // the asking one
		t.Errorf("a rejected command made %d connections", got-1)
	}

	// The probe needs a new connection, whose handshake passes the hook too.
	b.HalfOpen(breaker.Order{Actor: "test"})
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Errorf("the probe got %v", err)
	}
	wantState(t, b, breaker.Closed)
}

func TestServerPaused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, test := range []struct {
		name   string
		warm   bool // with a connection made before
		run    func(context.Context, *redis.Client) error
		failed bool
	}{
		{"command on an old connection", true, func(ctx context.Context, c *redis.Client) error { return c.Get(ctx, "k").Err() }, true},
		{"command on a new connection", false, func(ctx context.Context, c *redis.Client) error { return c.Get(ctx, "k").Err() }, true},
		{"pipeline", true, func(ctx context.Context, c *redis.Client) error {
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				p.Get(ctx, "a")
				p.Get(ctx, "b")
				return nil
			})
			return err
		}, true},
		{"cancel of the caller's", false, func(ctx context.Context, c *redis.Client) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(20*time.Millisecond, cancel)
			return c.Get(ctx, "k").Err() // waits between its retries
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := quick(s.addr)
			o.ReadTimeout, o.ContextTimeoutEnabled = 300*time.Millisecond, true
			c, b := guard(t, o, breaker.Settings{FailMax: 5})
			if test.warm {
				warm(t, c)
			}
			s.pause()
			defer s.resume()
			err := test.run(t.Context(), c)
			if err == nil {
				t.Fatal("a server that hangs answered")
			}
			want := 0
			if test.failed {
				want = 1
			}
			wantFails(t, b, want, err.Error())
		})
	}
	t.Run("and resumed", func(t *testing.T) {
		o := quick(s.addr)
		o.ReadTimeout = time.Second
		c, b := guard(t, o, breaker.Settings{FailMax: 1})
		s.pause()
		_ = c.Get(t.Context(), "k").Err()
		wantState(t, b, breaker.Open)
		s.resume()
		b.HalfOpen(breaker.Order{Actor: "test"})
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Errorf("the probe got %v", err)
		}
		wantState(t, b, breaker.Closed)
	})
}

// Replies are answers, whatever they say, except those with which a node
// refuses everything.
func TestReplies(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := t.Context()
	t.Run("that are successes", func(t *testing.T) {
		c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 1})
		c.Set(ctx, "text", "v", 0)
		for name, run := range map[string]func() error{
			"Nil":       func() error { return c.Get(ctx, "nothing").Err() },
			"WRONGTYPE": func() error { return c.LPush(ctx, "text", 1).Err() },
			"NOSCRIPT":  func() error { return c.EvalSha(ctx, "0123456789012345678901234567890123456789", nil).Err() },
			"ERR":       func() error { return c.Do(ctx, "no-such-command").Err() },
			"BUSYGROUP": func() error {
				c.XGroupCreateMkStream(ctx, "stream", "g", "$")
				return c.XGroupCreate(ctx, "stream", "g", "$").Err()
			},
			"a pipeline's": func() error {
				_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.LPush(ctx, "text", 1); p.Ping(ctx); return nil })
				return err
			},
			"TxFailedErr": func() error {
				return c.Watch(ctx, func(tx *redis.Tx) error {
					c.Set(ctx, "watched", "changed", 0)
					_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "watched", "mine", 0); return nil })
					return err
				}, "watched")
			},
			"READONLY": func() error {
				c.ReplicaOf(ctx, "127.0.0.1", "1")
				defer c.ReplicaOf(ctx, "no", "one")
				return c.Set(ctx, "k", "v", 0).Err()
			},
		} {
			if err := run(); err == nil {
				t.Errorf("%s: no error came", name)
			}
			if b.State() != breaker.Closed {
				t.Fatalf("%s opened the breaker", name)
			}
		}
	})
	t.Run("BUSY is a failure", func(t *testing.T) {
		c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 1})
		plain := redis.NewClient(&redis.Options{Addr: s.addr, ReadTimeout: time.Minute})
		defer plain.Close()
		c.ConfigSet(ctx, "busy-reply-threshold", "1")
		done := make(chan struct{})
		go func() {
			defer close(done)
			plain.Eval(ctx, "while true do end", nil)
		}()
		defer func() {
			for plain.ScriptKill(ctx).Err() != nil {
				<-time.After(time.Millisecond)
			}
			<-done
		}()
		deadline := time.Now().Add(10 * time.Second)
		for b.State() == breaker.Closed && time.Now().Before(deadline) {
			_ = c.Get(ctx, "k").Err()
		}
		wantState(t, b, breaker.Open)
		if why := b.Status().Transition; why == nil || len(why.Errors) == 0 || why.Errors[0].Error[:4] != "BUSY" {
			t.Errorf("opened by %+v, want BUSY", why)
		}
	})
	t.Run("too many clients is a failure", func(t *testing.T) {
		c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 1})
		plain := redis.NewClient(&redis.Options{Addr: s.addr})
		defer plain.Close()
		was := plain.ConfigGet(ctx, "maxclients").Val()["maxclients"]
		plain.ConfigSet(ctx, "maxclients", "1")
		defer plain.ConfigSet(ctx, "maxclients", was)
		_ = c.Get(ctx, "k").Err()
		wantState(t, b, breaker.Open)
	})
}

// reply is an error reply.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestJudgement(t *testing.T) {
	for _, test := range []struct {
		err  error
		want breaker.State
	}{
		{reply("LOADING Redis is loading the dataset in memory"), breaker.Open},
		{reply("CLUSTERDOWN The cluster is down"), breaker.Open},
		{reply("MASTERDOWN Link with MASTER is down"), breaker.Open},
		{reply("BUSY Redis is busy running a script"), breaker.Open},
		{reply("ERR max number of clients reached"), breaker.Open},
		{reply("BUSYKEY Target key name already exists."), breaker.Closed},
		{reply("TRYAGAIN Multiple keys request during rehashing of slot"), breaker.Closed},
		{reply("MOVED 3999 127.0.0.1:6381"), breaker.Closed},
		{reply("OOM command not allowed"), breaker.Closed},
		{reply("NOAUTH Authentication required."), breaker.Closed},
		{redis.Nil, breaker.Closed},
		{redis.TxFailedErr, breaker.Closed},
		{redis.ErrClosed, breaker.Closed},
		{redis.ErrPoolTimeout, breaker.Closed},
		{redis.ErrPoolExhausted, breaker.Closed},
		{io.EOF, breaker.Open},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, breaker.Open},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, breaker.Open},
		{fmt.Errorf("failed to initialize connection options: %w", io.ErrUnexpectedEOF), breaker.Open},
		{context.DeadlineExceeded, breaker.Closed}, // in the pool's queue: no connection was in trouble
		{context.Canceled, breaker.Closed},
		{errors.New("a limiter's"), breaker.Closed},
		{fmt.Errorf("failed to resolve credentials: %w", errors.New("no token")), breaker.Closed},
		{errors.New("redis: invalid reply"), breaker.Open},
		{&breaker.OpenError{Name: "below"}, breaker.Closed},
	} {
		b := breaker.New("redis", breaker.Settings{FailMax: 1})
		process := breakerredis.NewHook(b).ProcessHook(func(context.Context, redis.Cmder) error { return test.err })
		if err := process(t.Context(), redis.NewCmd(t.Context(), "get")); err != test.err {
			t.Errorf("%v became %v", test.err, err)
		}
		if b.State() != test.want {
			t.Errorf("after %q the breaker is %v, want %v", test.err, b.State(), test.want)
		}
	}
	t.Run("replies of one's own", func(t *testing.T) {
		b := breaker.New("redis", breaker.Settings{FailMax: 1})
		hook := breakerredis.NewHook(b, breakerredis.WithFailureReplies("READONLY"))
		err := error(reply("LOADING"))
		process := hook.ProcessHook(func(context.Context, redis.Cmder) error { return err })
		_ = process(t.Context(), redis.NewCmd(t.Context(), "get"))
		wantState(t, b, breaker.Closed)
		err = reply("READONLY You can't write against a read only replica.")
		_ = process(t.Context(), redis.NewCmd(t.Context(), "set"))
		wantState(t, b, breaker.Open)
	})
}

func TestNoEvidenceGivesAProbeBack(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	for name, test := range map[string]struct {
		ctx context.Context
		err func() error
	}{
		"the caller's cancel": {cancelled, func() error { cancel(); return context.Canceled }},
		"a full pool":         {t.Context(), func() error { return redis.ErrPoolTimeout }},
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker.New("redis", breaker.Settings{})
			b.HalfOpen(breaker.Order{})
			process := breakerredis.NewHook(b).ProcessHook(func(context.Context, redis.Cmder) error { return test.err() })
			_ = process(test.ctx, redis.NewCmd(t.Context(), "get"))
			if s := b.Status(); s.State != breaker.HalfOpen || s.ProbesOut != 0 {
				t.Errorf("the breaker is %v with %d probes out, want half-open with none", s.State, s.ProbesOut)
			}
		})
	}
}

// A command whose context has ended reaches no node, and is not evidence.
func TestContextThatHadEnded(t *testing.T) {
	b := breaker.New("redis", breaker.Settings{FailMax: 1})
	process := breakerredis.NewHook(b).ProcessHook(func(ctx context.Context, _ redis.Cmder) error { return ctx.Err() })
	past, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if err := process(past, redis.NewCmd(past, "get")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	wantState(t, b, breaker.Closed)
}

func TestRejectedPipelineMarksItsCommands(t *testing.T) {
	c, b := guard(t, quick("127.0.0.1:1"), breaker.Settings{})
	b.ForceOpen(breaker.Order{})
	for name, run := range map[string]func(func(redis.Pipeliner) error) ([]redis.Cmder, error){
		"pipeline":    func(f func(redis.Pipeliner) error) ([]redis.Cmder, error) { return c.Pipelined(t.Context(), f) },
		"transaction": func(f func(redis.Pipeliner) error) ([]redis.Cmder, error) { return c.TxPipelined(t.Context(), f) },
	} {
		cmds, err := run(func(p redis.Pipeliner) error { p.Get(t.Context(), "a"); p.Get(t.Context(), "b"); return nil })
		if !errors.Is(err, breaker.ErrOpen) || len(cmds) != 2 {
			t.Fatalf("%s: got %d commands and %v", name, len(cmds), err)
		}
		for _, cmd := range cmds {
			if !errors.Is(cmd.Err(), breaker.ErrOpen) {
				t.Errorf("%s: %v has the error %v, want ErrOpen", name, cmd.Args(), cmd.Err())
			}
		}
	}
}

// What panics below the hook is the program's: another hook, an argument, the
// dialer. go-redis recovers the panic of a dialer.
func TestPanicsAreNoEvidence(t *testing.T) {
	o := quick(startServer(t).addr)
	for name, arrange := range map[string]func(*redis.Options) (redis.Hook, any){
		"a hook":      func(*redis.Options) (redis.Hook, any) { return panics{}, "a" },
		"an argument": func(*redis.Options) (redis.Hook, any) { return nil, panics{} },
		"the dialer": func(o *redis.Options) (redis.Hook, any) {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { panic("a dialer's bug") }
			return nil, "a"
		},
	} {
		for _, pipeline := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pipeline %v", name, pipeline), func(t *testing.T) {
				o := *o
				hook, arg := arrange(&o)
				c, b := guard(t, &o, breaker.Settings{FailMax: 1})
				if hook != nil {
					c.AddHook(hook)
				}
				b.HalfOpen(breaker.Order{})
				func() {
					defer func() {
						if recover() == nil && name != "the dialer" {
							t.Error("the panic did not go on")
						}
					}()
					if !pipeline {
						_ = c.Set(t.Context(), "key", arg, 0).Err()
						return
					}
					_, _ = c.Pipelined(t.Context(), func(p redis.Pipeliner) error { return p.Set(t.Context(), "key", arg, 0).Err() })
				}()
				wantState(t, b, breaker.HalfOpen)
				if _, err := b.Allow(); err != nil {
					t.Errorf("the probe's place is lost: %v", err)
				}
			})
		}
	}
}

// panics is a hook and an argument that panics.
type panics struct{}

func (panics) MarshalBinary() ([]byte, error)              { panic("an argument's bug") }
func (panics) DialHook(next redis.DialHook) redis.DialHook { return next }
func (panics) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { panic("a hook's bug") }
}

func (panics) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { panic("a hook's bug") }
}

// checkNodes kills one of two nodes: the keys of the other must not be
// affected.
func checkNodes(t *testing.T, c redis.UniversalClient, set *breaker.Set[string], dead, alive *server) {
	t.Helper()
	ctx := t.Context()
	if err := breakerredis.Guard(c, set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var onDead, onAlive string // keys of either node
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if err := c.Set(ctx, key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		direct := redis.NewClient(&redis.Options{Addr: dead.addr})
		if direct.Exists(ctx, key).Val() == 1 {
			onDead = key
		} else {
			onAlive = key
		}
		_ = direct.Close()
	}
	if onDead == "" || onAlive == "" {
		t.Fatal("the keys are all on one node")
	}
	dead.kill()
	b := set.Breaker(dead.addr)
	for i := range 3 {
		if err := c.Get(ctx, onDead).Err(); err == nil || errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("command %d to the dead node got %v", i, err)
		}
		if i < 2 { // the client's own retries are not more
			wantFails(t, b, i+1, "a command")
		}
	}
	wantState(t, b, breaker.Open)
	if err := c.Get(ctx, onDead).Err(); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("the open breaker answers %v, want ErrOpen", err)
	}
	if err := c.Get(ctx, onAlive).Err(); err != nil {
		t.Errorf("a key of the node that is alive got %v", err)
	}
	wantState(t, set.Breaker(alive.addr), breaker.Closed)
	cmds, _ := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, onDead); p.Get(ctx, onAlive); return nil })
	if len(cmds) != 2 || !errors.Is(cmds[0].Err(), breaker.ErrOpen) || cmds[1].Err() != nil {
		t.Errorf("a pipeline to both nodes got %v", cmds)
	}
}

// startCluster is two masters with half of the slots each.
func startCluster(t *testing.T) (one, two *server) {
	t.Helper()
	ctx := t.Context()
	node := func(start, end int) (*server, *redis.Client, string) {
		_, bus, _ := net.SplitHostPort(freeAddr())
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-require-full-coverage", "no")
		c := redis.NewClient(&redis.Options{Addr: s.addr})
		t.Cleanup(func() { _ = c.Close() })
		if err := c.ClusterAddSlotsRange(ctx, start, end).Err(); err != nil {
			t.Fatal(err)
		}
		return s, c, bus
	}
	one, oneClient, _ := node(0, 8191)
	two, twoClient, bus := node(8192, 16383)
	host, port, _ := net.SplitHostPort(two.addr)
	if err := oneClient.Do(ctx, "cluster", "meet", host, port, bus).Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*redis.Client{oneClient, twoClient} {
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
			info := c.ClusterInfo(ctx).Val()
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:2") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the cluster does not form: %s", info)
			}
		}
	}
	return one, two
}

func TestCluster(t *testing.T) {
	t.Parallel()
	one, two := startCluster(t)
	set := breaker.NewSet[string]("redis", breaker.Settings{FailMax: 3}, breaker.SetOptions{})
	checkNodes(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{one.addr}, DialerRetries: 1,
		MinRetryBackoff: time.Millisecond, MaxRetryBackoff: time.Millisecond,
	}), set, two, one)
}

func TestRing(t *testing.T) {
	one, two := startServer(t), startServer(t)
	set := breaker.NewSet[string]("redis", breaker.Settings{FailMax: 3}, breaker.SetOptions{})
	checkNodes(t, redis.NewRing(&redis.RingOptions{
		Addrs:              map[string]string{"one": one.addr, "two": two.addr},
		HeartbeatFrequency: time.Hour, // the breaker is to find out, not the ring
		MinRetryBackoff:    time.Millisecond, MaxRetryBackoff: time.Millisecond,
		DialerRetries: 1,
	}), set, two, one)
}

type strangeClient struct{ redis.UniversalClient }

func TestClientThatCannotBeGuarded(t *testing.T) {
	set := breaker.NewSet[string]("redis", breaker.Settings{}, breaker.SetOptions{})
	if err := breakerredis.Guard(strangeClient{}, set); err == nil {
		t.Error("a client of unknown type was guarded")
	}
}

// startSentinel watches one master for each name, and returns its address.
func startSentinel(t *testing.T, masters map[string]*server) string {
	t.Helper()
	addr := freeAddr()
	config := "port " + portOf(addr) + "\nbind 127.0.0.1\n"
	for name, s := range masters {
		host, port, _ := net.SplitHostPort(s.addr)
		config += "sentinel monitor " + name + " " + host + " " + port + " 1\n"
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", file, "--sentinel")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); c.Ping(t.Context()).Err() != nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("redis-sentinel does not answer")
		}
	}
	return addr
}

// Masters that one Sentinel watches are dependencies of their own.
func TestSentinel(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]func(master string) []breakerredis.Option{
		"by number": func(string) []breakerredis.Option { return nil },
		"by name": func(master string) []breakerredis.Option {
			return []breakerredis.Option{breakerredis.WithKey(func(*redis.Options) string { return master })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers := map[string]*server{"sessions": startServer(t), "orders": startServer(t)}
			sentinel := startSentinel(t, servers)
			set := breaker.NewSet[string]("redis", breaker.Settings{FailMax: 2}, breaker.SetOptions{})
			clients := map[string]*redis.Client{}
			for _, master := range []string{"sessions", "orders"} {
				c := redis.NewFailoverClient(&redis.FailoverOptions{
					MasterName: master, SentinelAddrs: []string{sentinel}, MaxRetries: -1, DialerRetries: 1,
				})
				t.Cleanup(func() { _ = c.Close() })
				if err := breakerredis.Guard(c, set, opts(master)...); err != nil {
					t.Fatal(err)
				}
				warm(t, c)
				clients[master] = c
			}
			servers["sessions"].kill()
			for range 2 {
				if err := clients["sessions"].Ping(t.Context()).Err(); err == nil || errors.Is(err, breaker.ErrOpen) {
					t.Fatalf("a command to a dead master got %v", err)
				}
			}
			if err := clients["sessions"].Ping(t.Context()).Err(); !errors.Is(err, breaker.ErrOpen) {
				t.Errorf("got %v, want ErrOpen", err)
			}
			if err := clients["orders"].Ping(t.Context()).Err(); err != nil {
				t.Errorf("the other master got %v", err)
			}
			dead := map[string]string{"by number": "FailoverClient", "by name": "sessions"}[name]
			wantState(t, set.Breaker(dead), breaker.Open)
			if n := len(set.Breakers()); n != 2 {
				t.Errorf("the set has %d breakers, want one for each master", n)
			}
		})
	}
}
