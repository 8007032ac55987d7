package breaker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stressTime is how long the stress tests run: SWITCHGEAR_STRESS, such as 60s, or
// one second with SWITCHGEAR_LONG, or less.
func stressTime(t *testing.T) time.Duration {
	t.Helper()
	if text := os.Getenv("SWITCHGEAR_STRESS"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("SWITCHGEAR_STRESS: %v", err)
		}
		return d
	}
	if os.Getenv("SWITCHGEAR_LONG") != "" && !testing.Short() {
		return time.Second
	}
	return 300 * time.Millisecond
}

// stressSeed is SWITCHGEAR_SEED, or a different one each time.
func stressSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SWITCHGEAR_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SWITCHGEAR_SEED: %v", err)
		}
	}
	t.Logf("SWITCHGEAR_SEED=%d", seed)
	return seed
}

// tally counts what callers saw and what listeners received.
type stressCount struct {
	began, succeeded, failed, ignored, rejected     atomic.Int64 // by callers
	heardBegin, heardSuccess, heardFail, heardTurns atomic.Int64 // by the listener

	mu       sync.Mutex
	received []Transition
}

func (c *stressCount) listener() Listener {
	return Listener{
		BeforeCall: func(context.Context, *Breaker) { c.heardBegin.Add(1) },
		Success:    func(*Breaker) { c.heardSuccess.Add(1) },
		Failure:    func(*Breaker, error) { c.heardFail.Add(1) },
		Rejected:   func(*Breaker, error) { c.heardTurns.Add(1) },
		StateChange: func(_ *Breaker, t Transition) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.received = append(c.received, t)
		},
	}
}

// call makes one call that ends in a random way.
func (c *stressCount) call(b *Breaker, rng *rand.Rand, badness int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ran := false
	defer func() { _ = recover() }()
	err := b.Do(ctx, func(context.Context) error {
		ran = true
		c.began.Add(1)
		if rng.IntN(8) == 0 {
			runtime.Gosched()
		}
		switch n := rng.IntN(100); {
		case n < badness/2:
			c.failed.Add(1)
			return errX
		case n < badness:
			c.failed.Add(1)
			panic(errX)
		case n >= 97:
			cancel()
			c.ignored.Add(1)
			return context.Canceled
		}
		c.succeeded.Add(1)
		return nil
	})
	if !ran {
		if !errors.Is(err, ErrOpen) {
			panic(fmt.Sprintf("a call that did not run returned %v", err))
		}
		c.rejected.Add(1)
	}
}

