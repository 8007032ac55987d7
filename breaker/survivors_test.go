package breaker_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// These tests kill mutants of the engine that the others let live
// (go run ./internal/mutate all).

// A slow success is no failure: it can meet the slow-call rate, never the
// failure rate (I6).
func TestSlowSuccessDoesNotDecideOnFailures(t *testing.T) {
	slow := func(context.Context) error { time.Sleep(2 * time.Second); return nil }
	lax := breaker.Settings{FailMax: -1, FailureRate: 0.9, Confidence: 0.95, SlowCall: time.Second}
	sure := breaker.Settings{FailMax: -1, FailureRate: 0.2, Confidence: 0.9, SlowCall: time.Second}
	rate := breaker.Settings{FailMax: -1, FailureRate: 0.5, MinCalls: 4, SlowCall: time.Second}
	for _, c := range []struct {
		name        string
		first, then breaker.Settings // three failures meet no rule under the first
	}{
		{"rate", rate, rate},
		{"confidence", lax, sure},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("x", c.first)
				for range 3 {
					_ = b.Do(t.Context(), proofFail)
				}
				if err := b.Update(c.then); err != nil {
					t.Fatal(err)
				}
				if err := b.Do(t.Context(), slow); err != nil {
					t.Fatal(err)
				}
				if got := b.State(); got != breaker.Closed {
					t.Errorf("a slow success opened it by failures: %s", got)
				}
				_ = b.Do(t.Context(), proofFail)
				if got := b.State(); got != breaker.Open {
					t.Errorf("%s after a failure, want open", got)
				}
			})
		})
	}
}

// A quick success ends a row of failures whatever path the call takes.
func TestSuccessEndsTheRowOnEveryPath(t *testing.T) {
	watcher := breaker.WithListener(breaker.Listener{Success: func(*breaker.Breaker) {}})
	for name, b := range map[string]*breaker.Breaker{
		"plain":           breaker.New("x", breaker.Settings{FailMax: 2}),
		"counted":         breaker.New("x", breaker.Settings{FailMax: 2, FailureRate: 1}),
		"counted calls":   breaker.New("x", breaker.Settings{FailMax: 2, FailureRate: 1, WindowCalls: 50}),
		"timed":           breaker.New("x", breaker.Settings{FailMax: 2, SlowCall: time.Hour}),
		"timed exactly":   breaker.New("x", breaker.Settings{FailMax: 2, SlowCall: 199 * time.Millisecond}),
		"watched":         breaker.New("x", breaker.Settings{FailMax: 2}, watcher),
		"timed and heard": breaker.New("x", breaker.Settings{FailMax: 2, SlowCall: time.Hour}, watcher),
	} {
		for way, succeed := range map[string]func(*breaker.Breaker){
			"Do": func(b *breaker.Breaker) { _ = b.Do(context.Background(), proofOK) },
			"Do()": func(b *breaker.Breaker) {
				_, _ = breaker.Do(context.Background(), b, func(context.Context) (int, error) { return 1, nil })
			},
			"Done": func(b *breaker.Breaker) {
				if p, err := b.Allow(); err == nil {
					p.Done(nil)
				}
			},
		} {
			_ = b.Do(t.Context(), proofFail)
			succeed(b)
			if n := b.FailCount(); n != 0 || b.State() != breaker.Closed {
				t.Errorf("%s, %s: %d failures and %s after a success, want 0 and closed", name, way, n, b.State())
			}
		}
	}
}

// A call that did not return is a failure, and a success ends the row of
// failures that were met while it ran, by each way to call.
func TestEveryWayToCallIsJudged(t *testing.T) {
	ctx := context.Background()
	for name, opts := range map[string][]breaker.Option{
		"plain": nil,
		"heard": {breaker.WithListener(breaker.Listener{Success: func(*breaker.Breaker) {}})},
	} {
		for set, s := range map[string]breaker.Settings{
			"plain": {}, "counted": {FailureRate: 1}, "timed": {SlowCall: time.Hour}, "exact": {SlowCall: time.Millisecond * 100},
		} {
			for way, do := range map[string]func(b *breaker.Breaker, f func() error) error{
				"Do": func(b *breaker.Breaker, f func() error) error {
					return b.Do(ctx, func(context.Context) error { return f() })
				},
				"Do()": func(b *breaker.Breaker, f func() error) error {
					_, err := breaker.Do(ctx, b, func(context.Context) (int, error) { return 1, f() })
					return err
				},
				"Wrap": func(b *breaker.Breaker, f func() error) error {
					_, err := breaker.Wrap(b, func(context.Context, int) (int, error) { return 1, f() })(ctx, 1)
					return err
				},
			} {
				b := breaker.New("x", s, opts...)
				onGoroutine(func() { _ = do(b, func() error { runtime.Goexit(); return nil }) })
				onGoroutine(func() {
					defer func() { _ = recover() }()
					_ = do(b, func() error { panic("bug") })
				})
				if n := b.FailCount(); n != 2 {
					t.Errorf("%s, %s, %s: %d failures after a panic and a Goexit, want 2", name, set, way, n)
				}
				b.Close(breaker.Order{})
				if err := do(b, func() error { _ = b.Do(ctx, proofFail); return nil }); err != nil || b.FailCount() != 0 {
					t.Errorf("%s, %s, %s: %d failures after a success that began before the failure, %v", name, set, way, b.FailCount(), err)
				}
			}
		}
	}
}

// A record names the errors that led to it, not those of the time before the
// breaker was last closed.
func TestRecordForgetsErrorsOfBefore(t *testing.T) {
	b := breaker.New("x", breaker.Settings{FailMax: 2})
	failWith := func(text string) {
		_ = b.Do(t.Context(), func(context.Context) error { return errors.New(text) })
	}
	failWith("old")
	b.Close(breaker.Order{})
	failWith("new")
	failWith("new")
	if kept := b.Status().Transition.Errors; len(kept) != 1 || kept[0].Error != "new" {
		t.Errorf("the record names %+v, want \"new\" alone", kept)
	}
}

// badError is an error whose methods panic.
type badError struct{ text, hint bool }

func (e badError) Error() string {
	if e.text {
		panic("text")
	}
	return "bad"
}

func (e badError) RetryAfter() time.Duration {
	if e.hint {
		panic("hint")
	}
	return 0
}

// A panic in a rule or in an error's methods reaches no caller, is counted, and
// the failure counts.
func TestPanicsInUserCodeAreCounted(t *testing.T) {
	for name, err := range map[string]error{
		"text": badError{text: true}, "hint": badError{hint: true}, "rule": errProof,
	} {
		var opts []breaker.Option
		if name == "rule" {
			opts = append(opts, breaker.WithRule("bad", func(breaker.Counts) bool { panic("rule") }))
		}
		b := breaker.New("x", breaker.Settings{FailMax: 2}, opts...)
		_ = b.Do(t.Context(), func(context.Context) error { return err })
		if s := b.Status(); s.Panics != 1 || s.FailCount != 1 {
			t.Errorf("%s: %d panics and %d failures counted, want 1 and 1", name, s.Panics, s.FailCount)
		}
	}
}

// A panic in what makes the rejected call's error is counted too, and the
// caller is told that the call did not run.
func TestPanicInOpenErrorIsCounted(t *testing.T) {
	b := breaker.New("x", breaker.Settings{}, breaker.WithOpenError(func(*breaker.OpenError) error { panic("no error") }))
	b.Open(breaker.Order{})
	if err := b.Do(t.Context(), proofOK); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("rejected with %v, want ErrOpen", err)
	}
	if n := b.Status().Panics; n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
}
