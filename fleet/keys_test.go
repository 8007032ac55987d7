package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkPollSet is what a set costs its member each beat when clients have invented
// so many keys that failed.
func BenchmarkPollSet(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := breaker.NewManager(breaker.Settings{})
			s := breaker.SetOf[string](m, "tenant")
			for i := range n {
				_ = s.Do(b.Context(), fmt.Sprint("key", i), func(context.Context) error { return errors.New("down") })
			}
			f := &Fleet{m: m, gauges: map[string]*gauge{}, sets: map[string]bool{}, keyed: map[*breaker.Breaker]bool{}}
			b.ReportAllocs()
			for b.Loop() {
				f.pollSet("tenant", time.Second)
			}
		})
	}
}

// The keys that are watched are those that are worst (F11).
func TestWorst(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	s := breaker.SetOf[string](m, "tenant")
	for i := range 1000 {
		for range i % 7 { // five open it
			_ = s.Do(t.Context(), fmt.Sprint("key", i), func(context.Context) error { return errors.New("down") })
		}
	}
	all := s.WithEvidence()
	for _, most := range []int{-1, 0, 1, 50, 400, 5000} {
		got := worst(all, most)
		if want := min(max(most, 0), len(all)); len(got) != want {
			t.Fatalf("%d of %d, want %d", len(got), most, want)
		}
		picked := map[*breaker.Breaker]bool{}
		least := 100
		for _, b := range got {
			picked[b] = true
			least = min(least, badness(b))
		}
		if len(picked) != len(got) {
			t.Errorf("%d: some twice", most)
		}
		for _, b := range all {
			if !picked[b] && badness(b) > least {
				t.Fatalf("%d: %s is left out, with %d, and one with %d is in", most, b.ID(), badness(b), least)
			}
		}
	}
}

func badness(b *breaker.Breaker) int {
	if b.State() != breaker.Closed {
		return 50
	}
	return b.FailCount()
}
