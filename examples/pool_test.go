package examples

import (
	"context"
	"errors"
	"fmt"

	_ "modernc.org/sqlite"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// A database pool behind a breaker: the only line that differs is the one that
// opens it.
func Example_databasePool() {
	ctx := context.Background()
	manager := breaker.NewManager(breaker.Settings{})
	db, err := breakersql.Open("sqlite", ":memory:", manager.Breaker("db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	if _, err := db.ExecContext(ctx, "CREATE TABLE names (name TEXT UNIQUE)"); err != nil {
		fmt.Println(err)
		return
	}
	for range 10 { // nine times the database says no, which is an answer
		_, _ = db.ExecContext(ctx, "INSERT INTO names VALUES ('Ada')")
	}
	fmt.Println(manager.Breaker("db").State())

	manager.Breaker("db").ForceOpen(breaker.Order{Actor: "ann", Reason: "moving the database"})
	var name string
	err = db.QueryRowContext(ctx, "SELECT name FROM names").Scan(&name)
	if errors.Is(err, breaker.ErrOpen) {
		fmt.Println("from the cache:", err)
	}
	// Output:
	// closed
	// from the cache: db: circuit breaker is open (forced): forced open by ann ("moving the database")
}
