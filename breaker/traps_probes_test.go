package breaker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Traps of other circuit breakers: probes and half-open, each with what was seen
// in that library. docs/traps.md has those that can be shown side by side.

// Resilience4j (#935, #1389, #903, #2028, #2093): permits taken, results never
// reported, and no limit on half-open by default.
func TestTrap_PermitsNeverReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{Probes: 10})
		b.HalfOpen(Order{})
		for range 10 {
			if _, err := b.Allow(); err != nil {
				t.Fatal(err)
			}
		}
		play(b, "s")
		is(t, b, HalfOpen)
		time.Sleep(time.Minute)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
	})
}

// Polly v8 (#1979, #1991): an exception that it does not handle wedged the
// probe; its fix takes it for a success and closes. It is not evidence.
func TestTrap_UnhandledOutcomeOfTheProbe(t *testing.T) {
	odd := errors.New("neither good nor bad")
	var outcome Outcome
	b := New("x", Settings{}, WithClassifier(func(_ context.Context, err error) Outcome {
		if errors.Is(err, odd) {
			return outcome
		}
		return Failure
	}))
	b.HalfOpen(Order{})
	for i := range 100 {
		if outcome = Ignored; i%2 > 0 {
			outcome = 99 // none that there is
		}
		if err := b.Do(t.Context(), func(context.Context) error { return odd }); !errors.Is(err, odd) {
			t.Fatalf("the probe got %v", err)
		}
		is(t, b, HalfOpen)
	}
	play(b, "s")
	is(t, b, Closed)
}

// Polly v8 asks for a probe's permit only on the way out of open: a probe that
// never returns wedges half-open.
func TestTrap_OneProbeForEachOpenPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, ProbeTimeout: time.Second})
		play(b, "f.")
		hang := make(chan struct{})
		for range 3 { // and again, and again
			go func() { _ = b.Do(t.Context(), func(context.Context) error { <-hang; return errX }) }()
			synctest.Wait()
			play(b, "s")
			is(t, b, HalfOpen)
			play(b, ".")
		}
		play(b, "s")
		is(t, b, Closed)
		close(hang)
		synctest.Wait()
		is(t, b, Closed) // the failures that came too late change nothing
	})
}

// opossum (#57, #276): a closing that is pending is lost, and too few calls for
// the volume threshold end the probe's judgement early.
func TestTrap_VolumeThresholdInHalfOpen(t *testing.T) {
	for _, s := range []Settings{
		{FailMax: -1, FailureRate: 0.5, MinCalls: 100},
		{FailMax: -1, FailureRate: 0.5, WindowCalls: 100, MinCalls: 100},
	} {
		b := New("x", s)
		b.HalfOpen(Order{})
		play(b, "f")
		is(t, b, Open)
		b.HalfOpen(Order{})
		play(b, "s")
		is(t, b, Closed)
	}
}

// opossum (#385): open(), called twice, cancels the timer of the first and sets
// none: it stays open.
func TestTrap_OpenedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{ResetTimeout: time.Minute})
		b.Open(Order{})
		time.Sleep(30 * time.Second)
		b.Open(Order{})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
			t.Errorf("the first open time ended the second: %v", err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
	})
}

// Hystrix (pull request 1621): unsubscribing from a probe leaves it half-open.
func TestTrap_CallerLeavesTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		play(b, "f.")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		is(t, b, HalfOpen)
		play(b, "s")
		is(t, b, Closed)
	})
}

// Sentinel (#1638): a probe that a later rule blocks is never completed. Here
// the later rule is another breaker within the call.
func TestTrap_ProbeBlockedByALaterRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer := New("outer", Settings{FailMax: 1, ResetTimeout: time.Second})
		inner := New("inner", Settings{FailMax: 1, ResetTimeout: 10 * time.Second})
		call := func() error {
			return outer.Do(t.Context(), func(ctx context.Context) error { return inner.Do(ctx, nop) })
		}
		inner.Open(Order{})
		for range 9 {
			_ = call()
			play(outer, ".")
		}
		play(outer, "..")
		if err := call(); err != nil {
			t.Errorf("in the end: %v", err)
		}
		is(t, outer, Closed)
	})
}

// OmniRoute (#13836): a probe that never settles; half-open for six days,
// 49,607 calls rejected.
func TestTrap_SixDaysHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Minute})
		play(b, "f")
		time.Sleep(time.Minute)
		synctest.Wait()
		hang := make(chan struct{})
		go func() { _ = b.Do(t.Context(), func(context.Context) error { <-hang; return nil }) }()
		synctest.Wait()
		rejected := 0
		for b.State() != Closed && rejected < 1000 {
			if err := b.Do(t.Context(), nop); err != nil {
				rejected++
			}
			time.Sleep(10 * time.Second)
		}
		if rejected != 6 { // a minute's
			t.Errorf("%d calls were rejected, want 6", rejected)
		}
		close(hang)
	})
}

