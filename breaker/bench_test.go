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

// BenchmarkListenerClosed is a successful call with a listener.
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
// two transitions, with a listener.
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

// bytesOf returns the memory of one breaker of a set after do has run on it,
// without the set's map and what its breakers share.
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
	return (float64(after) - float64(before)) / n
}

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

// BenchmarkCycle is a breaker that opens, admits a probe and closes: two
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

// BenchmarkOnePercent is calls of which one in a hundred fails, without a
// trip.
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

// In a wave of trips each one costs the same, however many there were in the
// last five seconds.
func BenchmarkTripsOfASet(b *testing.B) {
	for b.Loop() {
		m := NewManager(Settings{FailMax: 1})
		s := SetOf[int](m, "keyed")
		for k := range 5000 {
			_ = s.Do(b.Context(), k, broken)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/trip")
}
