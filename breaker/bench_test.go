package breaker

import (
	"context"
	"testing"
	"time"
)

func nop(context.Context) error { return nil }

func BenchmarkBare(b *testing.B) {
	f := nop
	ctx := context.Background()
	for b.Loop() {
		_ = f(ctx)
	}
}

func BenchmarkDo(b *testing.B) {
	for _, c := range []struct {
		n string
		s Settings
	}{{"consecutive", Settings{}}, {"rate", Settings{FailureRate: .5}}, {"lastN", Settings{FailureRate: .5, WindowCalls: 100}}, {"slow", Settings{SlowCall: 1e9, SlowRate: .5}}, {"slowExact", Settings{SlowCall: 1e7, SlowRate: .5}}} {
		b.Run(c.n, func(b *testing.B) {
			br := New("x", c.s)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if br.Do(ctx, nop) != nil {
					b.Fatal()
				}
			}
		})
	}
}

func BenchmarkGeneric(b *testing.B) {
	br := New("x", Settings{})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Do(ctx, br, func(context.Context) (int, error) { return 1, nil }); err != nil {
			b.Fatal()
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	br := New("x", Settings{})
	b.ReportAllocs()
	for b.Loop() {
		p, err := br.Allow()
		if err != nil {
			b.Fatal()
		}
		p.Done(nil)
	}
}

func BenchmarkOpen(b *testing.B) {
	br := New("x", Settings{})
	br.Open(Order{})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if br.Do(ctx, nop) == nil {
			b.Fatal()
		}
	}
}

func BenchmarkWrapper(b *testing.B) {
	ctx := context.Background()
	f := nop
	for b.Loop() {
		_ = wrapper(ctx, f)
	}
}

//go:noinline
func wrapper(ctx context.Context, fn func(context.Context) error) error {
	done := false
	defer func() {
		if !done {
			panic("x")
		}
	}()
	err := fn(ctx)
	done = true
	return err
}

// BenchmarkCycle is a breaker that opens, lets a probe through and closes: two
// calls.
func BenchmarkCycle(b *testing.B) {
	for _, c := range []struct {
		name string
		opts []Option
	}{{"recorded", nil}, {"without-history", []Option{WithoutHistory()}}} {
		b.Run(c.name, func(b *testing.B) {
			br := New("x", Settings{FailMax: 1, ResetTimeout: 1, ProbeTimeout: time.Hour}, c.opts...)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, broken)
				if br.Do(ctx, nop) != nil {
					b.Fatal()
				}
			}
		})
	}
}

// BenchmarkOnePercent is calls of which one in a hundred fails, without a trip.
func BenchmarkOnePercent(b *testing.B) {
	br := New("x", Settings{})
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := 0
		for pb.Next() {
			if n++; n%100 == 0 {
				_ = br.Do(ctx, broken)
			} else {
				_ = br.Do(ctx, nop)
			}
		}
	})
}

// BenchmarkObserved is a call that is counted for Manager.Observe.
func BenchmarkObserved(b *testing.B) {
	m := NewManager(Settings{})
	defer m.Observe()()
	br := m.Breaker("x")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if br.Do(ctx, nop) != nil {
			b.Fatal()
		}
	}
}