// Ballerina (#9595): with fewer calls than the volume threshold it never
// leaves open.
func TestTrap_NeverLeavesOpenAtLowTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, FailureRate: 0.5, MinCalls: 1000, ResetTimeout: time.Minute})
		play(b, "f")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
	})
}

// gobreaker stays half-open forever after one Goexit, or one hung probe:
// "12x Timeout later: state=half-open err=too many requests".
func TestTrap_GoexitWedgesHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		play(b, "f.")
		elsewhere(func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) })
		time.Sleep(12 * time.Second)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
	})
}

func TestTrap_HungProbeWedgesHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, ProbeTimeout: 10 * time.Second})
		hang := make(chan struct{})
		play(b, "f.")
		go func() { _ = b.Do(t.Context(), func(context.Context) error { <-hang; return nil }) }()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
		close(hang)
		synctest.Wait()
		is(t, b, Closed)
	})
}

// In failsafe-go, resile, go-redis and sentinel a probe that panics, or
// an entry that is never exited, holds its place for good.
func TestTrap_PanickingProbeWedgesHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 3, SuccessThreshold: 3})
		play(b, "f.")
		for range 50 { // more than there are places
			func() {
				defer func() { _ = recover() }()
				_ = b.Do(t.Context(), func(context.Context) error { panic("bug") })
			}()
			play(b, ".")
		}
		play(b, "sss")
		is(t, b, Closed)
	})
}

func TestTrap_EntryNeverExited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 2, ProbeTimeout: time.Second})
		play(b, "f.")
		_, _ = b.Allow()
		_, _ = b.Allow()
		if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
			t.Fatalf("a third probe: %v", err)
		}
		play(b, ".s")
		is(t, b, Closed)
	})
}

// hoglet's rejections take a place and do not give it back: ten of them,
// and a recovered breaker admits nothing. Its Goexit counts as a success.
func TestTrap_RejectionsUseUpPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 5, SuccessThreshold: 5})
		play(b, "f")
		for range 100 {
			_, _ = b.Allow()
		}
		play(b, ".")
		var permits []Permit
		for range 20 {
			if p, err := b.Allow(); err == nil {
				permits = append(permits, p)
			}
		}
		if len(permits) != 5 {
			t.Fatalf("%d probes admitted, want 5", len(permits))
		}
		for i := range permits {
			permits[i].Done(nil)
		}
		is(t, b, Closed)
	})
}

func TestTrap_GoexitProbeCloses(t *testing.T) {
	b := New("x", Settings{})
	b.HalfOpen(Order{})
	elsewhere(func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) })
	is(t, b, Open)
}

// Results of earlier calls: in failsafe-go they free permits and close
// ("permits 5 -> 9 in flight"), in hystrix-go a late success closes within the
// sleep window, in autobreaker a failure of the last half-open opens the next.
func TestTrap_StaleResults(t *testing.T) {
	s := Settings{FailMax: 1, Probes: 5, SuccessThreshold: 5, ResetTimeout: time.Minute}
	synctest.Test(t, func(t *testing.T) {
		b := New("x", s)
		var old []Permit
		for range 10 {
			p, _ := b.Allow()
			old = append(old, p)
		}
		play(b, "f")
		old[0].Done(nil)
		is(t, b, Open) // hystrix-go
		time.Sleep(time.Minute)
		synctest.Wait()
		var probes []Permit
		for range 5 {
			p, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			probes = append(probes, p)
		}
		for i := 1; i < 9; i++ {
			old[i].Done(nil)
		}
		is(t, b, HalfOpen) // failsafe-go
		if _, err := b.Allow(); !errors.Is(err, ErrOpen) {
			t.Errorf("stale results gave a sixth probe its place: %v", err)
		}
		probes[0].Done(errX)
		is(t, b, Open)
		time.Sleep(time.Minute)
		synctest.Wait()
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		probes[1].Done(errX)
		old[9].Done(errX)
		is(t, b, HalfOpen) // autobreaker
		p.Ignore()
	})
}

// sentinel says open before it has set the time of the next retry, so that
// a call in between probes at once.
func TestTrap_ProbeInTheInstantOfOpening(t *testing.T) {
	for range 300 {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Hour})
		var ran atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					p, err := b.Allow()
					if err != nil {
						continue
					}
					if p.tag.probe() != 0 {
						ran.Add(1)
					}
					p.Done(errX)
				}
			})
		}
		wg.Wait()
		if ran.Load() > 0 || len(b.History()) != 1 {
			t.Fatalf("%d probes within an open time of an hour; history %+v", ran.Load(), b.History())
		}
	}
}

// mercari, eapache, goresilience, ion and sentinel admit every call in
// half-open: "500 callers, 500 executed".
func TestTrap_HerdInHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		play(b, "f.")
		var ran atomic.Int64
		for range 500 {
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error { ran.Add(1); time.Sleep(time.Second / 2); return nil })
			}()
		}
		synctest.Wait()
		if n := ran.Load(); n != 1 {
			t.Errorf("%d of 500 callers ran, want 1", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		is(t, b, Closed)
	})
}
