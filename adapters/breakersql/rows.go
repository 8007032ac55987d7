package breakersql

import (
	"database/sql/driver"
	"io"
	"reflect"

	"github.com/switchgear-go/switchgear/breaker"
)

// rows tells the breaker how reading a query's rows ended. Every optional
// interface of driver.Rows is there: where the wrapped rows have one not, its
// method answers as database/sql does in its place.
type rows struct {
	driver.Rows
	call call
	over bool // the context had ended when the driver last returned
}

// rows makes r's end the end of the call: the permit is theirs from now on.
func (c *call) rows(r driver.Rows, err error) (driver.Rows, error) {
	if err != nil || r == nil {
		return r, c.end(err)
	}
	reading := &rows{Rows: r, call: *c}
	reading.call.idle = false // the database was there to begin an answer
	reading.leave()
	c.permit = breaker.Permit{}
	return wholeRows(reading), nil
}

// enter and leave are around what the driver does. A deadline that passes
// between two steps passes by the slowness of the one who reads.
func (r *rows) enter() {
	if !r.over && r.call.outOfTime() {
		r.call.late = true
	}
}

func (r *rows) leave() { r.over = r.call.ctx.Err() != nil }

func (r *rows) Next(dest []driver.Value) error {
	r.enter()
	return r.next(r.Rows.Next(dest))
}

// next takes note of how the step to the next row ended.
func (r *rows) next(err error) error {
	r.leave()
	r.call.permit.Answered() // slow is what takes long to the first row
	if err == io.EOF {
		if !r.HasNextResultSet() {
			_ = r.call.end(nil)
		}
		return io.EOF
	}
	if err != nil {
		return r.call.end(err)
	}
	return nil
}

// Close before the end is a success: the database answered, and the caller has
// seen enough.
func (r *rows) Close() error {
	r.enter()
	return r.call.end(r.Rows.Close())
}

func (r *rows) HasNextResultSet() bool {
	n, ok := r.Rows.(driver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	n, ok := r.Rows.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	r.enter()
	err := n.NextResultSet()
	r.leave()
	if err == io.EOF {
		_ = r.call.end(nil)
		return io.EOF
	}
	if err != nil {
		return r.call.end(err)
	}
	return nil
}

func (r *rows) ColumnTypeScanType(index int) reflect.Type {
	if c, ok := r.Rows.(driver.RowsColumnTypeScanType); ok {
		return c.ColumnTypeScanType(index)
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeDatabaseTypeName(index int) string {
	if c, ok := r.Rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return c.ColumnTypeDatabaseTypeName(index)
	}
	return ""
}

func (r *rows) ColumnTypeLength(index int) (length int64, ok bool) {
	if c, ok := r.Rows.(driver.RowsColumnTypeLength); ok {
		return c.ColumnTypeLength(index)
	}
	return 0, false
}

func (r *rows) ColumnTypeNullable(index int) (nullable, ok bool) {
	if c, ok := r.Rows.(driver.RowsColumnTypeNullable); ok {
		return c.ColumnTypeNullable(index)
	}
	return false, false
}

func (r *rows) ColumnTypePrecisionScale(index int) (precision, scale int64, ok bool) {
	if c, ok := r.Rows.(driver.RowsColumnTypePrecisionScale); ok {
		return c.ColumnTypePrecisionScale(index)
	}
	return 0, 0, false
}
