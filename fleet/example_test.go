package fleet_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/fleet/fleettest"
)

// One line joins. A store that is away is not an error: the breakers act by
// themselves until it answers.
func ExampleJoin() {
	run := func(ctx context.Context) error {
		var manager breaker.Manager
		client := redis.NewClient(&redis.Options{Addr: "redis:6379"})
		f, err := fleet.Join(ctx, &manager, fleet.Options{Redis: client, Group: "checkout", Zone: "eu-1a"})
		if err != nil {
			return err // the options are invalid; an unreachable store is not an error
		}
		defer f.Close()
		fmt.Println(f.State().Group, f.State().Alone)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(run(ctx))
	// Output:
	// checkout true
	// <nil>
}

// Tests of your own program need no server.
func ExampleJoin_inMemory() {
	var manager breaker.Manager
	f, err := fleet.Join(context.Background(), &manager, fleet.Options{Store: fleettest.NewStore(), Group: "checkout"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	for !f.State().Joined {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println(f.State().Members)
	// Output: 1
}
