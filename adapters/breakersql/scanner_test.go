//go:build go1.27

package breakersql_test

import (
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// scanned are rows of a driver that scans columns by itself.
type scanned struct{ *fakeRows }

func (r scanned) NextRow() error { return r.Next(make([]driver.Value, 1)) }
func (r scanned) ScanColumn(_ driver.ScanContext, index int, dest any) error {
	*dest.(*[]int) = []int{index, r.read}
	return nil
}

func TestRowsThatScanByThemselves(t *testing.T) {
	for _, test := range []struct {
		err  error
		want [2]int
	}{{nil, [2]int{1, 0}}, {errBroken, [2]int{0, 1}}} {
		var seen outcomes
		b := breaker.New("db", breaker.Settings{}, breaker.WithListener(seen.listener()))
		f := &fake{rows: 2, wrap: func(r *fakeRows) driver.Rows { return scanned{r} }}
		db := sql.OpenDB(breakersql.Connector(f, b))
		defer db.Close()
		rows, err := db.Query("x")
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; rows.Next(); n++ {
			var got []int
			if err := rows.Scan(&got); err != nil || len(got) != 2 || got[1] != n {
				t.Errorf("row %d is %v, %v, want what the driver scanned", n, got, err)
			}
			f.set("next", test.err)
		}
		if rows.Err() != test.err || seen.got() != test.want {
			t.Errorf("%v, and %v, want %v and %v", rows.Err(), seen.got(), test.err, test.want)
		}
	}
}
