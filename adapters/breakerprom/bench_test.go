package breakerprom_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/switchgear-go/switchgear/adapters/breakerprom"
	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkCall measures what a collector costs calls: nothing, except with
// WithCalls.
func BenchmarkCall(b *testing.B) {
	for _, kind := range []string{"bare", "collected", "WithCalls"} {
		b.Run(kind, func(b *testing.B) {
			m := breaker.NewManager(breaker.Settings{})
			switch kind {
			case "collected":
				breakerprom.NewCollector(m)
			case "WithCalls":
				breakerprom.NewCollector(m, breakerprom.WithCalls())
			}
			br := m.Breaker("api")
			ctx, call := b.Context(), func(context.Context) error { return nil }
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, call)
			}
		})
	}
}

// BenchmarkCollect is a collection of ten thousand keys.
func BenchmarkCollect(b *testing.B) {
	m := breaker.NewManager(breaker.Settings{})
	c := breakerprom.NewCollector(m)
	for i := range 10_000 {
		breaker.SetOf[int](m, "many").Breaker(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		testutil.CollectAndCount(c)
	}
}
