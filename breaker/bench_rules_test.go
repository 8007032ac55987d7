package breaker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"
)

// ruled is a breaker under each rule, for the figures of what they cost.
var ruled = []struct {
	name string
	s    Settings
	opts []Option
}{
	{"consecutive", Settings{}, nil},
	{"rate", Settings{FailureRate: 0.5}, nil},
	{"rate-last-100", Settings{FailureRate: 0.5, WindowCalls: 100}, nil},
	{"confidence", Settings{FailureRate: 0.5, Confidence: 0.95}, nil},
	{"slow", Settings{SlowCall: time.Second, SlowRate: 0.5}, nil},
	{"slow-exact", Settings{SlowCall: 10 * time.Millisecond, SlowRate: 0.5}, nil},
	{"own-rule", Settings{}, []Option{WithRule("half", func(c Counts) bool { return c.Failures > c.Calls/2 })}},
	{"all", Settings{FailureRate: 0.5, Confidence: 0.95, SlowCall: time.Second, SlowRate: 0.5}, nil},
}

// BenchmarkRuleClosed is a successful call under each rule, beside the same
// call unguarded.
func BenchmarkRuleClosed(b *testing.B) {
	ctx := context.Background()
	bare := nop
	b.Run("rule=none", func(b *testing.B) {
		for b.Loop() {
			_ = bare(ctx)
		}
	})
	for _, r := range ruled {
		br := New("x", r.s, r.opts...)
		b.Run("rule="+r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, nop)
			}
		})
	}
}

// BenchmarkRuleFailure is a failing call under each rule, every second one, so
// that no rule is met: the cost of deciding.
func BenchmarkRuleFailure(b *testing.B) {
	ctx := context.Background()
	for _, r := range ruled {
		s := r.s
		s.FailMax = -1
		if s.FailureRate > 0 {
			s.FailureRate = 0.9
		}
		br := New("x", s, WithRule("never", func(Counts) bool { return false }))
		b.Run("rule="+r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, broken)
				_ = br.Do(ctx, nop)
			}
			if br.State() != Closed {
				b.Fatal("it opened")
			}
		})
	}
}

var heard = []struct {
	name string
	opts []Option
}{
	{"nobody", nil},
	{"state-listener", []Option{WithListener(Listener{StateChange: func(*Breaker, Transition) {}})}},
	{"call-listener", []Option{WithListener(Listener{Success: func(*Breaker) {}, Failure: func(*Breaker, error) {}})}},
	{"logger", []Option{WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))}},
	{"without-history", []Option{WithoutHistory()}},
}

// BenchmarkListenerClosed is a successful call with somebody listening.
func BenchmarkListenerClosed(b *testing.B) {
	ctx := context.Background()
	for _, l := range heard {
		br := New("x", Settings{}, l.opts...)
		b.Run("heard="+l.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, nop)
			}
		})
	}
}

// BenchmarkTrip is a trip with its record, and the order that closes again:
// two transitions, with somebody listening.
func BenchmarkTrip(b *testing.B) {
	ctx := context.Background()
	for _, l := range heard {
		br := New("x", Settings{FailMax: 1}, l.opts...)
		b.Run("heard="+l.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = br.Do(ctx, broken)
				br.Close(Order{})
			}
		})
	}
}

// BenchmarkMemory reports the bytes of one breaker under each rule: new, after
// some calls, after a failure, after one trip, and with a full history.
func BenchmarkMemory(b *testing.B) {
	ctx := context.Background()
	for _, stage := range []struct {
		name string
		do   func(*Breaker)
	}{
		{"new", func(*Breaker) {}},
		{"used", func(br *Breaker) {
			for range 100 {
				_ = br.Do(ctx, nop)
			}
		}},
		{"failed", func(br *Breaker) { _ = br.Do(ctx, nop); _ = br.Do(ctx, broken) }},
		{"tripped", func(br *Breaker) { br.Open(Order{}); br.Close(Order{}) }},
		{"full-history", func(br *Breaker) {
			for range keptTransitions {
				br.Close(Order{})
			}
		}},
	} {
		for _, r := range ruled {
			b.Run(fmt.Sprintf("stage=%s/rule=%s", stage.name, r.name), func(b *testing.B) {
				var per float64
				for b.Loop() {
					per = bytesOf(r.s, r.opts, stage.do)
				}
				b.ReportMetric(per, "B/breaker")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// bytesOf is what a breaker of a set takes once do has been done to it; the
// set's map and what its breakers share are left out.
func bytesOf(s Settings, opts []Option, do func(*Breaker)) float64 {
	const n = 5000
	cfg := newConfig("s", s, opts, nil)
	cfg.owner = NewSet[int]("s", s, SetOptions{})
	all := make([]*Breaker, n)
	before := heapInUse()
	for i := range all {
		all[i] = newBreaker(cfg, "")
		do(all[i])
	}
	after := heapInUse()
	runtime.KeepAlive(all)
	return (after - before) / n
}

// heap is the bytes in use.
func heapInUse() float64 {
	runtime.GC()
	runtime.GC() // what had a finalizer, or was in a pool, goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
