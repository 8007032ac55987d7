package breakerredis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// Nodes that cannot serve say so to the commands. What a pipeline or EXEC
// returns by itself must not hide it.
func TestNodesThatRefuse(t *testing.T) {
	t.Parallel()
	nodes := map[string]func(*testing.T) *server{
		"LOADING": func(t *testing.T) *server {
			s := startServer(t, "--enable-debug-command", "yes", "--rdbcompression", "no", "--loading-process-events-interval-bytes", "1024")
			plain := redis.NewClient(&redis.Options{Addr: s.addr})
			defer plain.Close()
			for i := range 3000 {
				plain.Set(t.Context(), strconv.Itoa(i), strings.Repeat("v", 2048), 0)
			}
			for _, args := range [][]any{
				{"save"},
				{"config", "set", "key-load-delay", "20000"}, // microseconds a key: a minute
			} {
				if err := plain.Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			go redis.NewClient(&redis.Options{Addr: s.addr}).Do(context.Background(), "debug", "reload", "nosave")
			return s
		},
		"BUSY": func(t *testing.T) *server {
			s := startServer(t, "--busy-reply-threshold", "1")
			go redis.NewClient(&redis.Options{Addr: s.addr}).Eval(context.Background(), "while true do end", nil)
			return s
		},
		"CLUSTERDOWN": func(t *testing.T) *server {
			return startServer(t, "--cluster-enabled", "yes", "--cluster-port", portOf(freeAddr()))
		},
		"MASTERDOWN": func(t *testing.T) *server {
			s := startServer(t, "--replica-serve-stale-data", "no")
			plain := redis.NewClient(&redis.Options{Addr: s.addr})
			defer plain.Close()
			if err := plain.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
			return s
		},
	}
	for code, start := range nodes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			ctx := t.Context()
			o := quick(s.addr)
			o.MaxRetries = -1
			plain := redis.NewClient(o)
			defer plain.Close()
			for deadline := time.Now().Add(20 * time.Second); !redis.HasErrorPrefix(plain.Get(ctx, "a").Err(), code); {
				if time.Now().After(deadline) {
					t.Fatalf("the node does not answer %s: %v", code, plain.Get(ctx, "a").Err())
				}
			}
			for name, run := range map[string]func(*redis.Client) error{
				"a command": func(c *redis.Client) error { return c.Get(ctx, "a").Err() },
				"a pipeline that begins well": func(c *redis.Client) error {
					_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Do(ctx, "multi"); p.Get(ctx, "a"); p.Do(ctx, "discard"); return nil })
					return err
				},
				"a transaction": func(c *redis.Client) error {
					_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "a"); return nil })
					return err
				},
			} {
				c, b := guard(t, o, breaker.Settings{FailMax: 2, ResetTimeout: time.Hour})
				err := run(c)
				wantFails(t, b, 1, name)
				b.HalfOpen(breaker.Order{})
				_ = run(c)
				if got := b.State(); got != breaker.Open {
					t.Errorf("%s that met %s (%v) as a probe left the breaker %v, want open", name, code, err, got)
				}
			}
		})
	}
}

// In a transaction that its program spoiled, the node has answered.
func TestAbortedTransactions(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 2})
	fail(ctx, t, b)
	_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, "no-such-command")
		p.Set(ctx, "a", 1, 0)
		return nil
	})
	if !redis.HasErrorPrefix(err, "EXECABORT") {
		t.Fatalf("got %v, want EXECABORT", err)
	}
	wantFails(t, b, 0, "a success")

	// By hand, EXEC's own reply does not say why.
	fail(ctx, t, b)
	conn := c.Conn()
	defer conn.Close()
	process := breakerredis.NewHook(b).ProcessHook(func(ctx context.Context, cmd redis.Cmder) error { return conn.Process(ctx, cmd) })
	conn.Do(ctx, "multi")
	conn.Do(ctx, "no-such-command") // counted by its own reply
	fail(ctx, t, b)
	if err := process(ctx, redis.NewCmd(ctx, "exec")); !redis.HasErrorPrefix(err, "EXECABORT") {
		t.Fatalf("got %v, want EXECABORT", err)
	}

	// Redis may refuse EXEC itself.
	for _, test := range []struct {
		reply reply
		fails int
	}{
		{"EXECABORT Transaction discarded because of: BUSY Redis is busy running a script.", 1},
		{"EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.", 0},
		{"EXECABORT Transaction discarded because of previous errors.", 0},
	} {
		b := breaker.New("redis", breaker.Settings{})
		_ = breakerredis.NewHook(b).ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return test.reply })(ctx,
			[]redis.Cmder{redis.NewCmd(ctx, "multi"), redis.NewCmd(ctx, "get", "a"), redis.NewCmd(ctx, "exec")})
		wantFails(t, b, test.fails, string(test.reply))
	}
	b = breaker.New("redis", breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	_ = breakerredis.NewHook(b).ProcessHook(func(context.Context, redis.Cmder) error {
		return reply("EXECABORT Transaction discarded because of previous errors.")
	})(ctx, redis.NewCmd(ctx, "exec"))
	wantState(t, b, breaker.HalfOpen)
}

