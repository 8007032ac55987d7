package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

var (
	errDown = errors.New("connection refused")
	ctx     = context.Background()
)

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errDown }

// failTimes makes n failing calls and reports how many ran.
func failTimes(b *breaker.Breaker, n int) (ran int) {
	for range n {
		_ = b.Do(ctx, func(context.Context) error { ran++; return errDown })
	}
	return ran
}

func wantState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("state of %s is %s, want %s; history: %+v", b.ID(), got, want, b.History())
	}
}

func TestOpensAfterFailMaxConsecutiveFailures(t *testing.T) {
	for _, test := range []struct {
		failMax int
		calls   string // f a failure, s a success
		want    breaker.State
		ran     int
	}{
		{0, "ffff", breaker.Closed, 4},
		{0, "fffff", breaker.Open, 5},
		{0, "ffffsf", breaker.Closed, 6},
		{0, "ffffsfffff", breaker.Open, 10},
		{1, "f", breaker.Open, 1},
		{1, "sssf", breaker.Open, 4},
		{3, "fffff", breaker.Open, 3},
		{-1, strings.Repeat("f", 1000), breaker.Closed, 1000},
	} {
		t.Run(fmt.Sprintf("%d/%.12s", test.failMax, test.calls), func(t *testing.T) {
			b := breaker.New("db", breaker.Settings{FailMax: test.failMax})
			ran := 0
			for _, c := range test.calls {
				_ = b.Do(ctx, func(context.Context) error {
					ran++
					if c == 'f' {
						return errDown
					}
					return nil
				})
			}
			wantState(t, b, test.want)
			if ran != test.ran {
				t.Errorf("%d calls ran, want %d", ran, test.ran)
			}
		})
	}
}

func TestRejectionSaysWhoWhyAndUntilWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("db", breaker.Settings{ResetTimeout: 30 * time.Second})
		failTimes(b, 5)
		time.Sleep(10 * time.Second)
		err := b.Do(ctx, succeed)
		if !errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("error %v does not match ErrOpen", err)
		}
		var open *breaker.OpenError
		if !errors.As(err, &open) {
			t.Fatalf("error %v is no *OpenError", err)
		}
		if open.Name != "db" || open.State != breaker.Open || open.RetryAfter() != 20*time.Second {
			t.Errorf("got %+v with RetryAfter %s, want db, open, 20s", open, open.RetryAfter())
		}
		if open.Transition == nil || open.Transition.Cause != breaker.CauseConsecutive || open.Transition.Fails != 5 {
			t.Errorf("cause is %+v, want five consecutive failures", open.Transition)
		}
		if want := "db: circuit breaker is open: 5 failures in a row; last error: connection refused"; err.Error() != want {
			t.Errorf("text is %q, want %q", err, want)
		}
		if again := b.Do(ctx, succeed); again != err {
			t.Error("two rejections of one open period are two values, want one shared")
		}
	})
}

// The call that trips the breaker ran, and says what it met.
func TestTrippingCallReturnsItsOwnError(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 1})
	if err := b.Do(ctx, fail); err != errDown {
		t.Errorf("the tripping call returned %v, want its own error", err)
	}
	if err := b.Do(ctx, fail); errors.Is(err, errDown) || !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a rejected call returned %v, want ErrOpen alone", err)
	}
}

func TestErrorOnTripMatchesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("db", breaker.Settings{FailMax: 2}, breaker.WithErrorOnTrip())
		if err := b.Do(ctx, fail); err != errDown {
			t.Errorf("a failure that does not trip returned %v", err)
		}
		trips := func() {
			t.Helper()
			err := b.Do(ctx, fail)
			var open *breaker.OpenError
			if !errors.Is(err, breaker.ErrOpen) || !errors.Is(err, errDown) || !errors.As(err, &open) {
				t.Errorf("the tripping call returned %v, want both its error and the open error", err)
			}
		}
		trips()
		time.Sleep(time.Minute)
		synctest.Wait()
		trips() // the failing trial is one too
	})
}

