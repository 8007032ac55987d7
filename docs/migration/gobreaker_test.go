package migration_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/switchgear-go/switchgear/breaker"
)

func Example_gobreakerBefore() {
	ctx := context.Background()
	cb := gobreaker.NewCircuitBreaker[Receipt](gobreaker.Settings{
		Name:    "payments",
		Timeout: 30 * time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= 3
		},
		IsSuccessful: func(err error) bool {
			return err == nil || errors.Is(err, errNotFound)
		},
		OnStateChange: func(name string, from, to gobreaker.State) {
			fmt.Println(name, from, "->", to)
		},
	})

	for range 4 {
		_, err := cb.Execute(func() (Receipt, error) { return charge(ctx) })
		fmt.Println(errors.Is(err, gobreaker.ErrOpenState))
	}
	// Output:
	// false
	// false
	// payments closed -> open
	// false
	// true
}

func Example_gobreakerAfter() {
	ctx := context.Background()
	b := breaker.New("payments", breaker.Settings{
		ResetTimeout: 30 * time.Second,
		FailMax:      3,
	},
		breaker.WithExcluded(breaker.ErrorIs(errNotFound)),
		breaker.WithListener(breaker.Listener{
			StateChange: func(b *breaker.Breaker, t breaker.Transition) {
				fmt.Println(b.ID(), t.From, "->", t.To)
			},
		}),
	)

	for range 4 {
		_, err := breaker.Do(ctx, b, charge)
		fmt.Println(errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// false
	// false
	// payments closed -> open
	// false
	// true
}
