package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// instant is a driver that does nothing, which leaves the cost of database/sql
// and of the breaker.
type instant struct{}

func (instant) Connect(context.Context) (driver.Conn, error) { return instant{}, nil }
func (instant) Driver() driver.Driver                        { return nil }
func (instant) Close() error                                 { return nil }
func (instant) Begin() (driver.Tx, error)                    { return instant{}, nil }
func (instant) Commit() error                                { return nil }
func (instant) Rollback() error                              { return nil }
func (instant) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (instant) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (instant) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &fakeRows{f: &fake{}}, nil
}

func BenchmarkSQL(b *testing.B) {
	for _, bench := range []struct {
		name string
		c    driver.Connector
	}{
		{"bare", instant{}},
		{"guarded", breakersql.Connector(instant{}, breaker.New("db", breaker.Settings{}))},
	} {
		db := sql.OpenDB(bench.c)
		b.Run("exec/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := db.ExecContext(b.Context(), "x"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("query/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rows, err := db.QueryContext(b.Context(), "x")
				if err != nil {
					b.Fatal(err)
				}
				rows.Close()
			}
		})
		b.Run("transaction/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tx, err := db.Begin()
				if err != nil {
					b.Fatal(err)
				}
				if err := tx.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
		db.Close()
	}
	open := breaker.New("open", breaker.Settings{})
	open.Open(breaker.Order{})
	db := sql.OpenDB(breakersql.Connector(instant{}, open))
	defer db.Close()
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := db.ExecContext(b.Context(), "x"); err == nil {
				b.Fatal("not open")
			}
		}
	})
}
