package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Traps of other circuit breakers: what they count, each with what was seen in
// that library. docs/traps.md has those that can be shown side by side.

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

// failsafe-go, cep21, mercari, goresilience and rubyist do not count a
// panic: "100 panics with threshold 1: state=closed failures=0".
func TestTrap_PanicsAreNotCounted(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":     func() { panic("bug") },
		"nil panic": func() { panic(nil) },
		"Goexit":    runtime.Goexit,
	} {
		b := New("x", Settings{FailMax: 5})
		ran := 0
		for range 100 {
			elsewhere(func() {
				defer func() { _ = recover() }()
				_ = b.Do(t.Context(), func(context.Context) error { ran++; end(); return nil })
			})
		}
		if ran != 5 || b.State() != Open {
			t.Errorf("%s: %d calls ran, %s", name, ran, b.State())
		}
	}
}

// gobreaker's README ratio, over counts that are never cleared: "after
// 100000 successes it took 150000 consecutive failures to open". The same
// counters wrap after 2^32 calls.
func TestTrap_RatioDrownsInHistory(t *testing.T) {
	for _, s := range []Settings{
		{FailMax: -1, FailureRate: 0.6},
		{FailMax: -1, FailureRate: 0.6, WindowCalls: 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", s)
			for range 100_000 {
				_ = b.Do(t.Context(), nop)
				if b.FailCount() > 0 {
					t.Fatal("not healthy")
				}
			}
			time.Sleep(11 * time.Second)
			synctest.Wait()
			ran := 0
			for range 1000 {
				_ = b.Do(t.Context(), func(context.Context) error { ran++; return errX })
			}
			if ran > 100 {
				t.Errorf("%v: it took %d failures to open", s, ran)
			}
		})
	}
}

func TestTrap_CountersWrap(t *testing.T) {
	b := New("x", Settings{FailMax: -1, SlowCall: time.Hour, WindowCalls: 10})
	b.win.Load().last.pos.Store(1<<32 - 5)
	b.win.Load().last.cleanAt.Store(1 << 33)
	play(b, "sssfsssfsss")
	if got := b.Status().Window; got != (Counts{10, 2, 0, 2}) {
		t.Errorf("past 2^32 calls the window holds %+v", got)
	}
	play(New("x", Settings{FailMax: -1}), "f") // and failures in a row stay within their bits:
	a := auto{units: maxFailCount}
	if to, _ := next(a, New("x", Settings{FailMax: -1}).settings(), &event{kind: evFailure}); to.units != maxFailCount {
		t.Errorf("%d failures in a row and one more are %d", maxFailCount, to.units)
	}
}

// gobreaker's interval clears the failures in a row with the window: "40
// consecutive failures at 15ms with Interval=50ms: closed".
func TestTrap_ConsecutiveFailuresDecay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 40, FailureRate: 1, Window: 50 * time.Millisecond, MinCalls: 1000})
		for range 40 {
			is(t, b, Closed)
			play(b, "f")
			time.Sleep(15 * time.Millisecond)
		}
		is(t, b, Open)
	})
}

// gobreaker's Requests include calls in flight: "100 hung + 90 failed of 90
// finished at a 50 % policy: closed".
func TestTrap_CallsInFlightDilute(t *testing.T) {
	for _, s := range []Settings{
		{FailMax: -1, FailureRate: 0.5, MinCalls: 90},
		{FailMax: -1, FailureRate: 0.5, MinCalls: 90, WindowCalls: 1000},
	} {
		b := New("x", s)
		for range 100 {
			if _, err := b.Allow(); err != nil {
				t.Fatal(err)
			}
		}
		for range 90 {
			is(t, b, Closed)
			play(b, "f")
		}
		is(t, b, Open)
	}
}

// resty counts transport errors in half-open only: "50 connection-refused
// errors with threshold 3: open=false". A server that is down never opens it.
func TestTrap_ServerDownNeverOpens(t *testing.T) {
	b := New("x", Settings{FailMax: 3})
	ran := 0
	for range 50 {
		_ = b.Do(t.Context(), func(context.Context) error { ran++; return &netError{} })
	}
	if ran != 3 {
		t.Errorf("%d calls ran, want 3", ran)
	}
}

type netError struct{}

func (*netError) Error() string { return "dial tcp 127.0.0.1:1: connection refused" }

func (*netError) Temporary() bool { return true }

