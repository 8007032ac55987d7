package breaker

import (
	"context"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Ten days of a call every two seconds with an outage every hour: each day is
// like the one before, to the call. No open time is a multiple of two seconds:
// a call at the instant of a timer would come before or after it by chance.
// Nothing grows.
func TestSoakTenDays(t *testing.T) {
	days := 10
	if testing.Short() {
		days = 4
	}
	synctest.Test(t, func(t *testing.T) {
		goroutines := runtime.NumGoroutine()
		type day struct{ trips, rejected, changes int }
		var first, today day
		b := New("x", Settings{
			FailMax: 5, FailureRate: 0.6, MinCalls: 4, Window: 20 * time.Second, SlowCall: time.Second, SlowRate: 0.9,
			ResetTimeout: 29700 * time.Millisecond, Ramp: 20 * time.Second, ResetBackoff: 2, ResetMax: 119300 * time.Millisecond,
		})
		b.AddListener(Listener{
			Rejected: func(*Breaker, error) { today.rejected++ },
			StateChange: func(_ *Breaker, tr Transition) {
				today.changes++
				if tr.To == Open {
					today.trips++
				}
			},
		})
		start := time.Now()
		var heapThen uint64
		for d := range days {
			today = day{}
			for range 24 * 1800 {
				time.Sleep(2 * time.Second)
				outage := time.Since(start)%time.Hour > 50*time.Minute
				_ = b.Do(t.Context(), func(context.Context) error {
					if outage {
						return errX
					}
					return nil
				})
			}
			switch {
			case d == 0: // begins without an outage behind it
			case d == 1:
				first, heapThen = today, heapInUse()
			case today != first:
				t.Errorf("day %d: %+v, the second was %+v", d+1, today, first)
			}
		}
		if first.trips < 24 || first.rejected == 0 {
			t.Errorf("a day had %+v, want a trip each hour: the test tests nothing", first)
		}
		if now := heapInUse(); now > heapThen+1<<20 {
			t.Errorf("the heap grew from %d KB after a day to %d KB", heapThen>>10, now>>10)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines, %d at the start", n, goroutines)
		}
		t.Logf("%d days of %+v", days, first)
	})
}

// A million invented keys neither fill the memory, nor displace real keys that
// fail, nor cause real keys that do not fail to be rejected (I8), whether each
// is called once or again and again.
func TestSoakInventedKeys(t *testing.T) {
	keys := 10_000
	if os.Getenv("SWITCHGEAR_EXPLORE") != "" {
		keys = 1_000_000
	}
	limits := SetOptions{MaxKeys: 1000, MaxEvidence: 3000, MaxHistory: 1000}
	fail5 := []func(context.Context) error{broken, broken, broken, broken, broken}
	for _, c := range []struct {
		name  string
		s     Settings
		calls []func(context.Context) error // of each invented key
	}{
		{"succeed", Settings{}, []func(context.Context) error{nop}},
		{"fail", Settings{}, []func(context.Context) error{broken}},
		{"fail and recover", Settings{}, []func(context.Context) error{broken, nop}},
		{"open", Settings{}, fail5},
		{"fail in the window", Settings{WindowCalls: 20, FailureRate: 0.9}, []func(context.Context) error{broken, nop}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heapInUse()
			s := NewSet[int]("s", c.s, limits)
			real := min(1000, keys/50) // the odd ones fail
			invented := keys / len(c.calls)
			for k := range invented {
				for _, call := range c.calls {
					_ = s.Do(t.Context(), k, call)
				}
				r := k % real
				if err := s.Do(t.Context(), -1-r, []func(context.Context) error{nop, broken}[r%2]); r%2 == 0 && err != nil {
					t.Fatalf("a healthy key was rejected: %v", err)
				}
				// The sweeper may be evicting a breaker in use, which is then
				// restored.
				if n := s.Len(); n > limits.MaxKeys+limits.MaxEvidence+8 {
					t.Fatalf("the set holds %d breakers", n)
				}
			}
			open := 0
			for r := 1; r < real; r += 2 {
				if b, ok := s.Lookup(-1 - r); ok && b.State() == Open {
					open++
				}
			}
			t.Logf("%d of %d failing keys are open, %d gave way", open, real/2, s.Overflowed())
			if rounds := invented / real; rounds >= 6 && open < real/2*99/100 {
				t.Errorf("%d of %d failing keys are open", open, real/2)
			}
			if after := heapInUse(); after > before+16<<20 {
				t.Errorf("the heap holds %d MB more than at the start", (after-before)>>20)
			}
			runtime.KeepAlive(s)
		})
	}
}
