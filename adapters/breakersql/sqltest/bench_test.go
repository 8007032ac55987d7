package sqltest

import (
	"database/sql"
	"testing"
)

// BenchmarkSQLite is the cost of a call with and without the breaker, where
// the database is nearest.
func BenchmarkSQLite(b *testing.B) {
	bare, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	guarded, _ := openSQLite(b, ":memory:")
	for _, bench := range []struct {
		name string
		db   *sql.DB
	}{{"bare", bare}, {"guarded", guarded}} {
		bench.db.SetMaxOpenConns(1)
		if _, err := bench.db.Exec("CREATE TABLE t (n int)"); err != nil {
			b.Fatal(err)
		}
		b.Run("exec/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.db.Exec("DELETE FROM t WHERE n = 1"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("query/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var n int
				if err := bench.db.QueryRow("SELECT 1").Scan(&n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
