package breaker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// BenchmarkWorstCall is how long calls take at worst while something looks at
// each of 1,000,000 keys, or at many of them, and keys come and go. Half of the
// keys have a failure. Each call is timed, so the row without such a thing
// beside it shows what the machine adds. Run it with -benchtime=500000x.
func BenchmarkWorstCall(b *testing.B) {
	const keys = 1_000_000
	m := NewManager(Settings{ResetTimeout: 50 * time.Millisecond})
	set, err := CreateSet[int](m, "keys", Settings{}, SetOptions{MaxKeys: keys / 2, MaxEvidence: keys})
	if err != nil {
		b.Fatal(err)
	}
	for k := range keys {
		_ = set.Breaker(k).Do(bg, []func(context.Context) error{nop, broken}[k%2])
	}
	heard := Listener{Success: func(*Breaker) {}}
	hooks := tape.Hooks{
		Enroll: func(any, time.Time) uint32 { return 1 }, Forgot: func(any) {},
		Moved: func(_, _ any, _ tape.Trace) {}, HeldBack: func(_, _ any) {}, Updated: func(any, time.Time) {},
	}
	var made atomic.Int64 // keys and members that are new
	for _, beside := range []struct {
		name string
		do   func(i int)
	}{
		{"nothing", nil},
		{"Set.Update", func(i int) { _ = set.Update(Settings{FailMax: 5 + i%2}) }},
		{"Set.Status", func(int) { set.Status() }},
		{"Manager.Status", func(int) { m.Status() }},
		{"Manager.AddListener", func(int) { m.AddListener(heard)() }},
		{"Manager.Observe", func(int) { m.Observe()() }},
		{"Manager.Shadow", func(int) { _ = m.Shadow("x", Settings{FailMax: 3}); m.Unshadow("x") }},
		{"Manager.CapOpen", func(i int) { m.CapOpen(float64(i%2) / 2) }},
		{"Manager.Lookup, unknown", func(int) { _, _ = m.Lookup("keys/unknown") }},
		{"Manager.Apply", func(i int) {
			id := fmt.Sprintf("keys/%d", i%keys)
			_, _ = m.Apply(id, Order{Verb: VerbForceOpen})
			_, _ = m.Apply(id, Order{Verb: VerbRelease})
		}},
		{"Set.Remove", func(i int) { set.Remove(i % keys) }},
		{"a recording begins and ends", func(int) {
			_, detach, _ := tape.Engine.Attach(m, tape.New(1<<20, hooks))
			detach()
		}},
		{"sweeping", func(int) { set.sweep() }},
		{"trips of other keys", func(i int) {
			for range 5 {
				_ = set.Do(bg, i%keys, broken)
			}
		}},
	} {
		b.Run("beside="+beside.name, func(b *testing.B) {
			stop := repeat(beside.do)
			took := make([]time.Duration, 0, b.N)
			for n := 0; b.Loop(); n++ {
				began := time.Now()
				switch {
				case n%1000 == 0:
					_ = m.Breaker(fmt.Sprint(made.Add(1))).Do(bg, nop)
				case n%4 == 0:
					_ = set.Breaker(keys+int(made.Add(1))).Do(bg, nop)
				case n%4 == 1:
					_ = set.Do(bg, n*7919%keys, broken)
				default:
					_ = set.Do(bg, n*104729%keys, nop)
				}
				took = append(took, time.Since(began))
			}
			stop()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*9999/10_000]), "ns/p99.99")
			b.ReportMetric(float64(took[len(took)-1]), "ns/worst")
		})
	}
}

// repeat calls f again and again on another goroutine, until it is stopped.
func repeat(f func(i int)) (stop func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	if f != nil {
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				f(i)
			}
		})
	}
	return func() { done.Store(true); wg.Wait() }
}

// BenchmarkPlacesEnd is a trip under a cap after the open times of 1,000,000
// other keys have ended.
func BenchmarkPlacesEnd(b *testing.B) {
	const keys = 1_000_000
	for b.Loop() {
		b.StopTimer()
		set := NewSet[int]("s", Settings{FailMax: 1}, SetOptions{MaxEvidence: 2 * keys, CapOpen: 1})
		for k := range keys {
			_ = set.Breaker(k).Open(Order{For: 1})
		}
		b.StartTimer()
		_ = set.Do(bg, -1, broken)
	}
}
