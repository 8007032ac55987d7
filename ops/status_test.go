package ops_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// Looking for processes asks each of them, however many breakers it has, so
// the answer must not visit the breakers one by one.
func TestProcessLooksAtNoBreaker(t *testing.T) {
	allocs := func(keys int) float64 {
		m := breaker.NewManager(breaker.Settings{})
		set := breaker.SetOf[int](m, "tenants")
		for i := range keys {
			set.Breaker(i)
			m.Breaker(strconv.Itoa(i))
		}
		p := ops.New(m, ops.Options{})
		defer p.Close()
		if got := p.Process(); got.Breakers != 2*keys {
			t.Errorf("%d breakers, want %d", got.Breakers, 2*keys)
		}
		return testing.AllocsPerRun(20, func() { p.Process() })
	}
	if few, many := allocs(10), allocs(5000); many != few {
		t.Errorf("%g allocations with 10,000 breakers and %g with 20, want as many", many, few)
	}
}

// Counts that are kept as events happen equal what a visit of every breaker
// finds.
func TestProcessCountsWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		early, err := m.Lookup("search") // before there is a plane
		if err != nil {
			t.Fatal(err)
		}
		early.ForceOpen(breaker.Order{For: time.Hour})
		p := ops.New(m, ops.Options{})
		defer p.Close()
		check := func(when string) {
			t.Helper()
			want := map[string]int{}
			overlaid := 0
			for _, s := range m.Status() {
				want[s.State.String()]++
				if s.Override != nil {
					overlaid++
				}
			}
			got := p.Process()
			for _, s := range []string{"closed", "open", "half-open", "forced-open", "forced-closed"} {
				if got.States[s] != want[s] || got.Overlaid != overlaid {
					t.Errorf("%s: %v with %d overrides, want %v with %d", when, got.States, got.Overlaid, want, overlaid)
					return
				}
			}
		}
		check("at first")
		key, err := m.Lookup("tenants/a")
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			when string
			do   func()
		}{
			{"open", func() { key.Open(breaker.Order{}) }},
			{"forced closed for a minute", func() { key.ForceClosed(breaker.Order{For: time.Minute}) }},
			{"opened behind it", func() {
				for range 5 {
					_ = key.Do(ctx, func(context.Context) error { return errDown })
				}
			}},
			{"when the minute is over", func() { time.Sleep(2 * time.Minute); synctest.Wait() }},
			{"closed", func() { key.Close(breaker.Order{}) }},
			{"another override in its place", func() { early.ForceClosed(breaker.Order{}) }},
			{"opened through it", func() { early.Open(breaker.Order{}) }},
			{"a new key", func() { breaker.SetOf[string](m, "tenants").Breaker("new").HalfOpen(breaker.Order{}) }},
			{"all closed", func() {
				for _, b := range m.Breakers() {
					b.Close(breaker.Order{})
				}
			}},
		} {
			step.do()
			check(step.when)
		}
	})
}
