package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// atLeast is P(X >= f) for X ~ Binomial(n, num/den), summed in whole numbers.
func atLeast(f, n, num, den int64) float64 {
	sum := new(big.Int)
	for k := f; k <= n; k++ {
		term := new(big.Int).Binomial(n, k)
		term.Mul(term, new(big.Int).Exp(big.NewInt(num), big.NewInt(k), nil))
		term.Mul(term, new(big.Int).Exp(big.NewInt(den-num), big.NewInt(n-k), nil))
		sum.Add(sum, term)
	}
	p, _ := new(big.Rat).SetFrac(sum, new(big.Int).Exp(big.NewInt(den), big.NewInt(n), nil)).Float64()
	return p
}

func TestConfidenceIsTheExactBinomialTest(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 5, 10, 19, 50, 137, 250} {
		for _, num := range []int64{1, 5, 20, 50, 80, 99} { // percent
			for f := int64(1); f <= n; f += 1 + n/25 {
				chance := atLeast(f, n, num, 100)
				got := byChance(int(f), int(n), float64(num)/100)
				if math.Abs(got-chance) > 1e-12+1e-9*chance {
					t.Fatalf("P(X >= %d) of %d at %d%% = %.17g, want %.17g", f, n, num, got, chance)
				}
				for _, sure := range []float64{0.5, 0.8, 0.95, 0.999} {
					if math.Abs(chance-(1-sure)) < 1e-9 {
						continue // a tie: rounding may decide
					}
					if got, want := SurelyOver(int(f), int(n), float64(num)/100, sure), chance <= 1-sure; got != want {
						t.Errorf("%d of %d, rate %d%%, confidence %g: %v, want %v (by chance: %g)", f, n, num, sure, got, want, chance)
					}
				}
			}
		}
	}
}

// Large windows: no overflow, no loss of precision, and fast enough to be
// tested under a lock.
func TestConfidenceOfManyCalls(t *testing.T) {
	for _, c := range []struct {
		f, n int
		want bool
	}{
		{500_000, 1_000_000, false},
		{501_000, 1_000_000, true}, // two standard deviations above a half
		{500_500, 1_000_000, false},
		{1, 1_000_000, false},
		{1_000_000, 1_000_000, true},
		{50_000_000, 100_000_000, false},
		{50_020_000, 100_000_000, true},
	} {
		if got := SurelyOver(c.f, c.n, 0.5, 0.95); got != c.want {
			t.Errorf("%d of %d: %v, want %v", c.f, c.n, got, c.want)
		}
	}
}

// What the documentation promises.
func TestConfidencePromises(t *testing.T) {
	for _, c := range []struct {
		failures, calls int
		want            State
	}{
		{1, 1, Closed},
		{4, 4, Closed}, // one in sixteen by chance
		{5, 5, Open},
		{5, 6, Closed},
		{7, 8, Open},
		{9, 12, Closed},
		{10, 12, Open},
	} {
		b := New("x", Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95, WindowCalls: 100})
		playFailuresLast(b, c.failures, c.calls)
		if got := b.State(); got != c.want {
			t.Errorf("%d of %d failed: %s, want %s", c.failures, c.calls, got, c.want)
		}
	}
	// Over time each test has a tenth of the permitted error.
	for failures, want := range map[int]State{7: Closed, 8: Open} {
		b := New("x", Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95})
		playFailuresLast(b, failures, failures)
		if got := b.State(); got != want {
			t.Errorf("%d of %d failed: %s, want %s", failures, failures, got, want)
		}
	}
}

func playFailuresLast(b *Breaker, failures, calls int) {
	play(b, strings.Repeat("s", calls-failures)+strings.Repeat("f", failures))
}

// Successes from some seconds ago do not hide that a dependency is failing
// now: after ten seconds with 100 successful calls each, a dead one is
// detected within its first second.
func TestConfidenceLooksAtTheNewestPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: -1, FailureRate: 0.2, Confidence: 0.999})
		for range 1000 {
			play(b, "s")
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		play(b, strings.Repeat("f", 100))
		is(t, b, Open)
		last := b.History()[0]
		if last.Window != time.Second || last.Counts.Failures > 10 || last.Counts.Failures != last.Counts.Calls {
			t.Errorf("decided by %+v of the last %s, want some failures of the last second", last.Counts, last.Window)
		}
	})
}

// A single failure is never enough, whatever settings are valid.
func TestConfidenceNeverOpensOnOneOfOne(t *testing.T) {
	valid := 0
	for rate := 0.01; rate < 1; rate += 0.01 {
		for _, sure := range []float64{0.5, 0.8, 0.9, 0.95, 0.99, 0.999} {
			s := Settings{FailMax: -1, FailureRate: rate, Confidence: sure}
			if err := s.Validate(); err != nil {
				if !errors.Is(err, ErrSettings) {
					t.Fatal(err)
				}
				continue
			}
			valid++
			b := New("x", s)
			_ = b.Do(context.Background(), func(context.Context) error { return errX })
			if b.State() != Closed {
				t.Errorf("rate %g, confidence %g: 1 of 1 opens", rate, sure)
			}
		}
	}
	if valid < 300 {
		t.Errorf("only %d settings were valid", valid)
	}
}

// The two well-known problems of a fixed minimum volume, and how Confidence
// solves them.
func TestConfidenceFixesMinimumVolume(t *testing.T) {
	rate := Settings{FailMax: -1, FailureRate: 0.5, Window: time.Minute}
	sure := rate
	sure.Confidence = 0.95

	t.Run("19 of 19 failing never opens", func(t *testing.T) {
		for _, c := range []struct {
			s      Settings
			opened int // calls that ran
		}{{rate, 19}, {sure, 8}} {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", c.s)
				ran := 0
				for range 19 {
					_ = b.Do(t.Context(), func(context.Context) error { ran++; return errX })
					time.Sleep(time.Second)
				}
				if ran != c.opened {
					t.Errorf("%v: %d calls ran, want %d", c.s, ran, c.opened)
				}
			})
		}
	})
	t.Run("the first error after a quiet night opens", func(t *testing.T) {
		low := rate
		low.MinCalls = 1 // what people configure so that few calls can open the breaker at all
		for _, c := range []struct {
			s    Settings
			want State
		}{{low, Open}, {sure, Closed}} {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", c.s)
				for range 100 {
					_ = b.Do(t.Context(), nop)
				}
				time.Sleep(8 * time.Hour)
				_ = b.Do(t.Context(), func(context.Context) error { return errX })
				if got := b.State(); got != c.want {
					t.Errorf("%v: %s, want %s", c.s, got, c.want)
				}
			})
		}
	})
}

func ExampleSettings_confidence() {
	b := New("reports", Settings{FailMax: -1, FailureRate: 0.5, Confidence: 0.95})
	for n := 1; b.State() == Closed; n++ {
		_ = b.Do(context.Background(), func(context.Context) error { return errors.New("timeout") })
		fmt.Printf("%d of %d failed: %s\n", n, n, b.State())
	}
	// Output:
	// 1 of 1 failed: closed
	// 2 of 2 failed: closed
	// 3 of 3 failed: closed
	// 4 of 4 failed: closed
	// 5 of 5 failed: closed
	// 6 of 6 failed: closed
	// 7 of 7 failed: closed
	// 8 of 8 failed: open
}

func BenchmarkSurelyOver(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				SurelyOver(n/2+1, n, 0.5, 0.95)
			}
		})
	}
}
