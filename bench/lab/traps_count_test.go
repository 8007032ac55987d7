package lab

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	bytedance "github.com/bytedance/gopkg/cloud/circuitbreaker"
	"github.com/cep21/circuit/v4"
	cep21 "github.com/cep21/circuit/v4/closers/hystrix"
	eapache "github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	rubyist "github.com/rubyist/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/switchgear-go/switchgear/breaker"
)

// The traps of docs/traps.md in what is counted: breakers that never open, or
// open and close for the wrong reason.

func execute(cb *gobreaker.CircuitBreaker[any], err error) error {
	_, got := cb.Execute(func() (any, error) { return nil, err })
	return got
}

// untilOpen counts the failures in a row that it takes until call is rejected.
func untilOpen(most int, call func() (ran bool)) int {
	for i := range most {
		if !call() {
			return i
		}
	}
	return most
}

// ran reports whether a breaker of ours let a failing call run.
func ran(b *breaker.Breaker) bool {
	return !errors.Is(b.Do(context.Background(), fails), breaker.ErrOpen)
}

func TestTrap_gobreaker_ReadmeRatioDrownsInHistory(t *testing.T) {
	const successes = 100_000
	cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{ReadyToTrip: func(c gobreaker.Counts) bool {
		return c.Requests >= 3 && float64(c.TotalFailures)/float64(c.Requests) >= 0.6
	}})
	b := breaker.New("x", breaker.Settings{FailMax: -1, FailureRate: 0.6, WindowCalls: 100})
	for range successes {
		_ = execute(cb, nil)
		_ = b.Do(t.Context(), nothing)
	}
	if n := untilOpen(2*successes, func() bool { return errors.Is(execute(cb, errFailed), errFailed) }); n != 150_000 {
		t.Errorf("it opened after %d failures in a row, want 150,000", n)
	}
	if n := untilOpen(successes, func() bool { return ran(b) }); n > 100 {
		t.Errorf("ours: it opened after %d failures in a row, want 100 at most", n)
	}
}

// Interval clears the consecutive failures too.
func TestTrap_gobreaker_IntervalClearsTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{Interval: time.Minute}) // opens after 6 in a row
		b := breaker.New("x", breaker.Settings{FailMax: 6})
		for range 1000 { // a job that runs every 15 s
			_ = execute(cb, errFailed)
			_ = b.Do(t.Context(), fails)
			time.Sleep(15 * time.Second)
			if b.State() != breaker.Open && b.FailCount() > 6 {
				t.Fatalf("ours: %v after %d failures in a row", b.State(), b.FailCount())
			}
		}
		if cb.State() != gobreaker.StateClosed {
			t.Error("1000 failures in a row opened it: the trap is gone")
		}
		if b.State() == breaker.Closed {
			t.Error("ours: closed after 1000 failures in a row")
		}
	})
}

// Calls in flight are in the denominator.
func TestTrap_gobreaker_HungCallsDiluteTheRate(t *testing.T) {
	cb := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{ReadyToTrip: func(c gobreaker.Counts) bool {
		return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests
	}})
	b := breaker.New("x", breaker.Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 100})
	for range 100 { // hang
		_, _ = cb.Allow()
		_, _ = b.Allow()
	}
	for range 90 {
		if done, err := cb.Allow(); err == nil {
			done(errFailed)
		}
		_ = b.Do(t.Context(), fails)
	}
	if cb.State() != gobreaker.StateClosed {
		t.Error("all 90 calls that ended failed, and it opened: the trap is gone")
	}
	if b.State() != breaker.Open {
		t.Errorf("ours: %v after 90 of 90 failed, want open", b.State())
	}
}

func TestTrap_gobreaker_DoneCountsEachTime(t *testing.T) {
	cb := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{})
	done, _ := cb.Allow()
	b := breaker.New("x", breaker.Settings{FailMax: 6})
	p, _ := b.Allow()
	for range 6 { // a deferred done beside those of each branch
		done(errFailed)
		p.Done(errFailed)
	}
	if cb.State() != gobreaker.StateOpen {
		t.Error("one failed call, reported 6 times, left it closed: the trap is gone")
	}
	if n := b.FailCount(); n != 1 {
		t.Errorf("ours: one failed call counted %d times", n)
	}
}