func TestOpenErrorReplaced(t *testing.T) {
	errBusy := errors.New("try the queue")
	b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithOpenError(func(e *breaker.OpenError) error {
		return fmt.Errorf("%w: %w", errBusy, e)
	}))
	failTimes(b, 1)
	if err := b.Do(ctx, succeed); !errors.Is(err, errBusy) || !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("got %v, want the replacement and what it wraps", err)
	}
	if _, err := b.Allow(); !errors.Is(err, errBusy) {
		t.Errorf("Allow returned %v, want the replacement", err)
	}
}

func TestProbeDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("db", breaker.Settings{FailMax: 1, ResetTimeout: time.Minute})
		failTimes(b, 1)
		time.Sleep(time.Minute - time.Nanosecond)
		if ran := failTimes(b, 1); ran != 0 {
			t.Fatal("a call ran before the open time was over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if ran := failTimes(b, 3); ran != 1 {
			t.Fatalf("%d calls ran after the open time, want the probe alone", ran)
		}
		wantState(t, b, breaker.Open)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := b.Do(ctx, succeed); err != nil {
			t.Fatalf("the probe was rejected: %v", err)
		}
		wantState(t, b, breaker.Closed)
	})
}

// I3: probes in flight never exceed Probes; the others are rejected at once.
func TestProbesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("db", breaker.Settings{FailMax: 1, Probes: 3, SuccessThreshold: 5})
		b.Open(breaker.Order{})
		time.Sleep(time.Minute)
		synctest.Wait()
		release := make(chan error)
		var mu sync.Mutex
		running, rejected := 0, 0
		for range 500 {
			go func() {
				err := b.Do(ctx, func(context.Context) error {
					mu.Lock()
					running++
					mu.Unlock()
					return <-release
				})
				if errors.Is(err, breaker.ErrOpen) {
					mu.Lock()
					rejected++
					mu.Unlock()
				}
			}()
		}
		synctest.Wait()
		if running != 3 || rejected != 497 {
			t.Fatalf("%d run and %d were rejected, want 3 and 497", running, rejected)
		}
		if s := b.Status(); s.ProbesOut != 3 {
			t.Errorf("status says %d probes are out, want 3", s.ProbesOut)
		}
		for range 3 {
			release <- nil
		}
		synctest.Wait()
		wantState(t, b, breaker.HalfOpen)
		for range 2 {
			if err := b.Do(ctx, succeed); err != nil {
				t.Fatal(err)
			}
		}
		wantState(t, b, breaker.Closed)
	})
}

// I2: every way in which a probe can fail to report gives its place back.
func TestHalfOpenAlwaysAdmitsInTheEnd(t *testing.T) {
	hang := make(chan struct{})
	for name, test := range map[string]struct {
		probe func(*breaker.Breaker)
		wait  time.Duration
		want  breaker.State // after another successful call
	}{
		"hung":    {func(b *breaker.Breaker) { go b.Do(ctx, func(context.Context) error { <-hang; return nil }) }, 20 * time.Second, breaker.Closed},
		"lost":    {func(b *breaker.Breaker) { _, _ = b.Allow() }, 20 * time.Second, breaker.Closed},
		"ignored": {func(b *breaker.Breaker) { p, _ := b.Allow(); p.Ignore() }, 0, breaker.Closed},
		"canceled": {func(b *breaker.Breaker) {
			c, stop := context.WithCancel(ctx)
			stop()
			_ = b.Do(c, func(c context.Context) error { return c.Err() })
		}, 0, breaker.Closed},
		"panicked": {func(b *breaker.Breaker) {
			defer func() { _ = recover() }()
			_ = b.Do(ctx, func(context.Context) error { panic("bug") })
		}, time.Minute, breaker.Closed},
		"exited": {func(b *breaker.Breaker) {
			go func() { _ = b.Do(ctx, func(context.Context) error { runtime.Goexit(); return nil }) }()
		}, time.Minute, breaker.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang = make(chan struct{})
				defer close(hang)
				b := breaker.New("db", breaker.Settings{FailMax: 1, ProbeTimeout: 20 * time.Second})
				b.HalfOpen(breaker.Order{})
				test.probe(b)
				synctest.Wait()
				time.Sleep(test.wait)
				synctest.Wait()
				if err := b.Do(ctx, succeed); err != nil {
					t.Fatalf("half-open admits no call after a probe that %s: %v", name, err)
				}
				wantState(t, b, test.want)
			})
		})
	}
}

