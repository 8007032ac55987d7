package breaker

import (
	"context"
	"errors"
	"testing"
)

// What the tests inside the package have in common.

var errX = errors.New("connection refused")

func broken(context.Context) error { return errX }

func is(t *testing.T, b *Breaker, want State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Fatalf("%s is %s, want %s; why: %+v", b.ID(), got, want, b.Status().Transition)
	}
}
