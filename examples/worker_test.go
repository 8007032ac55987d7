package examples

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// A worker that reads a queue: while the breaker is open it leaves the queue
// alone for as long as the rejection says, and loses no message.
func Example_worker() {
	mail := breaker.New("mail", breaker.Settings{FailMax: 2, ResetTimeout: 5 * time.Millisecond})
	queue := make(chan string, 10)
	for _, m := range []string{"one", "two", "three"} {
		queue <- m
	}
	close(queue)

	sends := 0
	send := func(_ context.Context, message string) error {
		if sends++; sends <= 3 {
			return errors.New("connection refused")
		}
		fmt.Println("sent", message)
		return nil
	}

	ctx := context.Background()
	waited := false
	for message := range queue {
		for done := false; !done; {
			err := mail.Do(ctx, func(ctx context.Context) error { return send(ctx, message) })
			var open *breaker.OpenError
			switch {
			case errors.As(err, &open):
				waited = true
				select {
				case <-time.After(max(open.RetryAfter(), time.Millisecond)):
				case <-ctx.Done():
					return
				}
			default:
				done = err == nil // else the same message again
			}
		}
	}
	fmt.Println("three failed sends, and the worker waited:", waited)
	// Output:
	// sent one
	// sent two
	// sent three
	// three failed sends, and the worker waited: true
}