// failsafehttp opens on "3 user-cancelled requests to a healthy server",
// whether reported as context.Canceled or as the cause.
func TestTrap_CallersCancelOpens(t *testing.T) {
	left := errors.New("the user left")
	b := New("x", Settings{FailMax: 1, FailureRate: 0.1, MinCalls: 1})
	for range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(left)
		_ = b.Do(ctx, func(ctx context.Context) error { return ctx.Err() })
		_ = b.Do(ctx, func(ctx context.Context) error { return fmt.Errorf("get: %w", context.Cause(ctx)) })
	}
	is(t, b, Closed)
	if s := b.Status(); s.FailCount != 0 || s.Window != (Counts{}) {
		t.Errorf("counted: %+v", s)
	}
	// But a cancel of the dependency's own making, on a context that lives, is
	// its failure.
	_ = b.Do(t.Context(), func(context.Context) error { return context.Canceled })
	is(t, b, Open)
}

// autobreaker and cep21 overlook the caller's deadline: "200/200 calls time
// out via ctx deadline -> closed".
func TestTrap_DeadlinesNeverOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 5})
		ran := 0
		for range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = b.Do(ctx, func(ctx context.Context) error { ran++; <-ctx.Done(); return ctx.Err() })
			cancel()
		}
		if ran != 5 {
			t.Errorf("%d calls ran, want 5", ran)
		}
	})
}

// rubyist compares with ==: "ConsecutiveBreaker(2): 3 of 20000 rounds of 4
// concurrent failures never trip".
func TestTrap_LimitJumpedOver(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	b := New("x", Settings{FailMax: 2})
	for range rounds {
		var wg sync.WaitGroup
		for range 4 {
			p, _ := b.Allow()
			wg.Go(func() { p.Done(errX) })
		}
		wg.Wait()
		is(t, b, Open)
		b.Close(Order{})
	}
	a, d := next(auto{units: 10}, New("x", Settings{FailMax: 2}).settings(), &event{kind: evFailure})
	if !d.moved || a.state != Open {
		t.Error("a limit that has been passed is not met")
	}
}

// hystrix-go counts its own rejections as errors: "backend healthy, 20
// concurrency rejections only: circuit open=true".
func TestTrap_RejectionsAreCounted(t *testing.T) {
	b := New("x", Settings{FailureRate: 0.1, MinCalls: 1, FailMax: 3})
	b.HalfOpen(Order{})
	p, _ := b.Allow()
	for range 1000 {
		if err := b.Do(t.Context(), nop); !errors.Is(err, ErrOpen) {
			t.Fatal(err)
		}
	}
	p.Done(nil)
	is(t, b, Closed)
	b.ForceOpen(Order{})
	for range 1000 {
		_ = b.Do(t.Context(), nop)
	}
	b.Release(Order{})
	is(t, b, Closed)
	if s := b.Status(); s.FailCount != 0 || s.Window != (Counts{}) {
		t.Errorf("rejections were counted: %+v", s)
	}
}

// eapache opens on 3 errors of 300,000 calls, schigh on 1 of 10,001, hoglet
// on 1 of 1.
func TestTrap_FewErrorsOfManyOpen(t *testing.T) {
	for _, s := range []Settings{{}, {FailureRate: 0.1}, {FailureRate: 0.1, WindowCalls: 1000}, {FailureRate: 0.1, Confidence: 0.95}} {
		b := New("x", s)
		play(b, "f")
		for i := range 100_000 {
			err := error(nil)
			if i%33_000 == 16_000 {
				err = errX
			}
			if got := b.Do(t.Context(), func(context.Context) error { return err }); !errors.Is(got, err) {
				t.Fatalf("%v: call %d got %v", s, i, got)
			}
		}
		is(t, b, Closed)
	}
}

// gobreaker asks IsExcluded about nil, and a panic in it records the call
// twice: "Requests:1 TotalFailures:1".
func TestTrap_ClassifierOfNil(t *testing.T) {
	asked := 0
	check := func(err error) bool { asked++; return err.Error() == "not found" }
	for _, opt := range []Option{
		WithExcluded(ErrorIf(check)),
		WithClassifier(func(_ context.Context, err error) Outcome {
			if check(err) {
				return Success
			}
			return Failure
		}),
	} {
		b := New("x", Settings{FailMax: -1, SlowCall: time.Hour}, opt)
		asked = 0
		play(b, "ssf")
		if s := b.Status(); asked != 1 || s.Window != (Counts{3, 1, 0, 1}) || s.Panics != 0 {
			t.Errorf("asked %d times, window %+v, %d panics", asked, s.Window, s.Panics)
		}
	}
}

// gobreaker's done, called six times after one Allow, opens the breaker.
func TestTrap_DoneCountsEachTime(t *testing.T) {
	b := New("x", Settings{FailMax: 2})
	p, _ := b.Allow()
	for range 6 {
		p.Done(errX)
	}
	if n := b.FailCount(); n != 1 {
		t.Errorf("%d failures of one call", n)
	}
	b.HalfOpen(Order{})
	p, _ = b.Allow()
	copied := p // the same permit
	p.Ignore()
	copied.Done(nil)
	is(t, b, HalfOpen)
}
