package breakerredis_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/adapters/breakerredis"
	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkGet is a command to a real server over loopback, bare and guarded.
func BenchmarkGet(b *testing.B) {
	s := startServer(b)
	for _, kind := range []string{"bare", "guarded"} {
		b.Run(kind, func(b *testing.B) {
			c := redis.NewClient(&redis.Options{Addr: s.addr})
			defer c.Close()
			if kind == "guarded" {
				set := breaker.NewSet[string]("redis", breaker.Settings{}, breaker.SetOptions{})
				if err := breakerredis.Guard(c, set); err != nil {
					b.Fatal(err)
				}
			}
			if err := c.Set(b.Context(), "k", "v", 0).Err(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Get(b.Context(), "k").Err(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHook is what the hook alone costs, and a rejection.
func BenchmarkHook(b *testing.B) {
	br := breaker.New("redis", breaker.Settings{})
	process := breakerredis.NewHook(br).ProcessHook(func(context.Context, redis.Cmder) error { return nil })
	cmd := redis.NewCmd(b.Context(), "get", "k")
	run := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = process(b.Context(), cmd)
		}
	}
	b.Run("closed", run)
	br.ForceOpen(breaker.Order{})
	b.Run("open", run)
}
