package migration_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afex/hystrix-go/hystrix"

	"github.com/switchgear-go/switchgear/breaker"
)

func Example_hystrixBefore() {
	ctx := context.Background()
	hystrix.ConfigureCommand("payments", hystrix.CommandConfig{
		Timeout:                1000,
		MaxConcurrentRequests:  10,
		RequestVolumeThreshold: 20,
		ErrorPercentThreshold:  50,
		SleepWindow:            30_000,
	})

	var receipt Receipt
	err := hystrix.DoC(ctx, "payments", func(ctx context.Context) (err error) {
		receipt, err = charge(ctx)
		return err
	}, func(context.Context, error) error {
		receipt = queued()
		return nil
	})
	fmt.Println(receipt, err)
	// Output: queued <nil>
}

var manager breaker.Manager

// There is no limit on concurrent calls: a semaphore or the client's own pool
// is that, and tells its errors apart.
func Example_hystrixAfter() {
	ctx := context.Background()
	payments, err := manager.Create("payments", breaker.Settings{
		FailMax:      -1, // the rate alone decides
		Window:       10 * time.Second,
		MinCalls:     20,
		FailureRate:  0.5,
		ResetTimeout: 30 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	receipt, err := breaker.Do(ctx, payments, func(ctx context.Context) (Receipt, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return charge(ctx)
	})
	if err != nil { // also when it matches breaker.ErrOpen
		receipt, err = queued(), nil
	}
	fmt.Println(receipt, err)
	fmt.Println(errors.Is(err, breaker.ErrOpen))
	// Output:
	// queued <nil>
	// false
}
