package breakerpgx_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/switchgear-go/switchgear/adapters/breakerpgx"
	"github.com/switchgear-go/switchgear/breaker"
)

// One line guards a pool. Nothing listens on the port, so two calls fail and
// the third is not tried.
func Example() {
	ctx := context.Background()
	b := breaker.New("db", breaker.Settings{FailMax: 2})
	pool, err := breakerpgx.New(ctx, "postgres://user@127.0.0.1:1/db", b)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	for range 3 {
		_, err := pool.Exec(ctx, "UPDATE stock SET n = n - 1 WHERE id = $1", 7)
		fmt.Println("rejected:", errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// rejected: false
	// rejected: false
	// rejected: true
}

// Helpers that ask for an interface take the guarded pool as it is.
func ExamplePool_Begin() {
	ctx := context.Background()
	b := breaker.New("db", breaker.Settings{})
	pool, err := breakerpgx.New(ctx, "postgres://user@127.0.0.1:1/db", b)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	b.ForceOpen(breaker.Order{Actor: "ann", Reason: "moving the database"})
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE stock SET n = n - 1 WHERE id = $1", 7)
		return err
	})
	fmt.Println(err)
	// Output: db: circuit breaker is open (forced): forced open by ann ("moving the database")
}
