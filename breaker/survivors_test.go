package breaker_test

import (
	"context"
	"errors"
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

// The failure of a forgotten key's call counts for the key's next breaker
// though other keys have opened and closed since the first one was made.
func TestFailureOfForgottenKeyAmongKeysThatMoved(t *testing.T) {
	s := breaker.NewSet[int]("s", breaker.Settings{}, breaker.SetOptions{MaxKeys: 3})
	p, err := s.Breaker(-1).Allow()
	if err != nil {
		t.Fatal(err)
	}
	for k := range 1000 { // some of them are kept beside -1
		s.Breaker(k).Open(breaker.Reason{})
		s.Breaker(k).Close(breaker.Reason{})
		s.Breaker(-1) // not the longest idle
	}
	for k := range 4 {
		s.Breaker(2000 + k) // forgets -1
	}
	if n := len(s.Status()); n > 4 {
		t.Fatalf("%d keys are kept, so -1 may be too", n)
	}
	s.Breaker(-1)
	p.Done(errProof)
	if n := s.Breaker(-1).FailCount(); n != 1 {
		t.Errorf("FailCount = %d, want 1", n)
	}
}

// A record names the errors that led to it, not those of the time before the
// breaker last closed.
func TestRecordForgetsErrorsOfBefore(t *testing.T) {
	b := breaker.New("x", breaker.Settings{FailMax: 1})
	for _, text := range []string{"old", "new"} {
		_ = b.Do(t.Context(), func(context.Context) error { return errors.New(text) })
		kept := b.Status().Why.Errors
		if len(kept) != 1 || kept[0].Text != text {
			t.Errorf("the record names %+v, want %q alone", kept, text)
		}
		b.Close(breaker.Reason{})
	}
}
