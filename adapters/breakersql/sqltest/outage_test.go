//go:build linux

package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// drivers are the two of PostgreSQL: one speaks in SQLSTATEs and broken
// connections, the other also in driver.ErrBadConn.
var drivers = []string{"pgx", "postgres"}

const reset = 100 * time.Millisecond

func openPostgres(t *testing.T, name string, p *postgres) (*sql.DB, *breaker.Breaker) {
	t.Helper()
	b := breaker.New(name, breaker.Settings{FailMax: 3, ResetTimeout: reset})
	db, err := breakersql.Open(name, p.dsn(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(fmt.Sprintf("CREATE TABLE %s (n int PRIMARY KEY)", name)); err != nil {
		t.Fatal(err)
	}
	return db, b
}

func query(ctx context.Context, db *sql.DB) error {
	var n int
	return db.QueryRowContext(ctx, "SELECT 1").Scan(&n)
}

func TestPostgres(t *testing.T) {
	p := newPostgres(t)
	for _, name := range drivers {
		t.Run(name, func(t *testing.T) {
			db, b := openPostgres(t, name, p)
			steps := []struct {
				name string
				test func(*testing.T, *postgres, *sql.DB, *breaker.Breaker)
			}{
				{"the database's answers are not failures", answers},
				{"callers who cancel are not failures", cancels},
				{"callers who cancel in a transaction are not failures", cancelsInATransaction},
				{"a time limit of the server is a failure", timeLimit},
				{"a connection that ends while rows are read", killedWhileReading},
				{"a transaction outlives the trip", transaction},
				{"stopped and started", stopped},
				{"paused and resumed", paused},
			}
			for _, step := range steps {
				t.Run(step.name, func(t *testing.T) {
					step.test(t, p, db, b)
					b.Close(breaker.Order{})
				})
			}
		})
	}
}

func answers(t *testing.T, _ *postgres, db *sql.DB, b *breaker.Breaker) {
	table := b.Name()
	if _, err := db.Exec("INSERT INTO " + table + " VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"INSERT INTO " + table + " VALUES (1)", // unique
		"INSERT INTO " + table + " VALUES (NULL)",
		"SELEC 1",
		"SELECT * FROM no_such_table",
		"SELECT 1/0",
		"SELECT 'x'::int",
	} {
		for range 5 {
			if _, err := db.Exec(statement); err == nil || errors.Is(err, breaker.ErrOpen) {
				t.Fatalf("%s: %v, want the database's own error", statement, err)
			}
		}
	}
	for range 5 {
		var n int
		if err := db.QueryRow("SELECT n FROM " + table + " WHERE n = 99").Scan(&n); err != sql.ErrNoRows {
			t.Fatal(err)
		}
	}
	if b.State() != breaker.Closed || b.FailCount() != 0 {
		t.Errorf("%s with %d failures after the database's answers, want closed and none", b.State(), b.FailCount())
	}
}

func cancelsInATransaction(t *testing.T, _ *postgres, db *sql.DB, b *breaker.Breaker) {
	for range 5 {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := tx.ExecContext(ctx, "SELECT pg_sleep(60)"); err == nil {
			t.Fatal("a cancelled statement ended well")
		}
		_ = tx.Rollback() // on a connection that the driver has given up
	}
	if b.FailCount() != 0 {
		t.Errorf("%d failures after callers cancelled, want none", b.FailCount())
	}
}

func cancels(t *testing.T, p *postgres, db *sql.DB, b *breaker.Breaker) {
	watcher, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	asleep := func() (n int) { // a cancel that comes before its query has begun is lost
		_ = watcher.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND wait_event = 'PgSleep'").Scan(&n)
		return n
	}
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := db.ExecContext(ctx, "SELECT pg_sleep(60)")
			failed <- err
		}()
		eventually(t, "the query runs", func() bool { return asleep() == 1 })
		cancel()
		if err := <-failed; err == nil || errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("%v, want a cancelled query", err)
		}
		eventually(t, "the query has ended", func() bool { return asleep() == 0 })
	}
	if b.FailCount() != 0 {
		t.Errorf("%d failures after callers cancelled, want none", b.FailCount())
	}
}

func timeLimit(t *testing.T, _ *postgres, db *sql.DB, b *breaker.Breaker) {
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(t.Context(), "SET statement_timeout = '10ms'"); err != nil {
		t.Fatal(err)
	}
	_, err = c.ExecContext(t.Context(), "SELECT pg_sleep(10)")
	if err == nil || b.FailCount() != 1 {
		t.Errorf("%v and %d failures, want a time-out that counts", err, b.FailCount())
	}
	_, _ = c.ExecContext(t.Context(), "RESET statement_timeout")
}

func killedWhileReading(t *testing.T, _ *postgres, db *sql.DB, b *breaker.Breaker) {
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var pid int
	if err := c.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	rows, err := c.QueryContext(t.Context(), "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)")
	if err != nil {
		t.Fatal(err)
	}
	rows.Next()
	if _, err := db.Exec("SELECT pg_terminate_backend($1)", pid); err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
	}
	if rows.Err() == nil || b.FailCount() != 1 {
		t.Errorf("%v and %d failures, want rows that break and a query that failed", rows.Err(), b.FailCount())
	}
	rows.Close()
}

