package breakerredis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// A command that waits for its program's own pool asks no node, whatever ends it.
func TestWaitForThePool(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, enabled := range map[string]bool{"default": false, "ContextTimeoutEnabled": true} {
		t.Run(name, func(t *testing.T) {
			o := quick(s.addr)
			o.PoolSize, o.ContextTimeoutEnabled = 1, enabled
			c, b := guard(t, o, breaker.Settings{FailMax: 2})
			warm(t, c)
			fail(t.Context(), t, b)
			conn := c.Conn()
			defer conn.Close()
			if err := conn.BLPop(t.Context(), time.Nanosecond, "nothing").Err(); !errors.Is(err, redis.Nil) { // holds the only connection
				t.Fatal(err)
			}
			fail(t.Context(), t, b)
			for what, run := range map[string]func(context.Context) error{
				"command":  func(ctx context.Context) error { return c.Get(ctx, "k").Err() },
				"blocking": func(ctx context.Context) error { return c.BLPop(ctx, 0, "k").Err() },
				"transaction": func(ctx context.Context) error {
					_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "a"); return nil })
					return err
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				if err := run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s got %v, want its deadline", what, err)
				}
				cancel()
			}
			wantFails(t, b, 1, "waits for the pool")
		})
	}
}

// Blocking commands that end by their callers' deadlines, one after the other, do
// not make a failure of a command that waits for their connection.
func TestWaitForBlockingCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := quick(s.addr)
	o.PoolSize, o.ContextTimeoutEnabled, o.MaxRetries = 1, true, -1
	c, b := guard(t, o, breaker.Settings{})
	warm(t, c)
	var wg sync.WaitGroup
	defer wg.Wait()
	run := func(d time.Duration, do func(context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		wg.Go(func() {
			defer cancel()
			if err := do(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		})
		time.Sleep(20 * time.Millisecond) // they queue one behind the other
	}
	blpop := func(ctx context.Context) error { return c.BLPop(ctx, time.Minute, "nothing").Err() }
	run(200*time.Millisecond, blpop)
	run(400*time.Millisecond, func(ctx context.Context) error {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Get(ctx, "k")
			p.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: time.Minute})
			return nil
		})
		return err
	})
	run(time.Second, blpop)
	run(600*time.Millisecond, func(ctx context.Context) error { return c.Get(ctx, "k").Err() })
	wg.Wait()
	wantFails(t, b, 0, "waits for blocking commands")
}

// A node that hangs or goes away is a failure although all that is left of it is
// the end of the caller's time.
func TestCallersDeadlineOnADeadNode(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	silent := listen(t, func(net.Conn) { select {} })        // takes connections, answers nothing
	closing := listen(t, func(c net.Conn) { _ = c.Close() }) // hangs up at once
	for name, test := range map[string]struct {
		options func(*redis.Options)
		warm    bool
	}{
		"hangs, default options":          {options: func(o *redis.Options) { o.ReadTimeout = 200 * time.Millisecond }, warm: true},
		"hangs, ContextTimeoutEnabled":    {options: func(o *redis.Options) { o.ContextTimeoutEnabled = true }, warm: true},
		"hangs at the handshake":          {options: func(o *redis.Options) { o.Addr, o.ContextTimeoutEnabled = silent, true }},
		"hangs at the handshake, default": {options: func(o *redis.Options) { o.Addr, o.ReadTimeout = silent, 200*time.Millisecond }},
		"hangs up": {options: func(o *redis.Options) {
			o.Addr, o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff = closing, 100, 20*time.Millisecond, 20*time.Millisecond
		}},
		"dial hangs": {options: func(o *redis.Options) {
			o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}},
		"refuses, and dials wait": {options: func(o *redis.Options) { o.Addr, o.DialerRetries, o.DialerRetryTimeout = "127.0.0.1:1", 5, time.Second }},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(s.addr)
			test.options(o)
			c, b := guard(t, o, breaker.Settings{})
			if test.warm {
				warm(t, c)
				s.pause()
				defer s.resume()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := c.Get(ctx, "k").Err()
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a dead node's command got %v, want the end of its time", err)
			}
			wantFails(t, b, 1, "the first command")
		})
	}
}

// listen answers connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// The hook must not hide what go-redis finds dead connections by.
func TestWatchedConnections(t *testing.T) {
	s := startServer(t)
	tcp, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	pipe, _ := net.Pipe()
	for name, test := range map[string]struct {
		conn         net.Conn
		file, holder bool
	}{
		"tcp":  {tcp, true, false},
		"tls":  {tls.Client(tcp, &tls.Config{ServerName: "x"}), false, true},
		"pipe": {pipe, false, false},
	} {
		dial := breakerredis.NewHook(breaker.New("redis", breaker.Settings{})).DialHook(func(context.Context, string, string) (net.Conn, error) { return test.conn, nil })
		got, err := dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		_, file := got.(syscall.Conn)
		_, holder := got.(interface{ NetConn() net.Conn })
		if file != test.file || holder != test.holder {
			t.Errorf("%s: has a file %v, a connection below %v; want %v, %v", name, file, holder, test.file, test.holder)
		}
	}
}

// A server that was restarted leaves dead connections in the pool, which cost
// neither the caller nor the breaker anything.
func TestIdleConnectionsOfARestart(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c, b := guard(t, quick(s.addr), breaker.Settings{FailMax: 1})
	burst := func() {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := c.Ping(t.Context()).Err(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	burst()
	s.kill()
	s.start()
	burst()
	wantState(t, b, breaker.Closed)
}
