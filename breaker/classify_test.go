package breaker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// I4, and what is a failure at all.
func TestOutcomes(t *testing.T) {
	canceled, cancel := context.WithCancelCause(bg)
	errGone := errors.New("client went away")
	cancel(errGone)
	expired, stop := context.WithDeadline(bg, time.Now().Add(-time.Second))
	defer stop()
	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want int // consecutive failures after one failure and this call
	}{
		{"success", bg, nil, 0},
		{"error", bg, errX, 2},
		{"wrapped excluded", bg, fmt.Errorf("row: %w", errNotFound), 0},
		{"excluded type", bg, &validationError{"name"}, 0},
		{"excluded by predicate", bg, errors.New("teapot"), 0},
		{"canceled by the caller", canceled, context.Canceled, 1},
		{"canceled, told by cause", canceled, fmt.Errorf("get: %w", errGone), 1},
		{"canceled, other error", canceled, errX, 1},
		{"canceled elsewhere", bg, context.Canceled, 2},
		{"a deadline that had passed before", expired, context.DeadlineExceeded, 1},
		{"a deadline within", bg, context.DeadlineExceeded, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := New("db", Settings{}, WithExcluded(
				ErrorIs(errNotFound), ErrorAs[*validationError](),
				ErrorIf(func(err error) bool { return err.Error() == "teapot" })))
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

func TestClassifierReplacesDefault(t *testing.T) {
	b := New("db", Settings{}, WithExcluded(ErrorIs(errX)),
		WithClassifier(func(_ context.Context, err error) Outcome {
			switch {
			case err == nil:
				t.Error("the classifier was called without an error")
			case errors.Is(err, errNotFound):
				return Ignored
			case err.Error() == "panic":
				panic("in the classifier")
			}
			return Failure
		}))
	for i, err := range []error{errX, errNotFound, errors.New("panic")} {
		_ = b.Do(bg, func(context.Context) error { return err })
		if got, want := b.FailCount(), []int{1, 1, 2}[i]; got != want {
			t.Errorf("after %v: %d failures, want %d", err, got, want)
		}
	}
	_ = b.Do(bg, nop)
	if s := b.Status(); s.Panics != 1 {
		t.Errorf("status counts %d panics of user code, want 1", s.Panics)
	}
}