// I1: outcomes of calls admitted in an earlier stretch count for nothing.
func TestLateOutcomesDoNotCount(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 2, SuccessThreshold: 2})
	early, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	early2, early3 := early, early
	b.Open(breaker.Order{})
	b.HalfOpen(breaker.Order{})
	early.Done(nil)
	early2.Done(errDown)
	wantState(t, b, breaker.HalfOpen)
	if s := b.Status(); s.ProbeSuccesses != 0 {
		t.Errorf("a call from before the trip counts as a probe's success")
	}
	b.Close(breaker.Order{})
	early3.Done(errDown)
	if n := b.FailCount(); n != 0 {
		t.Errorf("a failure from before the trip counts after it: %d", n)
	}
}

func TestPermitCountsOnce(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 3})
	p, _ := b.Allow()
	for range 6 {
		p.Done(errDown)
	}
	p.Ignore()
	if n := b.FailCount(); n != 1 {
		t.Errorf("one permit counted %d failures", n)
	}
	b.Open(breaker.Order{})
	rejected, _ := b.Allow()
	rejected.Done(errDown)
	rejected.Done(nil)
	rejected.Ignore()
}

// I4, and what is a failure at all.
func TestOutcomes(t *testing.T) {
	canceled, cancel := context.WithCancelCause(ctx)
	errGone := errors.New("client went away")
	cancel(errGone)
	expired, stop := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer stop()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want int // consecutive failures after one failure and this call
	}{
		{"success", ctx, nil, 0},
		{"error", ctx, errDown, 2},
		{"wrapped excluded", ctx, fmt.Errorf("row: %w", errNotFound), 0},
		{"excluded type", ctx, &validationError{"name"}, 0},
		{"excluded by predicate", ctx, errors.New("teapot"), 0},
		{"canceled by the caller", canceled, context.Canceled, 1},
		{"canceled, told by cause", canceled, fmt.Errorf("get: %w", errGone), 1},
		{"canceled, other error", canceled, errDown, 1},
		{"canceled elsewhere", ctx, context.Canceled, 2},
		{"a deadline that had passed before", expired, context.DeadlineExceeded, 1},
		{"a deadline within", ctx, context.DeadlineExceeded, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := breaker.New("db", breaker.Settings{}, breaker.WithExcluded(
				breaker.ErrorIs(errNotFound), breaker.ErrorAs[*validationError](),
				breaker.ErrorIf(func(err error) bool { return err.Error() == "teapot" })))
			failTimes(b, 1)
			if err := b.Do(test.ctx, func(context.Context) error { return test.err }); err != test.err {
				t.Errorf("Do returned %v, want %v as it is", err, test.err)
			}
			if got := b.FailCount(); got != test.want {
				t.Errorf("%d consecutive failures, want %d", got, test.want)
			}
		})
	}
}

var errNotFound = errors.New("not found")

type validationError struct{ field string }

func (e *validationError) Error() string { return "invalid " + e.field }

func TestClassifierReplacesDefault(t *testing.T) {
	b := breaker.New("db", breaker.Settings{}, breaker.WithExcluded(breaker.ErrorIs(errDown)),
		breaker.WithClassifier(func(_ context.Context, err error) breaker.Outcome {
			switch {
			case err == nil:
				t.Error("the classifier was called without an error")
			case errors.Is(err, errNotFound):
				return breaker.Ignored
			case err.Error() == "panic":
				panic("in the classifier")
			}
			return breaker.Failure
		}))
	for i, err := range []error{errDown, errNotFound, errors.New("panic")} {
		_ = b.Do(ctx, func(context.Context) error { return err })
		if got, want := b.FailCount(), []int{1, 1, 2}[i]; got != want {
			t.Errorf("after %v: %d failures, want %d", err, got, want)
		}
	}
	_ = b.Do(ctx, succeed)
	if s := b.Status(); s.Panics != 1 {
		t.Errorf("status counts %d panics of user code, want 1", s.Panics)
	}
}

