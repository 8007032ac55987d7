package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/switchgear-go/switchgear/breaker"
)

// The traps of docs/traps.md, each shown in the library that has it and then
// played to our breaker. This file has those that kill the process or block.

// quick opens at the first failure, for a second.
var quick = breaker.Settings{FailMax: 1, ResetTimeout: time.Second}

func nothing(context.Context) error { return nil }
func fails(context.Context) error   { return errFailed }

// elsewhere runs f on another goroutine, which may end by Goexit or a
// panic.
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}

// dies runs the named test again in a new process, and checks that this
// process ends with the text. In that process dies returns false.
func dies(t *testing.T, text string) bool {
	t.Helper()
	const inside = "LAB_TRAP"
	if os.Getenv(inside) != "" {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), text) {
		t.Errorf("the process ended with %v, want its death by %q:\n%s", err, text, out)
	}
	return true
}

func TestTrap_failsafe_PanickingListenerKillsTheProcess(t *testing.T) {
	if !dies(t, "fatal error: sync: unlock of unlocked mutex") {
		b := circuitbreaker.NewBuilder[any]().OnOpen(func(circuitbreaker.StateChangedEvent) { panic("listener") }).Build()
		elsewhere(b.RecordFailure) // recovers, as net/http does
		return
	}
	b := breaker.New("x", quick, breaker.WithListener(breaker.Listener{StateChange: func(*breaker.Breaker, breaker.Transition) { panic("listener") }}))
	_ = b.Do(t.Context(), fails)
	if b.State() != breaker.Open || b.Status().Panics != 1 {
		t.Errorf("ours: %v with %d panics on record, want open and 1", b.State(), b.Status().Panics)
	}
}

func TestTrap_hystrix_PanicInTheCallKillsTheProcess(t *testing.T) {
	if !dies(t, "panic: in the call") {
		elsewhere(func() { _ = hystrix.Do("panics", func() error { panic("in the call") }, nil) })
		return
	}
	b := breaker.New("x", quick)
	elsewhere(func() { _ = b.Do(t.Context(), func(context.Context) error { panic("in the call") }) })
	if b.State() != breaker.Open {
		t.Errorf("ours: %v, want the panic counted", b.State())
	}
}

// A probe that never comes back: the goroutine ended (t.FailNow does that in a
// test helper), or the call hangs.
func TestTrap_gobreaker_LostProbeBlocksForever(t *testing.T) {
	inBubble(t, func() {
		cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
			Timeout:     time.Second,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 1 },
		})
		_, _ = cb.Execute(func() (any, error) { return nil, errFailed })
		time.Sleep(2 * time.Second)
		elsewhere(func() { _, _ = cb.Execute(func() (any, error) { runtime.Goexit(); return nil, nil }) })
		time.Sleep(24 * time.Hour)
		if _, err := cb.Execute(func() (any, error) { return nil, nil }); !errors.Is(err, gobreaker.ErrTooManyRequests) {
			t.Errorf("a day later: %v, want %v: the trap is gone", err, gobreaker.ErrTooManyRequests)
		}
		oursSurvives(t, runtime.Goexit)
	})
}

func TestTrap_failsafe_PanickingProbeBlocksForever(t *testing.T) {
	inBubble(t, func() {
		cb := circuitbreaker.NewBuilder[any]().WithDelay(time.Second).Build()
		cb.RecordFailure()
		time.Sleep(2 * time.Second)
		elsewhere(func() { _, _ = failsafe.With(cb).Get(func() (any, error) { panic("probe") }) })
		time.Sleep(24 * time.Hour)
		if _, err := failsafe.With(cb).Get(func() (any, error) { return nil, nil }); !errors.Is(err, circuitbreaker.ErrOpen) {
			t.Errorf("a day later: %v, want %v: the trap is gone", err, circuitbreaker.ErrOpen)
		}
		oursSurvives(t, func() { panic("probe") })
	})
}

// oursSurvives lets a probe of ours end like that, and wants the next to close.
func oursSurvives(t *testing.T, end func()) {
	t.Helper()
	b := breaker.New("x", quick)
	_ = b.Do(context.Background(), fails)
	time.Sleep(2 * time.Second)
	elsewhere(func() { _ = b.Do(context.Background(), func(context.Context) error { end(); return nil }) })
	time.Sleep(2 * time.Second)
	if err := b.Do(context.Background(), nothing); err != nil || b.State() != breaker.Closed {
		t.Errorf("ours: %v, %v, want closed", err, b.State())
	}
}

func TestTrap_hystrix_GoexitBlocksItsCaller(t *testing.T) {
	call := func(do func(f func() error)) (returned bool) {
		inBubble(t, func() {
			go func() {
				defer func() { returned = true }()
				do(func() error { runtime.Goexit(); return nil })
			}()
			time.Sleep(time.Minute)
		})
		return returned
	}
	if call(func(f func() error) { _ = hystrix.Do(hystrixName(), f, nil) }) { // whose time limit is a second
		t.Error("Do returned: the trap is gone")
	}
	b := breaker.New("x", quick)
	if !call(func(f func() error) { _ = b.Do(context.Background(), func(context.Context) error { return f() }) }) {
		t.Error("ours: Do has not returned")
	}
}

// A listener that asks the breaker for its state.
func TestTrap_gobreaker_ListenerUnderTheLock(t *testing.T) {
	var cb *gobreaker.CircuitBreaker[any]
	returned := make(chan struct{})
	cb = gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		ReadyToTrip:   func(gobreaker.Counts) bool { return true },
		OnStateChange: func(string, gobreaker.State, gobreaker.State) { cb.State() },
	})
	go func() {
		_, _ = cb.Execute(func() (any, error) { return nil, errFailed })
		close(returned)
	}()
	select {
	case <-returned:
		t.Error("Execute returned: the trap is gone")
	case <-time.After(200 * time.Millisecond): // it would block forever
	}

	seen := breaker.Closed
	b := breaker.New("x", quick, breaker.WithListener(breaker.Listener{StateChange: func(b *breaker.Breaker, _ breaker.Transition) { seen = b.State() }}))
	_ = b.Do(t.Context(), fails)
	if seen != breaker.Open {
		t.Errorf("ours: the listener saw %v, want open", seen)
	}
}

// Every name that hystrix-go has seen costs two goroutines, and none can be
// forgotten.
func TestTrap_hystrix_GoroutinesForEveryName(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		_ = hystrix.Do(hystrixName(), func() error { return nil }, nil)
	}
	if n := runtime.NumGoroutine() - before; n < 200 {
		t.Errorf("100 names left %d goroutines, want 200: the trap is gone", n)
	}
	before = runtime.NumGoroutine()
	set := breaker.NewSet[int]("tenant", quick, breaker.SetOptions{})
	for i := range 100 {
		_ = set.Do(t.Context(), i, nothing)
	}
	if n := runtime.NumGoroutine() - before; n > 0 {
		t.Errorf("ours: 100 keys left %d goroutines", n)
	}
}
