package migration_test

import (
	"context"
	"fmt"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

func Example_pybreakerAfter() {
	ctx := context.Background()
	db := breaker.New("db", breaker.Settings{FailMax: 5, ResetTimeout: 60 * time.Second},
		breaker.WithExcluded(breaker.ErrorIs(errNotFound)),
		breaker.WithListener(breaker.Listener{
			Failure: func(b *breaker.Breaker, err error) { fmt.Println(b.ID(), "failed:", err) },
		}),
	)
	updateCustomer := breaker.Wrap(db, func(ctx context.Context, id int) (Receipt, error) {
		return charge(ctx)
	})

	_, err := updateCustomer(ctx, 7)
	fmt.Println(err, db.FailCount(), db.State())
	_ = db.Open(breaker.Order{Actor: "ana", Reason: "maintenance"})
	fmt.Println(db.State())
	// Output:
	// db failed: connection refused
	// connection refused 1 closed
	// open
}