// IsExcluded is asked about successes too, with a nil error.
func TestTrap_gobreaker_ClassifierOfNil(t *testing.T) {
	isTimeout := func(err error) bool { return err.Error() == "timeout" }
	cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{IsExcluded: isTimeout})
	for range 6 {
		elsewhere(func() { _ = execute(cb, nil) })
	}
	if cb.State() != gobreaker.StateOpen {
		t.Error("6 successful calls left it closed: the trap is gone")
	}
	b := breaker.New("x", quick, breaker.WithIgnored(breaker.ErrorIf(isTimeout)))
	if err := b.Do(t.Context(), nothing); err != nil || b.State() != breaker.Closed {
		t.Errorf("ours: %v, %v after a success", err, b.State())
	}
}

func TestTrap_PanicsAreNotCounted(t *testing.T) {
	fs := circuitbreaker.NewBuilder[any]().Build()
	c21 := newCep21()
	rb := rubyist.NewConsecutiveBreaker(1)
	b := breaker.New("x", quick)
	boom := func() { panic("bug") }
	for range 100 {
		elsewhere(func() { _ = failsafe.With(fs).Run(func() error { boom(); return nil }) })
		elsewhere(func() { _ = c21.run(func() error { boom(); return nil }) })
		elsewhere(func() { _ = rb.Call(func() error { boom(); return nil }, 0) })
		elsewhere(func() { _ = b.Do(context.Background(), func(context.Context) error { boom(); return nil }) })
	}
	if !fs.IsClosed() || c21.c.IsOpen() || rb.Tripped() {
		t.Error("100 panics opened failsafe-go, cep21 or rubyist: the trap is gone")
	}
	if b.State() != breaker.Open {
		t.Errorf("ours: %v after 100 panics", b.State())
	}
}

// Calls that hang until their caller's deadline.
func TestTrap_cep21_DeadlinesAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCep21().c
		b := breaker.New("x", breaker.Settings{})
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		for range 50 {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			_ = c.Run(ctx, hang)
			cancel()
			ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
			_ = b.Do(ctx, hang)
			cancel()
		}
		if c.IsOpen() {
			t.Error("50 calls that hung opened it: the trap is gone")
		}
		if b.State() != breaker.Open {
			t.Errorf("ours: %v after 50 calls that hung", b.State())
		}
	})
}

// Only part of a configuration is changed; the rest becomes zero.
func TestTrap_cep21_PartOfAConfigurationRejectsAll(t *testing.T) {
	f := cep21.Factory{}
	m := circuit.Manager{DefaultCircuitProperties: []circuit.CommandPropertiesConstructor{f.Configure}}
	c := m.MustCreateCircuit("x")
	c.SetConfigThreadSafe(circuit.Config{Execution: circuit.ExecutionConfig{Timeout: 2 * time.Second}})
	if err := c.Run(t.Context(), nothing); err == nil {
		t.Error("a call ran: the trap is gone")
	}
	b := breaker.New("x", quick)
	if err := b.Update(breaker.Settings{ResetTimeout: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if err := b.Do(t.Context(), nothing); err != nil {
		t.Errorf("ours: %v", err)
	}
}

// Three failures among any number of successes, if they come within the timeout of each other.
func TestTrap_eapache_SuccessesForgiveNothing(t *testing.T) {
	inBubble(t, func() {
		eb := eapache.New(3, 1, 5*time.Second)
		b := breaker.New("x", breaker.Settings{FailMax: 3})
		for i := range 30_000 { // in 3 s
			err := error(nil)
			if i%10_000 == 0 {
				err = errFailed
			}
			_ = eb.Run(func() error { return err })
			_ = b.Do(context.Background(), func(context.Context) error { return err })
			time.Sleep(100 * time.Microsecond)
		}
		if eb.GetState() != eapache.Open {
			t.Error("3 failures in 30,000 calls left it closed: the trap is gone")
		}
		if b.State() != breaker.Closed {
			t.Errorf("ours: %v after 3 failures in 30,000 calls", b.State())
		}
	})
}

// Everybody who waited meets the dependency in the moment it comes back.
func TestTrap_eapache_HalfOpenAdmitsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eb := eapache.New(1, 1, time.Second)
		b := breaker.New("x", quick)
		_ = eb.Run(func() error { return errFailed })
		_ = b.Do(t.Context(), fails)
		time.Sleep(2 * time.Second)
		theirs, ours := 0, 0
		for range 500 {
			go func() { _ = eb.Run(func() error { theirs++; time.Sleep(time.Second); return nil }) }()
			synctest.Wait()
			go func() {
				_ = b.Do(t.Context(), func(context.Context) error { ours++; time.Sleep(time.Second); return nil })
			}()
			synctest.Wait()
		}
		if theirs != 500 {
			t.Errorf("%d of 500 calls ran while half-open, want all: the trap is gone", theirs)
		}
		if ours != 1 {
			t.Errorf("ours: %d calls ran while half-open, want 1", ours)
		}
		time.Sleep(time.Minute)
	})
}