func TestPanicGoesOnUntouched(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 1})
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("the panic became %v", p)
		}
		wantState(t, b, breaker.Open)
		if why := b.Status().Transition; len(why.Errors) != 1 || !strings.Contains(why.Errors[0].Error, "panicked") {
			t.Errorf("the record says %+v, want that the call panicked", why.Errors)
		}
	}()
	_ = b.Do(ctx, func(context.Context) error { panic("boom") })
}

func TestDoReturnsTheResultWhateverTheError(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 2})
	for _, slow := range []bool{false, true} {
		if slow {
			b.AddListener(breaker.Listener{Success: func(*breaker.Breaker) {}})
		}
		v, err := breaker.Do(ctx, b, func(context.Context) (int, error) { return 42, errDown })
		if v != 42 || err != errDown {
			t.Errorf("got %d, %v, want 42 and the error", v, err)
		}
	}
	wantState(t, b, breaker.Open)
	if v, err := breaker.Do(ctx, b, func(context.Context) (int, error) { return 42, nil }); v != 0 || !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a rejected call returned %d, %v", v, err)
	}
	twice := breaker.Wrap(breaker.New("x", breaker.Settings{}), func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	if v, err := twice(ctx, 21); v != 42 || err != nil {
		t.Errorf("the wrapped function returned %d, %v", v, err)
	}
}

// Calls run in parallel, and orders take effect while they hang (I5).
func TestCallsRunInParallelAndOrdersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("db", breaker.Settings{})
		begin := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_ = b.Do(ctx, func(context.Context) error { time.Sleep(time.Second); return nil })
			})
		}
		synctest.Wait()
		b.ForceOpen(breaker.Order{Actor: "ana"})
		wantState(t, b, breaker.ForcedOpen)
		if err := b.Do(ctx, succeed); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("a forced open breaker returned %v", err)
		}
		b.Release(breaker.Order{})
		if took := time.Since(begin); took != 0 {
			t.Errorf("the orders waited %s for calls in flight", took)
		}
		wg.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("100 parallel calls of 1s took %s", took)
		}
	})
}

func TestOrders(t *testing.T) {
	for _, test := range []struct {
		orders string
		want   breaker.State
		auto   breaker.State
	}{
		{"open", breaker.Open, breaker.Open},
		{"open close", breaker.Closed, breaker.Closed},
		{"half-open", breaker.HalfOpen, breaker.HalfOpen},
		{"force-open", breaker.ForcedOpen, breaker.Closed},
		{"open force-closed", breaker.ForcedClosed, breaker.Open},
		{"force-open force-closed", breaker.ForcedClosed, breaker.Closed},
		{"force-open release", breaker.Closed, breaker.Closed},
		{"open force-open release", breaker.HalfOpen, breaker.HalfOpen},
		{"open force-closed release", breaker.HalfOpen, breaker.HalfOpen},
		{"force-open open", breaker.Open, breaker.Open},
		{"open force-open close", breaker.Closed, breaker.Closed},
		{"force-closed half-open", breaker.HalfOpen, breaker.HalfOpen},
		{"release", breaker.Closed, breaker.Closed},
		{"open release", breaker.Open, breaker.Open},
	} {
		t.Run(test.orders, func(t *testing.T) {
			b := breaker.New("db", breaker.Settings{})
			for _, verb := range strings.Fields(test.orders) {
				dry, err := b.Apply(breaker.Order{Verb: breaker.Verb(verb), DryRun: true})
				if err != nil {
					t.Fatal(err)
				}
				r, err := b.Apply(breaker.Order{Verb: breaker.Verb(verb), Actor: "ana", IfVersion: dry.Version})
				if err != nil {
					t.Fatal(err)
				}
				if r.Before != dry.Before || r.After != dry.After || r.From != dry.Version {
					t.Errorf("%s: the dry run said %+v, the order did %+v", verb, dry, r)
				}
			}
			s := b.Status()
			if s.State != test.want || s.Auto != test.auto {
				t.Errorf("state %s over %s, want %s over %s", s.State, s.Auto, test.want, test.auto)
			}
		})
	}
}

