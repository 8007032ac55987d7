package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// resultSets are rows of two result sets.
type resultSets struct {
	*fakeRows
	sets int
}

func (r *resultSets) HasNextResultSet() bool { return r.sets < 2 }
func (r *resultSets) NextResultSet() error {
	if r.sets++; r.sets > 1 {
		return io.EOF
	}
	r.read = 0
	return r.f.op(r.ctx, "next set")
}

// described are rows that describe all of their columns.
type described struct{ *fakeRows }

func (described) ColumnTypeScanType(int) reflect.Type               { return reflect.TypeFor[int64]() }
func (described) ColumnTypeDatabaseTypeName(int) string             { return "INT8" }
func (described) ColumnTypeLength(int) (int64, bool)                { return 8, true }
func (described) ColumnTypeNullable(int) (bool, bool)               { return true, true }
func (described) ColumnTypePrecisionScale(int) (int64, int64, bool) { return 19, 1, true }

// Result sets and column types are as without the breaker, whether or not the
// driver's rows know of them.
func TestRowsBehaveAsWithoutUs(t *testing.T) {
	for name, test := range map[string]struct {
		wrap func(*fakeRows) driver.Rows
		set  error // how the second result set begins
		want [2]int
	}{
		"plain":             {func(r *fakeRows) driver.Rows { return r }, nil, [2]int{1, 0}},
		"result sets":       {func(r *fakeRows) driver.Rows { return &resultSets{fakeRows: r} }, nil, [2]int{1, 0}},
		"a set that breaks": {func(r *fakeRows) driver.Rows { return &resultSets{fakeRows: r} }, errBroken, [2]int{0, 1}},
		"described":         {func(r *fakeRows) driver.Rows { return described{r} }, nil, [2]int{1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("db", breaker.Settings{}, breaker.WithListener(seen.listener()))
			said := map[bool]string{}
			for _, guard := range []bool{false, true} {
				f := &fake{rows: 2, wrap: test.wrap, err: map[string]error{"next set": test.set}}
				var c driver.Connector = f
				if guard {
					c = breakersql.Connector(f, b)
				}
				db := sql.OpenDB(c)
				said[guard] = readAll(t, db) + f.asked()
				db.Close()
			}
			if said[true] != said[false] {
				t.Errorf("guarded: %s\nbare:    %s", said[true], said[false])
			}
			if got := seen.got(); got != test.want {
				t.Errorf("%d good and %d bad, want %v", got[0], got[1], test.want)
			}
		})
	}
}

func readAll(t *testing.T, db *sql.DB) (said string) {
	t.Helper()
	rows, err := db.Query("x")
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
		said += fmt.Sprint(c.Name(), c.ScanType(), c.DatabaseTypeName(), length, hasLength, nullable, hasNullable, precision, scale, hasDecimal, ";")
	}
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			said += fmt.Sprint(rows.Scan(&n), n, ";")
		}
		said += "end;"
	}
	return said + fmt.Sprint(rows.Err(), ";")
}

// A deadline that passes while the program does something else than read is
// its own doing. One that passes while the driver waits for a row is not.
func TestDeadlineOfAReader(t *testing.T) {
	for name, test := range map[string]struct {
		reader time.Duration // what it does between the first row and the second
		hangs  bool          // the second row does not come
		want   [2]int
	}{
		"in time":          {0, false, [2]int{1, 0}},
		"the reader waits": {time.Hour, false, [2]int{0, 0}},
		"the driver waits": {0, true, [2]int{0, 1}},
	} {
		for _, scan := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, scan %v", name, scan), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var seen outcomes
					b := breaker.New("db", breaker.Settings{}, breaker.WithListener(seen.listener()))
					rows := 0
					f := &fake{rows: 3, do: map[string]func(context.Context) error{
						"next": func(ctx context.Context) error {
							if rows++; rows == 2 && test.hangs {
								<-ctx.Done()
							}
							return ctx.Err()
						},
						"rows.close": func(ctx context.Context) error { return ctx.Err() },
					}}
					db := openFake(t, f, b)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					r, err := db.QueryContext(ctx, "x")
					if err != nil {
						t.Fatal(err)
					}
					r.Next()
					time.Sleep(test.reader) // database/sql closes the rows by itself
					for (scan || test.hangs) && r.Next() {
					}
					_ = r.Close()
					if got := seen.got(); got != test.want {
						t.Errorf("%d good and %d bad, want %v: %v", got[0], got[1], test.want, r.Err())
					}
				})
			})
		}
	}
}