// The success of a call that began before the trip says nothing about now.
func TestTrap_hystrix_LateSuccessCloses(t *testing.T) {
	inBubble(t, func() {
		h := newHystrix()
		go func() { _ = h.run(func() error { time.Sleep(time.Second); return nil }) }()
		synctest.Wait()
		for range 30 {
			_ = h.run(func() error { return errFailed })
			synctest.Wait()
		}
		if h.closed(0) {
			t.Error("30 failures did not open it")
		}
		time.Sleep(2 * time.Second) // of the 5 s
		if !h.closed(0) {
			t.Error("a call from before left it open: the trap is gone")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("x", breaker.Settings{})
		go func() { _ = b.Do(t.Context(), func(context.Context) error { time.Sleep(time.Second); return nil }) }()
		synctest.Wait()
		for range 30 {
			_ = b.Do(t.Context(), fails)
		}
		time.Sleep(2 * time.Second)
		if b.State() != breaker.Open {
			t.Errorf("ours: %v, want open", b.State())
		}
	})
}

func TestTrap_failsafe_LateSuccessCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cb := circuitbreaker.NewBuilder[any]().WithDelay(time.Second).Build()
		b := breaker.New("x", quick)
		cb.TryAcquirePermit() // begins before the trip, and ends long after
		late, _ := b.Allow()
		cb.TryAcquirePermit()
		cb.RecordFailure()
		_ = b.Do(t.Context(), fails)
		time.Sleep(2 * time.Second)
		cb.TryAcquirePermit() // the probe, in flight
		_, _ = b.Allow()
		cb.RecordSuccess() // the call of before
		late.Done(nil)
		if !cb.IsClosed() {
			t.Error("a call from before did not close it: the trap is gone")
		}
		if b.State() != breaker.HalfOpen {
			t.Errorf("ours: %v, want half-open until the probe ends", b.State())
		}
	})
}

// Calls that hystrix-go rejected because others were running count as failed.
func TestTrap_hystrix_RejectionsOpenIt(t *testing.T) {
	inBubble(t, func() {
		name := hystrixName()
		hystrix.ConfigureCommand(name, hystrix.CommandConfig{Timeout: 60_000, MaxConcurrentRequests: 10})
		for range 10 {
			go func() { _ = hystrix.Do(name, func() error { time.Sleep(time.Second); return nil }, nil) }()
		}
		synctest.Wait()
		for range 30 {
			_ = hystrix.Do(name, func() error { return nil }, nil)
			synctest.Wait()
		}
		c, _, _ := hystrix.GetCircuit(name)
		if !c.IsOpen() {
			t.Error("30 rejections of a healthy dependency left it closed: the trap is gone")
		}
		time.Sleep(time.Minute)
	})
	// Ours limits no concurrency. Its rejections, those of an open breaker, are
	// in no statistic, and those of another breaker inside are not either.
	inner, outer := breaker.New("inner", quick), breaker.New("outer", quick)
	inner.ForceOpen(breaker.Order{})
	for range 30 {
		_ = outer.Do(t.Context(), func(ctx context.Context) error { return inner.Do(ctx, nothing) })
	}
	if outer.State() != breaker.Closed {
		t.Errorf("ours: rejections opened it: %v", outer.State())
	}
}

