package breaker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Traps of breakers in other languages: how each of them got stuck half-open
// (our survey's section 3.2, all rows), and what else was reproduced there.

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
// probe; its fix takes it for a success and closes. It is no evidence.
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

// Hystrix (pull request 1621): whoever unsubscribes from a probe leaves it half-open.
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

// Resilience4j (#1754): ten errors, then ten successes: it opens on the 20th
// call, a success, because then there are enough.
func TestTrap_OpensOnASuccess(t *testing.T) {
	for _, s := range []Settings{
		{FailMax: -1, FailureRate: 0.5, MinCalls: 20},
		{FailMax: -1, FailureRate: 0.5, MinCalls: 20, WindowCalls: 100},
		{FailMax: -1, FailureRate: 0.5, Confidence: 0.99999},
	} {
		b := New("x", s)
		play(b, "ffffffffffssssssssssssssss")
		is(t, b, Closed)
	}
}

// Resilience4j: a misspelt name makes a breaker, forces it open and answers
// "successfully".
func TestTrap_OrderToAMisspeltName(t *testing.T) {
	var m Manager
	m.Breaker("payments")
	_, err := m.Apply("paymnets", Order{Verb: VerbForceOpen})
	var unknown *UnknownError
	if !errors.As(err, &unknown) || len(unknown.Near) != 1 || unknown.Near[0] != "payments" {
		t.Errorf("got %v", err)
	}
	if n := len(m.Status()); n != 1 {
		t.Errorf("%d breakers, want the 1 there was", n)
	}
}

// Resilience4j: a forced-open breaker tells of no calls, so that the noisiest
// state is the quietest.
func TestTrap_ForcedOpenIsSilent(t *testing.T) {
	rejected := 0
	b := New("x", Settings{}, WithListener(Listener{Rejected: func(*Breaker, error) { rejected++ }}))
	b.ForceOpen(Order{})
	play(b, "sss")
	if rejected != 3 {
		t.Errorf("%d rejections were told, want 3", rejected)
	}
}

// pybreaker: its lock is held during the call: calls run one by one, and an
// operator's open() waits for those that hang.
func TestTrap_LockAroundTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{})
		began := time.Now()
		for range 100 {
			go func() { _ = b.Do(t.Context(), func(context.Context) error { time.Sleep(time.Minute); return nil }) }()
		}
		synctest.Wait()
		b.Open(Order{Actor: "ana"})
		_ = b.Status()
		if d := time.Since(began); d != 0 {
			t.Errorf("the order waited %s", d)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := time.Since(began); d != time.Minute {
			t.Errorf("100 calls of a minute took %s", d)
		}
	})
}
