package breaker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkRecorded says what a recording adds to a call.
func BenchmarkRecorded(b *testing.B) {
	never := 1 << 30 // calls until a rate may open
	kinds := []struct {
		name string
		s    Settings
	}{
		{"consecutive", Settings{FailMax: 100_000}},
		{"rate", Settings{FailMax: -1, FailureRate: 1, MinCalls: never}},
		{"last calls", Settings{FailMax: -1, FailureRate: 1, WindowCalls: 100, MinCalls: 100}},
		{"slow", Settings{FailMax: 100_000, SlowCall: time.Second, SlowRate: 1, MinCalls: never}},
	}
	calls := []struct {
		name string
		call func(guard)
	}{
		{"Do", func(g guard) { _ = g.do(nop) }},
		{"generic", func(g guard) {
			_, _ = Do(bg, g.b, func(context.Context) (int, error) { return 1, nil })
		}},
		{"Allow", func(g guard) { p, _ := g.allow(); p.Done(nil) }},
		{"context", func(g guard) { p, _ := g.b.AllowContext(bg); _ = p.DoneContext(bg, nil) }},
		{"Do fails", func(g guard) { _ = g.do(broken) }},
		{"Allow fails", func(g guard) { p, _ := g.allow(); p.Done(errX) }},
		{"Do fails, then ok", func(g guard) { _ = g.do(broken); _ = g.do(nop) }},
		{"Do, open", func(g guard) { _ = g.do(nop) }},
	}
	for _, kind := range kinds {
		for _, c := range calls {
			for _, where := range []string{"breaker", "key", "key of 1000"} {
				switch {
				case where != "breaker" && (c.name == "generic" || c.name == "context"):
					continue // a set has no such method
				case kind.s.WindowCalls > 0 && strings.HasSuffix(c.name, "fails"):
					continue // it would open
				}
				for _, goroutines := range []int{1, 2} {
					b.Run(fmt.Sprintf("%s/%s/%s/%d", kind.name, c.name, where, goroutines), func(b *testing.B) {
						m, _ := tapedOn(b, kind.s, 8<<20) // the default of a recorder
						off, on := guard{b: New("x", kind.s)}, guard{b: m.Breaker("x")}
						if where != "breaker" {
							off.set, on.set = NewSet[string]("x", kind.s, SetOptions{}), SetOf[string](m, "y")
							for i := 1; where == "key of 1000" && i < 1000; i++ {
								off.set.Breaker(strconv.Itoa(i))
								on.set.Breaker(strconv.Itoa(i))
							}
							off.b, on.b = off.set.Breaker("k"), on.set.Breaker("k")
						}
						if c.name == "Do, open" {
							_ = off.b.Open(Order{For: time.Hour})
							_ = on.b.Open(Order{For: time.Hour})
						}
						b.ReportAllocs()
						reportOnTop(b, goroutines, off, on, c.call)
					})
				}
			}
		}
	}
	// Keys in turn. A look-up no longer overlaps with the call before it, unless
	// that call itself makes the processor wait, as reading the clock does.
	for _, n := range []int{1000, 9000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = strconv.Itoa(i)
		}
		for name, fn := range map[string]func(context.Context) error{
			"nothing": nop,
			"clock":   func(context.Context) error { _ = time.Now(); return nil },
		} {
			b.Run(fmt.Sprintf("%d keys in turn/%s", n, name), func(b *testing.B) {
				m, _ := tapedOn(b, Settings{}, 8<<20)
				off, on := guard{set: NewSet[string]("x", Settings{}, SetOptions{})}, guard{set: SetOf[string](m, "y")}
				for _, k := range keys {
					off.set.Breaker(k)
					on.set.Breaker(k)
				}
				at := 0
				b.ReportAllocs()
				reportOnTop(b, 1, off, on, func(g guard) {
					if at++; at == n {
						at = 0
					}
					_ = g.set.Do(bg, keys[at], fn)
				})
			})
		}
	}
	// What it is made of.
	clock, sum := new(fineClock).get(nil), time.Duration(0)
	quickest := func(b *testing.B, f func()) {
		best := time.Duration(1 << 62)
		for n := 0; n < b.N; n += 2000 {
			best = min(best, timeCalls(1, 2000, f))
		}
		b.ReportMetric(float64(best.Nanoseconds())/2000, "ns/op")
	}
	b.Run("clock", func(b *testing.B) { quickest(b, func() { sum += clock.now(true) }) })
	_, t := tapedOn(b, Settings{}, 8<<20)
	b.Run("tape", func(b *testing.B) { quickest(b, func() { t.Add(goroutineHash(), 1, 2, 3) }) })
}

// reportOnTop reports how much longer calls take through one guard than through
// another, made by this many goroutines at a time. The two take turns, and the
// quickest of many short runs of each counts, so that other work on the machine
// does no harm.
func reportOnTop(b *testing.B, goroutines int, without, with guard, call func(guard)) {
	const each = 2000
	best := [2]time.Duration{1 << 62, 1 << 62}
	for n := 0; n < b.N; n += each * goroutines {
		for i, g := range [2]guard{without, with} {
			best[i] = min(best[i], timeCalls(goroutines, each, func() { call(g) }))
			_ = g.do(nop) // takes failures back
		}
	}
	b.ReportMetric(float64(best[0].Nanoseconds())/each, "ns-without/op")
	b.ReportMetric(float64((best[1]-best[0]).Nanoseconds())/each, "ns-on-top/op")
	b.ReportMetric(0, "ns/op") // of both together: of no use
}

// timeCalls returns how long some goroutines take to make n calls each, side by
// side.
func timeCalls(goroutines, n int, call func()) time.Duration {
	var ready atomic.Int32
	var began time.Time
	work := func() {
		// All wait for the last one, so that none works alone.
		if int(ready.Add(1)) == goroutines {
			began = time.Now()
			ready.Add(1)
		}
		for int(ready.Load()) <= goroutines {
		}
		for range n {
			call()
		}
	}
	var wg sync.WaitGroup
	for range goroutines - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return time.Since(began)
}

// guard is a breaker or a key of a set.
type guard struct {
	b   *Breaker
	set *Set[string] // nil: a breaker
}

func (g guard) do(fn func(context.Context) error) error {
	if g.set != nil {
		return g.set.Do(bg, "k", fn)
	}
	return g.b.Do(bg, fn)
}

func (g guard) allow() (Permit, error) {
	if g.set != nil {
		return g.set.Allow("k")
	}
	return g.b.Allow()
}