// check compares the counts after everything has ended.
func (c *stressCount) check(t *testing.T) {
	t.Helper()
	for _, x := range []struct {
		what      string
		got, want int64
	}{
		{"calls with an outcome", c.succeeded.Load() + c.failed.Load() + c.ignored.Load(), c.began.Load()},
		{"BeforeCall", c.heardBegin.Load(), c.began.Load()},
		{"Success", c.heardSuccess.Load(), c.succeeded.Load()},
		{"Failure", c.heardFail.Load(), c.failed.Load()},
		{"Rejected", c.heardTurns.Load(), c.rejected.Load()},
	} {
		if x.got != x.want {
			t.Errorf("%s: %d, want %d", x.what, x.got, x.want)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, tr := range c.received {
		if i > 0 && tr.Version <= c.received[i-1].Version {
			t.Fatalf("transition %d received is of version %d, after version %d", i, tr.Version, c.received[i-1].Version)
		}
	}
}

// Whatever 100 goroutines do to a breaker at once, each admitted call has one
// outcome and each event is delivered once, transitions in order; and nothing
// is left behind.
func TestStressRandomEverything(t *testing.T) {
	seed, until := stressSeed(t), time.Now().Add(stressTime(t))
	before, heapBefore := runtime.NumGoroutine(), heapInUse()
	var c stressCount
	s := Settings{
		FailMax: 8, FailureRate: 0.8, WindowCalls: 50, SuccessThreshold: 2, Probes: 2, Ramp: time.Millisecond,
		ResetTimeout: 2 * time.Millisecond, ProbeTimeout: 2 * time.Millisecond, ResetJitter: 0.5,
	}
	b := New("x", s, WithListener(c.listener()))
	var wg sync.WaitGroup
	var calls atomic.Int64
	for i := range 100 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(until) {
				calls.Add(1)
				if i < 90 {
					c.call(b, rng, 30*(i%3))
				} else {
					c.meddle(t, b, s, rng)
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	b.Release(Order{})
	b.Close(Order{})
	c.check(t)
	st := b.Status()
	if n := len(c.received); n == 0 || c.received[n-1].Version != st.Transition.Version {
		t.Errorf("the last transition received is not the last recorded (%d received)", n)
	}
	if st.Panics != 0 || st.State != Closed {
		t.Errorf("in the end: %+v", st)
	}
	settleDown(t, before)
	t.Logf("%d steps, %d calls ran, %d were rejected, %d transitions", calls.Load(), c.began.Load(), c.rejected.Load(), len(c.received))
	c.received = nil
	if after := heapInUse(); after > heapBefore+4<<20 {
		t.Errorf("the heap holds %d KB, %d KB at the start", after>>10, heapBefore>>10)
	}
	runtime.KeepAlive(b)
}

// meddle does one thing that operators and programs do.
func (c *stressCount) meddle(t *testing.T, b *Breaker, s Settings, rng *rand.Rand) {
	why := Order{Actor: "stress"}
	if rng.IntN(2) == 0 {
		why.For = time.Duration(1+rng.IntN(1000)) * time.Microsecond
	}
	switch rng.IntN(12) {
	case 0:
		b.Open(why)
	case 1:
		b.Close(why)
	case 2:
		b.HalfOpen(why)
	case 3:
		b.ForceOpen(why)
	case 4:
		b.ForceClosed(why)
	case 5, 6:
		b.Release(why)
	case 7:
		s.FailMax, s.Probes = 1+rng.IntN(9), 1+rng.IntN(3)
		s.WindowCalls = 40 + 10*rng.IntN(3)
		if err := b.Update(s); err != nil {
			t.Error(err)
		}
	case 8:
		_ = b.Status()
	case 9:
		_ = b.History()
	case 10:
		remove := b.AddListener(Listener{Failure: func(*Breaker, error) {}})
		runtime.Gosched()
		remove()
	case 11:
		c.forget(b, rng)
	}
}

// forget is a caller that loses every other permit.
func (c *stressCount) forget(b *Breaker, rng *rand.Rand) {
	p, err := b.Allow()
	if err != nil {
		c.rejected.Add(1)
		return
	}
	c.began.Add(1)
	c.ignored.Add(1)
	if rng.IntN(2) == 0 {
		p.Ignore()
	}
}

// settleDown waits until there are as many goroutines as before. Timers need
// no goroutine, so none may be left.
func settleDown(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d at the start", runtime.NumGoroutine(), before)
		}
	}
}

// No failure is lost: FailMax failures at once open the breaker in whatever
// order they end, and one less does not (I11).
func TestStressNoFailureLost(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	const failMax = 16
	for round := range rounds {
		b := New("x", Settings{FailMax: failMax})
		failAtOnce(t, b, failMax-1)
		if b.FailCount() != failMax-1 || b.State() != Closed {
			t.Fatalf("round %d: %d of %d failures counted, %s", round, b.FailCount(), failMax-1, b.State())
		}
		failAtOnce(t, b, 1)
		if b.State() != Open {
			t.Fatalf("round %d: %s after %d failures", round, b.State(), failMax)
		}
	}
}

func failAtOnce(t *testing.T, b *Breaker, n int) {
	var ready, wg sync.WaitGroup
	ready.Add(n)
	for range n {
		wg.Go(func() {
			_ = b.Do(t.Context(), func(context.Context) error {
				ready.Done()
				ready.Wait()
				return errX
			})
		})
	}
	wg.Wait()
}

// There are never more than Probes probes in flight (I3), counted by the
// probes themselves: their leases outlast the test, and half of them give
// theirs back without evidence.
func TestStressProbesNeverOverTheLimit(t *testing.T) {
	const limit = 3
	seed, until := stressSeed(t), time.Now().Add(stressTime(t)/2)
	b := New("x", Settings{
		FailMax: 1, Probes: limit, SuccessThreshold: 1 << 30,
		ResetTimeout: time.Millisecond, ProbeTimeout: time.Hour,
	}, WithClassifier(func(context.Context, error) Outcome { return Ignored }))
	b.HalfOpen(Order{})
	var in, most, rounds atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(until) {
				runtime.Gosched()
				_ = b.Do(t.Context(), func(context.Context) error {
					n := in.Add(1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					runtime.Gosched()
					rounds.Add(1)
					in.Add(-1)
					if rng.IntN(2) == 0 {
						return errX
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got > limit {
		t.Errorf("%d probes at once, want at most %d", got, limit)
	}
	if rounds.Load() < 100 {
		t.Errorf("only %d probes", rounds.Load())
	}
	t.Logf("%d probes, at most %d at once", rounds.Load(), most.Load())
}