func TestOrderRefused(t *testing.T) {
	b := breaker.New("db", breaker.Settings{})
	for _, test := range []struct {
		order breaker.Order
		want  error
	}{
		{breaker.Order{Verb: "explode"}, breaker.ErrOrder},
		{breaker.Order{Verb: breaker.VerbClose, For: time.Second}, breaker.ErrOrder},
		{breaker.Order{Verb: breaker.VerbForceOpen, For: -time.Second}, breaker.ErrOrder},
		{breaker.Order{Verb: breaker.VerbOpen, IfVersion: 7}, breaker.ErrVersion},
	} {
		if _, err := b.Apply(test.order); !errors.Is(err, test.want) {
			t.Errorf("%+v: got %v, want %v", test.order, err, test.want)
		}
	}
	if s := b.Status(); s.State != breaker.Closed || s.Version != 1 {
		t.Errorf("a refused order changed the breaker: %+v", s)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	b := breaker.New("db", breaker.Settings{})
	failTimes(b, 3)
	if err := b.Update(breaker.Settings{FailMax: 10, FailureRate: 2}); !errors.Is(err, breaker.ErrSettings) {
		t.Fatalf("got %v, want ErrSettings", err)
	}
	if got := b.Settings().FailMax; got != 5 {
		t.Errorf("a refused update changed FailMax to %d", got)
	}
	if err := b.Update(breaker.Settings{FailMax: 4}); err != nil {
		t.Fatal(err)
	}
	if n := b.FailCount(); n != 3 {
		t.Errorf("an update changed the fail count to %d", n)
	}
	failTimes(b, 1)
	wantState(t, b, breaker.Open)
}

func TestNewPanicsOnWhatStandsInTheProgram(t *testing.T) {
	for name, make := range map[string]func(){
		"settings": func() { breaker.New("db", breaker.Settings{FailureRate: 2}) },
		"no name":  func() { breaker.New("", breaker.Settings{}) },
		"slash":    func() { breaker.New("a/b", breaker.Settings{}) },
		"newline":  func() { breaker.New("a\nb", breaker.Settings{}) },
		"blank":    func() { breaker.New(" a", breaker.Settings{}) },
		"long":     func() { breaker.New(strings.Repeat("a", 129), breaker.Settings{}) },
		"utf8":     func() { breaker.New("\xff", breaker.Settings{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p == nil {
					t.Error("New did not panic")
				}
			}()
			make()
		})
	}
}

func TestConcurrentFailuresAreNotLost(t *testing.T) {
	for range 200 {
		b := breaker.New("db", breaker.Settings{FailMax: 4})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = b.Do(ctx, fail) })
		}
		wg.Wait()
		wantState(t, b, breaker.Open)
	}
}

func TestNoAllocation(t *testing.T) {
	rules := map[string]breaker.Settings{
		"consecutive": {},
		"rate":        {FailureRate: .5},
		"lastN":       {FailureRate: .5, WindowCalls: 50},
		"slow":        {SlowCall: time.Second, SlowRate: .5},
		"slow exact":  {SlowCall: time.Millisecond, SlowRate: .5},
	}
	for name, s := range rules {
		b := breaker.New("db", s)
		count := func(what string, f func()) {
			t.Helper()
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s, %s: %v allocations", name, what, n)
			}
		}
		count("Do", func() { _ = b.Do(ctx, succeed) })
		count("Allow", func() { p, _ := b.Allow(); p.Done(nil) })
		count("generic Do", func() { _, _ = breaker.Do(ctx, b, func(context.Context) (int, error) { return 1, nil }) })
		b.Open(breaker.Order{})
		count("open", func() { _ = b.Do(ctx, succeed) })
		b.ForceOpen(breaker.Order{})
		count("forced open", func() { _ = b.Do(ctx, succeed) })
	}
}
