package breakerotel_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerotel"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.NewSet[string]("hosts", breaker.Settings{FailMax: 2}, breaker.SetOptions{}).Breaker("a")
		do := func(fn func(context.Context) error) func(context.Context) {
			return func(ctx context.Context) {
				_, _ = breakerotel.Do(ctx, b, func(ctx context.Context) (int, error) { return 0, fn(ctx) })
			}
		}
		for _, step := range []struct {
			what string
			fn   func(context.Context) error
			wait time.Duration
			want []string
		}{
			{"a success", up, 0, nil},
			{"a failure", down, 0, nil},
			{"the failure that trips", down, 0, []string{"transition cause=consecutive-failures from=closed key=a name=hosts state=open"}},
			{"a rejection", up, 0, []string{"rejected cause=consecutive-failures key=a name=hosts retry_after=60 state=open"}},
			{"the probe that closes", up, time.Minute + time.Second, []string{
				"transition cause=open-time-elapsed from=open key=a name=hosts state=half-open",
				"transition cause=probes-passed from=half-open key=a name=hosts state=closed",
			}},
		} {
			time.Sleep(step.wait)
			if got := events(t, do(step.fn)); !slices.Equal(got, step.want) {
				t.Errorf("%s has the events %q, want %q", step.what, got, step.want)
			}
		}
	})
}

func TestPanicThatTripsHasItsEvent(t *testing.T) {
	b := breaker.New("api", breaker.Settings{FailMax: 1})
	got := events(t, func(ctx context.Context) {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not go on")
			}
		}()
		_, _ = breakerotel.Do(ctx, b, func(context.Context) (int, error) { panic("a bug") })
	})
	if want := []string{"transition cause=consecutive-failures from=closed name=api state=open"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}

func TestRecordRejection(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	b.ForceOpen(breaker.Order{})
	_, open := b.Allow()
	got := events(t, func(ctx context.Context) {
		if !breakerotel.RecordRejection(ctx, fmt.Errorf("get orders: %w", open)) {
			t.Error("a rejection was not known as one")
		}
		if breakerotel.RecordRejection(ctx, errDown) || breakerotel.RecordRejection(ctx, nil) {
			t.Error("something else was taken for a rejection")
		}
	})
	if want := []string{"rejected cause=order name=api state=forced-open"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
	if !breakerotel.RecordRejection(t.Context(), open) { // no span
		t.Error("a rejection was not known as one")
	}
}
