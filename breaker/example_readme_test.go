package breaker_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/switchgear-go/switchgear/breaker"
)

type (
	Order   string
	Receipt string
)

// charge calls another service, which is down.
func charge(context.Context, Order) (Receipt, error) { return "", errors.New("connection refused") }

func queueForLater(o Order) (Receipt, error) { return Receipt("queued: " + o), nil }

var payments = breaker.New("payments", breaker.Settings{})

func pay(ctx context.Context, order Order) (Receipt, error) {
	receipt, err := breaker.Do(ctx, payments, func(ctx context.Context) (Receipt, error) {
		return charge(ctx, order)
	})
	if errors.Is(err, breaker.ErrOpen) {
		receipt, err = queueForLater(order) // the fallback: charge was not called
	}
	return receipt, err
}

// The example of the README: a call with a fallback.
func Example() {
	for range 5 {
		_, err := pay(context.Background(), "order 42")
		fmt.Println(err)
	}
	receipt, err := pay(context.Background(), "order 42")
	fmt.Println(receipt, err)
	fmt.Println(payments.Do(context.Background(), func(context.Context) error { return nil }))
	// Output:
	// connection refused
	// connection refused
	// connection refused
	// connection refused
	// connection refused
	// queued: order 42 <nil>
	// payments: circuit breaker is open: 5 failures in a row; last error: connection refused
}
