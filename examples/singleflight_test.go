package examples

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/switchgear-go/switchgear/breaker"
)

// Singleflight outside, breaker inside: a call that many callers share is one
// call to the dependency, and counts once.
//
// The shared call must not end because the caller who happened to be first
// went away, so it has a context of its own.
func Example_singleflight() {
	users := breaker.New("users", breaker.Settings{FailMax: 2})
	var group singleflight.Group
	load := func(ctx context.Context, id string, ask func(context.Context) (string, error)) <-chan singleflight.Result {
		return group.DoChan(id, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			return breaker.Do(ctx, users, ask)
		})
	}

	for range 2 {
		answer := make(chan error, 1)
		var callers []<-chan singleflight.Result
		for range 10 {
			callers = append(callers, load(context.Background(), "7", func(context.Context) (string, error) {
				return "", <-answer
			}))
		}
		answer <- errors.New("connection refused")
		for _, caller := range callers {
			<-caller
		}
		fmt.Println("ten callers,", users.FailCount(), "failures,", users.State())
	}
	// Output:
	// ten callers, 1 failures, closed
	// ten callers, 2 failures, open
}
