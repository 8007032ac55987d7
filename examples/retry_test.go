package examples

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/switchgear-go/switchgear/breaker"
)

// Retry outside, breaker in the middle, time limit inside: each attempt is
// judged, one that hangs fails, and a rejection ends the retrying.
//
// The other way round, a breaker around the retries sees one failure where the
// dependency has refused ten times, and goes on sending ten for each.
func Example_retryAndTimeout() {
	ctx := context.Background()
	prices := breaker.New("prices", breaker.Settings{FailMax: 3})
	attempts := 0
	ask := func(ctx context.Context) (int, error) { // hangs
		attempts++
		<-ctx.Done()
		return 0, ctx.Err()
	}

	guarded := func(ctx context.Context) (int, error) {
		return breaker.Do(ctx, prices, func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			return ask(ctx)
		})
	}
	_, err := backoff.Retry(ctx, func() (int, error) {
		price, err := guarded(ctx)
		if errors.Is(err, breaker.ErrOpen) {
			err = backoff.Permanent(err) // it will not get better by asking again now
		}
		return price, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(time.Millisecond)), backoff.WithMaxTries(10))

	fmt.Println(attempts, "attempts of ten")
	fmt.Println(err)
	// Output:
	// 3 attempts of ten
	// prices: circuit breaker is open: 3 failures in a row; last error: context deadline exceeded
}
