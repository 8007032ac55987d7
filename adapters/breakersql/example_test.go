package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// connector stands for the driver's; its database is down.
var connector driver.Connector = &fake{err: map[string]error{"connect": errors.New("connection refused")}}

// Everything that goes through db is guarded, an ORM's calls too.
func Example() {
	ctx := context.Background()
	db := sql.OpenDB(breakersql.Connector(connector, breaker.New("db", breaker.Settings{FailMax: 3})))
	defer db.Close()

	for range 4 {
		_, err := db.ExecContext(ctx, "UPDATE accounts SET balance = 0")
		fmt.Println(err)
	}
	// Output:
	// connection refused
	// connection refused
	// connection refused
	// db: circuit breaker is open: 3 failures in a row; last error: connection refused
}

func ExampleOpen() {
	sql.Register("example", &fake{})
	db, err := breakersql.Open("example", "dsn", breaker.New("db", breaker.Settings{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	fmt.Println(db.Ping())
	// Output: <nil>
}

// For a library that wants the name of a driver.
func ExampleDriver() {
	db := breaker.New("db", breaker.Settings{})
	sql.Register("example-guarded", breakersql.Driver(&fake{}, db))
	db.ForceOpen(breaker.Order{Actor: "ann"})

	pool, err := sql.Open("example-guarded", "dsn")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	fmt.Println(errors.Is(pool.Ping(), breaker.ErrOpen))
	// Output: true
}

// What a database says that Classify does not know, or that means something
// else here.
func ExampleWithClassifier() {
	readOnly := "25006" // PostgreSQL's word for a primary that has become a replica
	b := breaker.New("db", breaker.Settings{})
	db := sql.OpenDB(breakersql.Connector(&fake{err: map[string]error{"exec": stateError(readOnly)}}, b,
		breakersql.WithClassifier(func(err error) breaker.Outcome {
			var state interface{ SQLState() string }
			if errors.As(err, &state) && state.SQLState() == readOnly {
				return breaker.Failure
			}
			return breakersql.Classify(err)
		})))
	defer db.Close()
	_, _ = db.Exec("UPDATE accounts SET balance = 0")
	fmt.Println(b.FailCount())
	// Output: 1
}
