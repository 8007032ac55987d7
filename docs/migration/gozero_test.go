package migration_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	gozero "github.com/zeromicro/go-zero/core/breaker"

	"github.com/switchgear-go/switchgear/breaker"
)

func Example_gozeroBefore() {
	ctx := context.Background()
	acceptable := func(err error) bool { return err == nil || errors.Is(err, errNotFound) }

	var receipt Receipt
	err := gozero.DoWithFallbackAcceptable("payments", func() (err error) {
		receipt, err = find(ctx)
		return err
	}, func(error) error {
		receipt = queued()
		return nil
	}, acceptable)
	fmt.Printf("%q %v\n", receipt, err)
	// Output: "" no such order
}

// go-zero throttles: the more calls fail, the larger the share that it rejects,
// and it has no open state. A rate with several probes and a ramp comes
// nearest: it opens, and lets a growing share of the calls back in.
func Example_gozeroAfter() {
	ctx := context.Background()
	b := breaker.New("payments", breaker.Settings{
		FailMax:      -1,
		FailureRate:  0.5,
		ResetTimeout: 5 * time.Second,
		Probes:       3,
		Ramp:         10 * time.Second,
	}, breaker.WithExcluded(breaker.ErrorIs(errNotFound)))

	receipt, err := breaker.Do(ctx, b, find)
	if errors.Is(err, breaker.ErrOpen) {
		receipt, err = queued(), nil
	}
	fmt.Printf("%q %v\n", receipt, err)
	// Output: "" no such order
}