// fail puts one failure on record.
func fail(ctx context.Context, t *testing.T, b *breaker.Breaker) {
	t.Helper()
	_ = b.Do(ctx, func(context.Context) error { return errors.New("down") })
	wantFails(t, b, 1, "a failure")
}

type broken struct{ err error }

func (b broken) MarshalBinary() ([]byte, error) { return nil, b.err }

// What the program did wrong, or could not get for itself, never left the process.
func TestMistakesOfTheProgram(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := t.Context()
	for name, test := range map[string]struct {
		options func(*redis.Options)
		run     func(redis.Cmdable) error
	}{
		"type that cannot be sent":         {run: func(c redis.Cmdable) error { return c.Set(ctx, "k", struct{ A int }{1}, 0).Err() }},
		"value that does not marshal":      {run: func(c redis.Cmdable) error { return c.Set(ctx, "k", broken{errors.New("no")}, 0).Err() }},
		"value whose source is at its end": {run: func(c redis.Cmdable) error { return c.Set(ctx, "k", broken{io.EOF}, 0).Err() }},
		"in a pipeline": {run: func(c redis.Cmdable) error {
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "a"); p.Set(ctx, "k", struct{}{}, 0); return nil })
			return err
		}},
		"in a transaction": {run: func(c redis.Cmdable) error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Get(ctx, "a")
				p.Set(ctx, "k", broken{errors.New("no")}, 0)
				return nil
			})
			return err
		}},
		"no credentials": {
			options: func(o *redis.Options) {
				o.CredentialsProviderContext = func(context.Context) (string, string, error) { return "", "", errors.New("the token endpoint is down") }
			},
			run: func(c redis.Cmdable) error { return c.Get(ctx, "k").Err() },
		},
		"no file descriptor": {
			options: func(o *redis.Options) {
				o.Dialer = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
				}
			},
			run: func(c redis.Cmdable) error { return c.Get(ctx, "k").Err() },
		},
		"limiter": {
			options: func(o *redis.Options) { o.Limiter = limiter{} },
			run:     func(c redis.Cmdable) error { return c.Get(ctx, "k").Err() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(s.addr)
			if test.options != nil {
				test.options(o)
			}
			c, b := guard(t, o, breaker.Settings{FailMax: 2})
			fail(ctx, t, b)
			if err := test.run(c); err == nil || isReply(err) {
				t.Fatalf("got %v, want an error of the program's own", err)
			}
			wantFails(t, b, 1, "a mistake")
			b.HalfOpen(breaker.Order{})
			_ = test.run(c)
			wantState(t, b, breaker.HalfOpen)
		})
	}
	t.Run("values that can be sent fail with the server", func(t *testing.T) {
		c, b := guard(t, quick("127.0.0.1:1"), breaker.Settings{})
		text := "v"
		c.MSet(ctx, "a", 1, "b", &text, "c", time.Now(), "d", time.Second, "e", []byte("v"), "f", true, "g", 1.5, "h", (*time.Time)(nil))
		wantFails(t, b, 1, "a command to a dead server")
	})
}

func isReply(err error) bool {
	var r redis.Error
	return errors.As(err, &r)
}

type limiter struct{}

func (limiter) Allow() error       { return errors.New("too many") }
func (limiter) ReportResult(error) {}

// What goes on with a connection that the program has spoiled or closed by itself
// is not evidence.
func TestConnectionsOfTheProgramsOwn(t *testing.T) {
	s := startServer(t)
	for name, run := range map[string]func(*redis.Client) error{
		"a pinned one after the caller's deadline": func(c *redis.Client) error {
			pinned := c.Conn()
			defer pinned.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := pinned.BLPop(ctx, time.Minute, "nothing").Err(); err == nil {
				return nil
			}
			_ = pinned.Get(t.Context(), "k").Err()
			return pinned.Get(t.Context(), "k").Err()
		},
		"a client that is closed": func(c *redis.Client) error {
			time.AfterFunc(50*time.Millisecond, func() { _ = c.Close() })
			return c.BLPop(t.Context(), time.Minute, "nothing").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(s.addr)
			o.MaxRetries, o.ContextTimeoutEnabled = -1, true
			c, b := guard(t, o, breaker.Settings{})
			if err := c.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			err := run(c)
			if err == nil || errors.Is(err, redis.Nil) {
				t.Fatalf("got %v, want an error of the connection", err)
			}
			wantFails(t, b, 0, err.Error())
		})
	}
}

