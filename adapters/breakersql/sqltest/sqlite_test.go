package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
	_ "modernc.org/sqlite"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

func openSQLite(t testing.TB, path string) (*sql.DB, *breaker.Breaker) {
	t.Helper()
	b := breaker.New("sqlite", breaker.Settings{FailMax: 3})
	db, err := breakersql.Open("sqlite", path, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, b
}

func TestSQLite(t *testing.T) {
	db, b := openSQLite(t, filepath.Join(t.TempDir(), "db"))
	if _, err := db.Exec("CREATE TABLE things (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if res, err := tx.Exec("INSERT INTO things (name) VALUES (?)", fmt.Sprint("thing ", n)); err != nil {
			t.Fatal(err)
		} else if id, err := res.LastInsertId(); err != nil || id != int64(n+1) {
			t.Errorf("id %d, %v, want %d", id, err, n+1)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := db.Exec("INSERT INTO things (name) VALUES ('thing 1')"); err == nil {
			t.Fatal("no constraint")
		}
		if _, err := db.Exec("INSERT INTO nothing VALUES (1)"); err == nil {
			t.Fatal("no error of a missing table")
		}
		var n int
		if err := db.QueryRow("SELECT n FROM things WHERE name = 'x'").Scan(&n); err != sql.ErrNoRows {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = db.ExecContext(ctx, "SELECT 1")
	if b.State() != breaker.Closed || b.FailCount() != 0 {
		t.Errorf("%s with %d failures, want closed and none", b.State(), b.FailCount())
	}
	b.Open(breaker.Order{})
	if _, err := db.Exec("DELETE FROM things"); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("%v, want a rejection", err)
	}
	b.Close(breaker.Order{})
	var n int
	if err := db.QueryRow("SELECT count(*) FROM things").Scan(&n); err != nil || n != 10 {
		t.Errorf("%d things, %v, want 10", n, err)
	}
}

// To SQLite, a file that is not a database, or cannot be opened, is what an
// outage is to a server.
func TestSQLiteWithoutItsFile(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(foreign, []byte("this is no database, it is a text of some length"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"foreign": foreign,
		"no dir":  filepath.Join(t.TempDir(), "no", "such", "dir", "db"),
	} {
		t.Run(name, func(t *testing.T) {
			db, b := openSQLite(t, path)
			for range 3 {
				if _, err := db.Exec("CREATE TABLE x (n int)"); err == nil || errors.Is(err, breaker.ErrOpen) {
					t.Fatalf("%v, want the driver's error", err)
				}
			}
			if b.State() != breaker.Open {
				t.Errorf("%s with %d failures after three, want open", b.State(), b.FailCount())
			}
		})
	}
}

// The drivers' own error types are found by their shape.
func TestClassifyTheDriversErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want breaker.Outcome
	}{
		{&pgconn.PgError{Code: "23505"}, breaker.Success},
		{&pgconn.PgError{Code: "57P01"}, breaker.Failure},
		{&pq.Error{Code: "23505"}, breaker.Success},
		{&pq.Error{Code: "53300"}, breaker.Failure},
		{&mysql.MySQLError{Number: 1062}, breaker.Success},
		{&mysql.MySQLError{Number: 1040}, breaker.Failure},
		{fmt.Errorf("insert: %w", &mysql.MySQLError{Number: 1053}), breaker.Failure},
		{mysql.ErrInvalidConn, breaker.Failure},
	} {
		if got := breakersql.Classify(test.err); got != test.want {
			t.Errorf("%T %v: %s, want %s", test.err, test.err, got, test.want)
		}
	}
}
