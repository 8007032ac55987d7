package migration_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/switchgear-go/switchgear/breaker"
)

func Example_failsafeBefore() {
	ctx := context.Background()
	cb := circuitbreaker.NewBuilder[Response]().
		HandleIf(func(r Response, err error) bool { return err != nil || r.Status >= 500 }).
		WithFailureThreshold(3).
		WithSuccessThreshold(2).
		WithDelay(30 * time.Second).
		Build()

	for range 4 {
		_, err := failsafe.With(cb).WithContext(ctx).Get(func() (Response, error) { return get(ctx) })
		fmt.Println(errors.Is(err, circuitbreaker.ErrOpen))
	}
	fmt.Println(cb.State())
	// Output:
	// false
	// false
	// false
	// true
	// open
}

func Example_failsafeAfter() {
	ctx := context.Background()
	b := breaker.New("api", breaker.Settings{
		FailMax:          3,
		SuccessThreshold: 2,
		ResetTimeout:     30 * time.Second,
	})
	judge := func(r Response, err error) breaker.Outcome {
		if r.Status >= 500 {
			return breaker.Failure
		}
		return breaker.DefaultClassifier(ctx, err)
	}

	for range 4 {
		_, err := breaker.DoResult(ctx, b, get, judge)
		fmt.Println(errors.Is(err, breaker.ErrOpen))
	}
	fmt.Println(b.State())
	// Output:
	// false
	// false
	// false
	// true
	// open
}
