package breakerredis_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// A command that waits on purpose until its caller's time is over has met no failure.
func TestBlockingUntilTheCallersDeadline(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := quick(s.addr)
	o.ContextTimeoutEnabled, o.ReadTimeout, o.MaxRetries = true, 500*time.Millisecond, -1
	setup := redis.NewClient(o)
	defer setup.Close()
	if err := setup.XGroupCreateMkStream(t.Context(), "stream", "group", "$").Err(); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(context.Context, *redis.Client) error{
		"BLPOP":         func(ctx context.Context, c *redis.Client) error { return c.BLPop(ctx, time.Minute, "q").Err() },
		"BLPOP forever": func(ctx context.Context, c *redis.Client) error { return c.BLPop(ctx, 0, "q").Err() },
		"BLMPOP": func(ctx context.Context, c *redis.Client) error {
			return c.BLMPop(ctx, time.Minute, "left", 1, "q").Err()
		},
		"BLMOVE": func(ctx context.Context, c *redis.Client) error {
			return c.BLMove(ctx, "q", "p", "left", "right", 0).Err()
		},
		"BRPOPLPUSH": func(ctx context.Context, c *redis.Client) error { return c.Do(ctx, "brpoplpush", "q", "p", 60).Err() },
		"BZPOPMIN":   func(ctx context.Context, c *redis.Client) error { return c.BZPopMin(ctx, time.Minute, "z").Err() },
		"BZMPOP":     func(ctx context.Context, c *redis.Client) error { return c.BZMPop(ctx, 0, "min", 1, "z").Err() },
		"WAIT":       func(ctx context.Context, c *redis.Client) error { return c.Wait(ctx, 1, time.Minute).Err() },
		"XREAD": func(ctx context.Context, c *redis.Client) error {
			return c.XRead(ctx, &redis.XReadArgs{Streams: []string{"stream", "$"}, Block: time.Minute}).Err()
		},
		"XREADGROUP": func(ctx context.Context, c *redis.Client) error {
			return c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "group", Consumer: "c", Streams: []string{"stream", ">"}, Block: 0}).Err()
		},
		"Do": func(ctx context.Context, c *redis.Client) error { return c.Do(ctx, "blpop", "q", 60).Err() },
		"a pipeline": func(ctx context.Context, c *redis.Client) error {
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Ping(ctx); p.BLPop(ctx, time.Minute, "q"); return nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, b := guard(t, o, breaker.Settings{FailMax: 2})
			warm(t, c)
			fail(t.Context(), t, b)
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			err := run(ctx, c)
			if err == nil || isReply(err) {
				t.Fatalf("got %v, want the end of time", err)
			}
			wantFails(t, b, 1, err.Error())
		})
	}
}

// As long as it may wait, and no longer; and only if it got as far as waiting.
func TestBlockingOnANodeThatHangs(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for name, test := range map[string]struct {
		timeout, deadline time.Duration
		warm              bool
		want              int
	}{
		"within its wait":      {time.Minute, 500 * time.Millisecond, true, 0},
		"beyond its wait":      {time.Second, 2500 * time.Millisecond, true, 1},
		"before it could wait": {time.Minute, 100 * time.Millisecond, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(s.addr)
			o.ContextTimeoutEnabled = true
			c, b := guard(t, o, breaker.Settings{})
			if test.warm {
				warm(t, c)
			}
			s.pause()
			defer s.resume()
			ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
			defer cancel()
			err := c.BLPop(ctx, test.timeout, "q").Err()
			wantFails(t, b, test.want, err.Error())
		})
	}
}

// Commands that block on purpose are not slow.
func TestBlockingCommandsAreNotSlow(t *testing.T) {
	for _, test := range []struct {
		args []any
		want breaker.State
	}{
		{[]any{"blpop", "q", 10}, breaker.Closed},
		{[]any{"BLMPOP", "10", 1, "q", "left"}, breaker.Closed},
		{[]any{"xread", "BLOCK", 10000, "streams", "s", "$"}, breaker.Closed},
		{[]any{"xread", []byte("block"), 10000, "streams", "s", "$"}, breaker.Closed},
		{[]any{"ts.read", "s", "0", "BLOCK", 10000, 1}, breaker.Closed},
		{[]any{"blpop"}, breaker.Closed}, // not a command; must not panic
		{[]any{"xread", "streams", "s", "$"}, breaker.Open},
		{[]any{"xread", "streams", "block", "$"}, breaker.Open},
		{[]any{"xreadgroup", "group", "block", "block", "streams", "s", ">"}, breaker.Open},
		{[]any{"get", "k"}, breaker.Open},
	} {
		for _, probe := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("redis", breaker.Settings{SlowCall: time.Second, SlowRate: 1, MinCalls: 1})
				if probe {
					b.HalfOpen(breaker.Order{})
				}
				process := breakerredis.NewHook(b).ProcessHook(func(context.Context, redis.Cmder) error {
					time.Sleep(10 * time.Second)
					return nil
				})
				_ = process(t.Context(), redis.NewCmd(t.Context(), test.args...))
				if b.State() != test.want {
					t.Errorf("after %v for 10 s (as a probe: %v) the breaker is %v, want %v", test.args, probe, b.State(), test.want)
				}
			})
		}
	}
}

// A probe that may wait must not be taken for answered.
func TestBlockingProbeOfADeadNode(t *testing.T) {
	c, b := guard(t, quick("127.0.0.1:1"), breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	if err := c.BLPop(t.Context(), time.Second, "q").Err(); errors.Is(err, breaker.ErrOpen) {
		t.Fatal(err)
	}
	wantState(t, b, breaker.Open)
	for _, tr := range b.History() {
		if tr.To == breaker.Closed {
			t.Error("the probe closed the breaker before it was answered")
		}
	}
}
