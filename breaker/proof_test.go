package breaker_test

import (
	"context"
	"errors"
)

var errProof = errors.New("down")

func proofOK(context.Context) error   { return nil }
func proofFail(context.Context) error { return errProof }

// onGoroutine runs f on a goroutine of its own, which f may exit, and waits.
func onGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
