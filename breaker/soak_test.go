package breaker_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Ten days of a call every two seconds with an outage every hour: each day is
// as the one before, to the call. No open time is a multiple of two seconds: a
// call at the instant of a timer would come before or after it by chance. Nothing
// grows.
func TestSoakTenDays(t *testing.T) {
	days := 10
	if testing.Short() {
		days = 4
	}
	synctest.Test(t, func(t *testing.T) {
		goroutines := runtime.NumGoroutine()
		type day struct{ trips, rejected, changes int }
		var first, today day
		b := breaker.New("x", breaker.Settings{
			FailMax: 5, FailureRate: 0.6, MinCalls: 4, Window: 20 * time.Second, SlowCall: time.Second, SlowRate: 0.9,
			ResetTimeout: 29700 * time.Millisecond, Ramp: 20 * time.Second, ResetBackoff: 2, ResetMax: 119300 * time.Millisecond,
		})
		b.AddListener(breaker.Listener{
			Rejected: func(*breaker.Breaker, error) { today.rejected++ },
			StateChange: func(_ *breaker.Breaker, tr breaker.Transition) {
				today.changes++
				if tr.To == breaker.Open {
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
						return errProof
					}
					return nil
				})
			}
			switch {
			case d == 0: // begins without an outage behind it
			case d == 1:
				first, heapThen = today, heap()
			case today != first:
				t.Errorf("day %d: %+v, the second was %+v", d+1, today, first)
			}
		}
		if first.trips < 24 || first.rejected == 0 {
			t.Errorf("a day had %+v, want a trip each hour: the test tests nothing", first)
		}
		if now := heap(); now > heapThen+1<<20 {
			t.Errorf("the heap grew from %d KB after a day to %d KB", heapThen>>10, now>>10)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines, %d at the start", n, goroutines)
		}
		t.Logf("%d days of %+v", days, first)
	})
}

// A million invented keys neither fill the memory nor wash out the key that
// fails (I8), whether they succeed, fail, or fail a little.
func TestSoakInventedKeys(t *testing.T) {
	keys := 1_000_000
	if testing.Short() || raceDetector {
		keys = 20_000
	}
	limits := breaker.SetOptions{MaxKeys: 1000, MaxEvidence: 2000}
	for _, c := range []struct {
		name  string
		s     breaker.Settings
		calls []func(context.Context) error // of each invented key
		slow  bool                          // to find room takes a look at every key
	}{
		{"succeed", breaker.Settings{}, []func(context.Context) error{proofOK}, false},
		{"fail", breaker.Settings{}, []func(context.Context) error{proofFail}, false},
		{"fail and recover", breaker.Settings{}, []func(context.Context) error{proofFail, proofOK}, false},
		{"open", breaker.Settings{FailMax: 2}, []func(context.Context) error{proofFail, proofFail}, false},
		{"fail in the window", breaker.Settings{WindowCalls: 20, FailureRate: 0.9}, []func(context.Context) error{proofFail, proofOK}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			s := breaker.NewSet[int]("s", c.s, limits)
			victim := c.s.FailMax
			if victim == 0 {
				victim = 5
			}
			for range victim - 1 {
				_ = s.Do(t.Context(), -1, proofFail)
			}
			if c.slow {
				keys /= 20
			}
			for k := range keys {
				for _, call := range c.calls {
					_ = s.Do(t.Context(), k, call)
				}
			}
			if got := s.Breaker(-1).FailCount(); got != victim-1 {
				t.Errorf("the failing key has %d failures, want %d", got, victim-1)
			}
			_ = s.Do(t.Context(), -1, proofFail)
			if got := s.Breaker(-1).State(); got != breaker.Open {
				t.Errorf("the failing key is %s, want open", got)
			}
			if n := len(s.Status()); n > limits.MaxKeys+limits.MaxEvidence+1 {
				t.Errorf("the set holds %d breakers", n)
			}
			if after := heap(); after > before+16<<20 {
				t.Errorf("the heap holds %d MB more than at the start", (after-before)>>20)
			}
			runtime.KeepAlive(s)
		})
	}
}