func transaction(t *testing.T, _ *postgres, db *sql.DB, b *breaker.Breaker) {
	table := b.Name()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO " + table + " VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	b.Open(breaker.Order{})
	if _, err := tx.Exec("INSERT INTO " + table + " VALUES (8)"); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a statement while open got %v, want a rejection", err)
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("the commit while open: %v", err)
	}
	b.Close(breaker.Order{})
	var n int
	if err := db.QueryRow("SELECT count(*) FROM " + table + " WHERE n IN (7, 8)").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v, want the one that was committed", n, err)
	}
}

func stopped(t *testing.T, p *postgres, db *sql.DB, b *breaker.Breaker) {
	if err := query(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	p.stop()
	opens(t, db, b, t.Context())
	p.start()
	closes(t, db, b)
}

func paused(t *testing.T, p *postgres, db *sql.DB, b *breaker.Breaker) {
	if b.Name() == "postgres" {
		return // it keeps its callers past their deadlines until the server has answered its cancel request
	}
	if err := query(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	p.pause()
	defer p.resume()
	opens(t, db, b, nil)
	p.resume()
	closes(t, db, b)
}

// opens calls until the breaker is open: after FailMax failures, and not with
// a driver.ErrBadConn. ctx nil: with a deadline for each call.
func opens(t *testing.T, db *sql.DB, b *breaker.Breaker, ctx context.Context) {
	t.Helper()
	calls := 0
	for ; b.State() != breaker.Open; calls++ {
		limited := ctx
		if ctx == nil {
			var cancel context.CancelFunc
			limited, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
		}
		err := query(limited, db)
		if err == nil || errors.Is(err, breaker.ErrOpen) && b.State() != breaker.Open {
			t.Fatalf("call %d on a dead database: %v", calls, err)
		}
		if calls > 3 {
			t.Fatalf("%d calls failed and the breaker is %s with %d failures: %v", calls, b.State(), b.FailCount(), err)
		}
	}
	began := time.Now()
	if err := query(t.Context(), db); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a call while open got %v, want a rejection", err)
	}
	if took := time.Since(began); took > 50*time.Millisecond {
		t.Errorf("a rejection took %s", took)
	}
}

func closes(t *testing.T, db *sql.DB, b *breaker.Breaker) {
	t.Helper()
	eventually(t, "the breaker closes", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return query(ctx, db) == nil && b.State() == breaker.Closed
	})
}

// What the drivers offer beyond the common is there behind the breaker.
func TestPostgresBeyondTheCommon(t *testing.T) {
	p := newPostgres(t)
	t.Run("result sets and column types", func(t *testing.T) {
		for _, name := range drivers {
			bare, err := sql.Open(name, p.dsn())
			if err != nil {
				t.Fatal(err)
			}
			defer bare.Close()
			guarded, err := breakersql.Open(name, p.dsn(), breaker.New("db", breaker.Settings{}))
			if err != nil {
				t.Fatal(err)
			}
			defer guarded.Close()
			if got, want := describe(t, guarded), describe(t, bare); got != want {
				t.Errorf("%s guarded: %s\nbare:    %s", name, got, want)
			}
		}
	})
	t.Run("COPY by the old driver", func(t *testing.T) {
		db, err := breakersql.Open("postgres", p.dsn(), breaker.New("db", breaker.Settings{}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		must(t, tx, "CREATE TABLE copied (n int)")
		stmt, err := tx.Prepare("COPY copied (n) FROM STDIN")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			if _, err := stmt.Exec(n); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stmt.Exec(); err != nil {
			t.Fatal(err)
		}
		stmt.Close()
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM copied").Scan(&n); err != nil || n != 100 {
			t.Errorf("%d rows copied, %v", n, err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
	t.Run("types of the driver's own", func(t *testing.T) {
		for _, name := range drivers {
			db, err := breakersql.Open(name, p.dsn(), breaker.New("db", breaker.Settings{}))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var n int
			if err := db.QueryRow("SELECT array_length($1::int[], 1)", pq.Array([]int{1, 2, 3})).Scan(&n); err != nil || n != 3 {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
	})
}

func must(t *testing.T, tx *sql.Tx, statement string) {
	t.Helper()
	if _, err := tx.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// describe is all that a query says about its result.
func describe(t *testing.T, db *sql.DB) (said string) {
	t.Helper()
	rows, err := db.Query("SELECT 1::int8 AS a, 'x'::varchar(7) AS b, 1.5::numeric(10,2) AS c, NULL::timestamptz AS d")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range columns {
		length, hasLength := c.Length()
		nullable, hasNullable := c.Nullable()
		precision, scale, hasDecimal := c.DecimalSize()
		said += fmt.Sprintln(c.Name(), c.ScanType(), c.DatabaseTypeName(), length, hasLength, nullable, hasNullable, precision, scale, hasDecimal)
	}
	for rows.Next() {
		var a, b, c, d any
		if err := rows.Scan(&a, &b, &c, &d); err != nil {
			t.Fatal(err)
		}
		said += fmt.Sprintf("%v %v %s %v\n", a, b, c, d)
	}
	return said + fmt.Sprint(rows.NextResultSet(), rows.Err())
}