// What a real node makes of calls that go wrong: good and bad outcomes.
func TestSituations(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx := t.Context()
	admin := redis.NewClient(quick(s.addr))
	defer admin.Close()
	if err := admin.Do(ctx, "acl", "setuser", "reader", "on", ">secret", "~*", "+get").Err(); err != nil {
		t.Fatal(err)
	}
	full := func(o *redis.Options) { o.PoolSize, o.PoolTimeout = 1, 50*time.Millisecond }
	// hold takes the only connection of a pool.
	hold := func(c *redis.Client) *redis.Conn {
		held := c.Conn()
		_ = held.Get(ctx, "a").Err()
		return held
	}
	inTx := func(c redis.Cmdable) error {
		_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Incr(ctx, "n").Err() })
		return err
	}
	for name, test := range map[string]struct {
		options func(*redis.Options)
		want    [2]int
		run     func(*redis.Client) error
	}{
		"wrong password": {
			func(o *redis.Options) { o.Username, o.Password = "reader", "wrong" },
			[2]int{1, 0},
			func(c *redis.Client) error { return c.Get(ctx, "a").Err() },
		},
		"no permission": {
			func(o *redis.Options) { o.Username, o.Password = "reader", "secret" },
			[2]int{1, 0},
			func(c *redis.Client) error { return c.Set(ctx, "a", 1, 0).Err() },
		},
		"no such database": {
			func(o *redis.Options) { o.DB = 99 },
			[2]int{1, 0},
			func(c *redis.Client) error { return c.Get(ctx, "a").Err() },
		},
		"no such script": {nil, [2]int{1, 0}, func(c *redis.Client) error { return c.EvalSha(ctx, "none", nil).Err() }},
		"a key that another client changes": {nil, [2]int{2, 0}, func(c *redis.Client) error { // WATCH, and what it is for
			return c.Watch(ctx, func(tx *redis.Tx) error {
				admin.Incr(ctx, "n")
				return inTx(tx)
			}, "n")
		}},
		"a full pool: a transaction": {full, [2]int{1, 0}, func(c *redis.Client) error {
			defer hold(c).Close()
			return inTx(c)
		}},
		"a full pool: WATCH": {full, [2]int{1, 0}, func(c *redis.Client) error {
			defer hold(c).Close()
			return c.Watch(ctx, func(tx *redis.Tx) error { return inTx(tx) }, "n")
		}},
		"a full pool: a pipeline until its caller's deadline": {
			func(o *redis.Options) { o.PoolSize = 1 },
			[2]int{1, 0},
			func(c *redis.Client) error {
				defer hold(c).Close()
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				_, err := c.Pipelined(short, func(p redis.Pipeliner) error { return p.Get(ctx, "a").Err() })
				return err
			},
		},
		"a connection that is killed while it waits": {nil, [2]int{1, 1}, func(c *redis.Client) error {
			id := c.ClientID(ctx).Val()
			go whenBlocked(ctx, admin, func() { admin.ClientKillByFilter(ctx, "ID", strconv.FormatInt(id, 10)) })
			return c.BLPop(ctx, time.Minute, "q").Err()
		}},
		"a wait that an operator ends": {nil, [2]int{2, 0}, func(c *redis.Client) error {
			id := c.ClientID(ctx).Val()
			go whenBlocked(ctx, admin, func() { admin.ClientUnblockWithError(ctx, id) })
			return c.BLPop(ctx, time.Minute, "q").Err()
		}},
		"a node that is paused": {
			func(o *redis.Options) { o.ContextTimeoutEnabled = true },
			[2]int{1, 1},
			func(c *redis.Client) error {
				_ = c.Ping(ctx).Err()
				admin.Do(ctx, "client", "pause", 1500, "all")
				defer admin.Ping(ctx) // waits until that is over
				short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
				return c.Get(short, "a").Err()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(s.addr)
			o.MaxRetries = -1
			if test.options != nil {
				test.options(o)
			}
			var good, bad atomic.Int64
			b := breaker.New("redis", breaker.Settings{FailMax: 100}, breaker.WithListener(breaker.Listener{
				Success: func(*breaker.Breaker) { good.Add(1) },
				Failure: func(*breaker.Breaker, error) { bad.Add(1) },
			}))
			c := redis.NewClient(o)
			defer c.Close()
			c.AddHook(breakerredis.NewHook(b))
			err := test.run(c)
			if err == nil {
				t.Error("no error")
			}
			if got := [2]int{int(good.Load()), int(bad.Load())}; got != test.want {
				t.Errorf("%v: %d good and %d bad, want %d and %d", err, got[0], got[1], test.want[0], test.want[1])
			}
		})
	}
}

// A subscription whose connection breaks connects again by itself, and says
// nothing of the node before that.
func TestSubscriptionThatIsCut(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	admin := redis.NewClient(quick(s.addr))
	defer admin.Close()
	c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 1})
	sub := c.Subscribe(t.Context(), "channel")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
	if _, err := sub.Receive(t.Context()); err == nil {
		t.Error("the subscription was not cut")
	}
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Errorf("it does not connect again: %v", err)
	}
	wantState(t, b, breaker.Closed)
}

// whenBlocked calls f as soon as a client of the node waits on purpose.
func whenBlocked(ctx context.Context, admin *redis.Client, f func()) {
	for ctx.Err() == nil && !strings.Contains(admin.Info(ctx, "clients").Val(), "blocked_clients:1") {
		time.Sleep(time.Millisecond)
	}
	f()
}
