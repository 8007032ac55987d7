package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// A call whose answer streams in is as slow as its answer was to begin, not as
// slow as whoever reads it.
func TestAnsweredStopsTheClock(t *testing.T) {
	for _, test := range []struct {
		name            string
		answer, readFor time.Duration
		tell            bool
		want            breaker.State
	}{
		{"answered soon, read for long", time.Second, time.Minute, true, breaker.Closed},
		{"answered late, read at once", 5 * time.Second, 0, true, breaker.Open},
		{"answered soon, not told", time.Second, time.Minute, false, breaker.Open},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("api", breaker.Settings{SlowCall: 5 * time.Second, SlowRate: 1, MinCalls: 1})
				p, err := b.Allow()
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.answer)
				if test.tell {
					p.Answered()
				}
				time.Sleep(test.readFor)
				if test.tell {
					p.Answered() // the first counts
				}
				p.Done(nil)
				p.Answered()
				wantState(t, b, test.want)
			})
		})
	}
	var zero breaker.Permit
	zero.Answered()
}

func TestPermitsWithAContext(t *testing.T) {
	t.Run("a caller that gave up is no evidence", func(t *testing.T) {
		b := breaker.New("api", breaker.Settings{FailMax: 1})
		gone, cancel := context.WithCancel(ctx)
		p, err := b.AllowContext(gone)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := p.DoneContext(gone, context.Canceled); got != context.Canceled {
			t.Errorf("DoneContext returned %v, want the call's own error", got)
		}
		wantState(t, b, breaker.Closed)
	})
	t.Run("the classifier and BeforeCall see it", func(t *testing.T) {
		type key struct{}
		mine := context.WithValue(ctx, key{}, "mine")
		seen := 0
		see := func(ctx context.Context) {
			if ctx.Value(key{}) == "mine" {
				seen++
			}
		}
		b := breaker.New("api", breaker.Settings{},
			breaker.WithListener(breaker.Listener{BeforeCall: func(ctx context.Context, _ *breaker.Breaker) { see(ctx) }}),
			breaker.WithClassifier(func(ctx context.Context, _ error) breaker.Outcome { see(ctx); return breaker.Failure }))
		p, _ := b.AllowContext(mine)
		_ = p.DoneContext(mine, errDown)
		if seen != 2 {
			t.Errorf("the context was seen %d times, want 2", seen)
		}
	})
	t.Run("a bypass holds", func(t *testing.T) {
		b := breaker.New("api", breaker.Settings{}, breaker.WithBypassAllowed())
		b.Open(breaker.Order{})
		urgent := breaker.WithBypass(ctx, "half-done migration")
		p, err := b.AllowContext(urgent)
		if err != nil {
			t.Fatalf("a call that is marked to bypass was rejected: %v", err)
		}
		_ = p.DoneContext(urgent, errDown)
		if s := b.Status(); s.Bypassed != 1 {
			t.Errorf("%d calls are on record as bypassing, want 1", s.Bypassed)
		}
	})
	t.Run("the error on trip", func(t *testing.T) {
		b := breaker.New("api", breaker.Settings{FailMax: 1}, breaker.WithErrorOnTrip())
		p, _ := b.AllowContext(ctx)
		if err := p.DoneContext(ctx, errDown); !errors.Is(err, breaker.ErrOpen) || !errors.Is(err, errDown) {
			t.Errorf("the tripping call gets %v, want the open error and its own", err)
		}
		if err := p.DoneContext(ctx, errDown); err != errDown {
			t.Errorf("an ended permit returns %v, want the call's own error", err)
		}
	})
}
