package breakerpgx

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// rows reports to the breaker how reading a query's rows ended.
type rows struct {
	pgx.Rows
	call *call
	err  error // once the call has ended
}

// Next is pgx.Rows.Next. It ends the call when there are no more rows.
func (r *rows) Next() bool {
	r.call.enter()
	more := r.Rows.Next()
	if more {
		r.call.permit.Answered() // a query is slow by the time to its first row
	} else {
		r.end()
	}
	return more
}

// Scan is pgx.Rows.Scan. An error closes the rows.
func (r *rows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.end()
	}
	return err
}

// Values is pgx.Rows.Values. An error closes the rows.
func (r *rows) Values() ([]any, error) {
	v, err := r.Rows.Values()
	if err != nil {
		r.end()
	}
	return v, err
}

// Close reads what is left. Before the last row it is a success: the database
// answered, and the caller has seen enough.
func (r *rows) Close() {
	r.call.enter()
	r.Rows.Close()
	r.end()
}

// Err is pgx.Rows.Err.
func (r *rows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}

func (r *rows) end() {
	if r.call.running {
		r.Rows.Close()
		r.err = r.call.end(r.Rows.Err())
	}
}

// row reports to the breaker how a query of one row ended.
type row struct {
	row  pgx.Row
	call *call
}

// Scan is pgx.Row.Scan.
func (r *row) Scan(dest ...any) error {
	r.call.enter()
	returned := false
	defer r.call.unwind(&returned)
	err := r.row.Scan(dest...)
	returned = true
	return r.call.end(err)
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// failedRows are rows in an error state, as pgx returns them with an error.
type failedRows struct{ err error }

func (failedRows) Close()                                       {}
func (r failedRows) Err() error                                 { return r.err }
func (failedRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (failedRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (failedRows) Next() bool                                   { return false }
func (r failedRows) Scan(...any) error                          { return r.err }
func (r failedRows) Values() ([]any, error)                     { return nil, r.err }
func (failedRows) RawValues() [][]byte                          { return nil }
func (failedRows) Conn() *pgx.Conn                              { return nil }
func (failedRows) TypeMap() *pgtype.Map                         { return nil }
