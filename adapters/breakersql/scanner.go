//go:build go1.27

package breakersql

import "database/sql/driver"

// scanningRows are rows of a driver that scans columns by itself. database/sql
// then calls NextRow in place of Next, so they are a type of their own.
type scanningRows struct {
	*rows
	scanner driver.RowsColumnScanner
}

func (r scanningRows) NextRow() error {
	r.enter()
	return r.next(r.scanner.NextRow())
}

// ScanColumn touches the row that is there: what it says is not evidence.
func (r scanningRows) ScanColumn(ctx driver.ScanContext, index int, dest any) error {
	return r.scanner.ScanColumn(ctx, index, dest)
}

// wholeRows is r with what its driver's rows have beyond driver.Rows.
func wholeRows(r *rows) driver.Rows {
	if s, ok := r.Rows.(driver.RowsColumnScanner); ok {
		return scanningRows{r, s}
	}
	return r
}
