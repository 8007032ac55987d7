package breaker

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// taped returns a manager that records on a tape of its own.
func taped(tb testing.TB, s Settings) (*Manager, *tape.Tape) {
	tb.Helper()
	m := NewManager(s)
	var n atomic.Uint32
	t := tape.New(1<<16, tape.Hooks{
		Enroll:   func(any, time.Time) uint32 { return n.Add(1) },
		Forgot:   func(any) {},
		Moved:    func(any, any, tape.Trace) {},
		HeldBack: func(any, any) {},
		Updated:  func(any, time.Time) {},
	})
	_, detach, ok := tape.Engine.Attach(m, t)
	if !ok {
		tb.Fatal("a new manager records already")
	}
	tb.Cleanup(detach)
	return m, t
}

// BenchmarkRecorded compares calls that are recorded with calls that are not.
func BenchmarkRecorded(b *testing.B) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		s    Settings
	}{{"consecutive", Settings{}}, {"rate", Settings{FailureRate: .5}}, {"slow", Settings{SlowCall: time.Second, SlowRate: .5}}} {
		m, _ := taped(b, c.s)
		for name, br := range map[string]*Breaker{"off": New("x", c.s), "on": m.Breaker("x")} {
			b.Run(c.name+"/do="+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_ = br.Do(ctx, nop)
				}
			})
			b.Run(c.name+"/allow="+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p, _ := br.Allow()
					p.Done(nil)
				}
			})
			b.Run(c.name+"/generic="+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = Do(ctx, br, func(context.Context) (int, error) { return 1, nil })
				}
			})
			b.Run(c.name+"/parallel="+name, func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						_ = br.Do(ctx, nop)
					}
				})
			})
			b.Run(c.name+"/failures="+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_ = br.Do(ctx, broken)
					_ = br.Do(ctx, nop)
				}
			})
		}
	}
	m, _ := taped(b, Settings{})
	for name, br := range map[string]*Breaker{"off": New("x", Settings{}), "on": m.Breaker("open")} {
		br.Open(Order{For: time.Hour})
		b.Run("open="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, nop)
			}
		})
	}
}