func TestTrap_bytedance_ForgetsThatItIsOpen(t *testing.T) {
	inBubble(t, func() {
		p, _ := bytedance.NewPanel(nil, bytedance.Options{
			ShouldTrip: bytedance.ConsecutiveTripFunc(1), CoolingTimeout: time.Hour,
			BucketTime: 100*time.Millisecond + time.Duration(bytedancePanels.Add(1)),
		})
		defer p.Close()
		p.Fail("key")
		if p.IsAllowed("key") {
			t.Error("a failure did not open it")
		}
		time.Sleep(15 * time.Second) // the window has drained
		if !p.IsAllowed("key") {
			t.Error("it is open still: the trap is gone")
		}
		set := breaker.NewSet[string]("x", breaker.Settings{FailMax: 1, ResetTimeout: time.Hour}, breaker.SetOptions{})
		_ = set.Do(context.Background(), "key", fails)
		time.Sleep(15 * time.Second)
		if err := set.Do(context.Background(), "key", nothing); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("ours: %v, want a rejection for an hour", err)
		}
	})
}

func TestTrap_bytedance_NoRuleByDefault(t *testing.T) {
	inBubble(t, func() {
		p, _ := bytedance.NewPanel(nil, bytedance.Options{BucketTime: 100*time.Millisecond + time.Duration(bytedancePanels.Add(1))})
		defer p.Close()
		if n := untilOpen(10_000, func() bool { p.Fail("key"); return p.IsAllowed("key") }); n < 10_000 {
			t.Errorf("it opened after %d failures: the trap is gone", n)
		}
		b := breaker.New("x", breaker.Settings{})
		if n := untilOpen(10_000, func() bool { return ran(b) }); n != 5 {
			t.Errorf("ours: open after %d failures, want 5", n)
		}
	})
}

// Below 100 calls in 3 s, aegis' default rule does nothing.
func TestTrap_aegis_BlindAtLowTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ab := sre.NewBreaker()
		b := breaker.New("x", breaker.Settings{ResetTimeout: time.Hour})
		theirs, ours := 0, 0
		for range 30_000 { // all fail, at 30 calls a second
			if ab.Allow() == nil {
				theirs++
				ab.MarkFailed()
			}
			if ran(b) {
				ours++
			}
			time.Sleep(time.Second / 30)
		}
		if theirs != 30_000 {
			t.Errorf("%d of 30,000 failing calls ran, want all: the trap is gone", theirs)
		}
		if ours != 5 {
			t.Errorf("ours: %d failing calls ran, want 5", ours)
		}
	})
}

// rubyist compares with ==: two failures at the same time step over the limit.
func TestTrap_rubyist_StepsOverTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rb := rubyist.NewConsecutiveBreaker(1)
		pause := make(chan rubyist.ListenerEvent) // holds Fail between the count and the comparison
		rb.AddListener(pause)
		for range 2 {
			go rb.Fail()
		}
		synctest.Wait() // both have counted
		stop := make(chan struct{})
		go func() {
			for {
				select { // an event leaves in two steps
				case pause <- rubyist.ListenerEvent{}:
				case <-pause:
				case <-stop:
					return
				}
			}
		}()
		synctest.Wait()
		close(stop)
		rb.RemoveListener(pause)
		for range 10_000 {
			rb.Fail()
		}
		if rb.Tripped() {
			t.Error("10,002 failures in a row opened it: the trap is gone")
		}
	})
}

// failsafe-go opens at the first failure, for a minute, unless it is configured
// otherwise.
func TestTrap_failsafe_OneFailureByDefault(t *testing.T) {
	cb := circuitbreaker.NewBuilder[any]().Build()
	cb.RecordFailure()
	if !cb.IsOpen() {
		t.Error("one failure left it closed: the trap is gone")
	}
	b := breaker.New("x", breaker.Settings{})
	_ = b.Do(t.Context(), fails)
	if b.State() != breaker.Closed {
		t.Errorf("ours: %v after one failure", b.State())
	}
}
