package breakerotel_test

import (
	"context"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/switchgear-go/switchgear/adapters/breakerotel"
	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkCall measures what metrics cost calls: nothing, except with
// WithCalls; and what Do costs without a span.
func BenchmarkCall(b *testing.B) {
	fn := func(context.Context) (int, error) { return 0, nil }
	for _, kind := range []string{"bare", "registered", "WithCalls", "Do"} {
		b.Run(kind, func(b *testing.B) {
			m := breaker.NewManager(breaker.Settings{})
			opts := []breakerotel.Option{breakerotel.WithMeterProvider(sdkmetric.NewMeterProvider())}
			if kind == "WithCalls" {
				opts = append(opts, breakerotel.WithCalls())
			}
			if kind != "bare" {
				if _, err := breakerotel.Register(m, opts...); err != nil {
					b.Fatal(err)
				}
			}
			do := breaker.Do[int]
			if kind == "Do" {
				do = breakerotel.Do[int]
			}
			br, ctx := m.Breaker("api"), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = do(ctx, br, fn)
			}
		})
	}
}
