package breakersql

import (
	"context"
	"database/sql/driver"
)

// stmt guards a prepared statement. It is built like conn: CheckNamedValue is
// always there, the others if the wrapped statement has them.
type stmt struct {
	driver.Stmt
	c *conn
}

// stmt guards s, or returns nil if there is none.
func (c *conn) stmt(s driver.Stmt) driver.Stmt {
	if s == nil {
		return nil
	}
	g := &stmt{s, c}
	e, execs := s.(driver.StmtExecContext)
	q, queries := s.(driver.StmtQueryContext)
	v, converts := s.(driver.ColumnConverter) //nolint:staticcheck // deprecated, and still served
	x, y, z := stmtExecer{g, e}, stmtQueryer{g, q}, converter{v}
	switch {
	case execs && queries && converts:
		return struct {
			*stmt
			stmtExecer
			stmtQueryer
			converter
		}{g, x, y, z}
	case execs && queries:
		return struct {
			*stmt
			stmtExecer
			stmtQueryer
		}{g, x, y}
	case execs && converts:
		return struct {
			*stmt
			stmtExecer
			converter
		}{g, x, z}
	case queries && converts:
		return struct {
			*stmt
			stmtQueryer
			converter
		}{g, y, z}
	case execs:
		return struct {
			*stmt
			stmtExecer
		}{g, x}
	case queries:
		return struct {
			*stmt
			stmtQueryer
		}{g, y}
	case converts:
		return struct {
			*stmt
			converter
		}{g, z}
	default:
		return g
	}
}

// CheckNamedValue asks the statement, or else its connection, as database/sql
// does.
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return s.c.CheckNamedValue(v)
}

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.exec(context.Background(), func() (driver.Result, error) {
		return s.Stmt.Exec(args) //nolint:staticcheck // the only way of a statement without ExecContext
	})
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.query(context.Background(), func() (driver.Rows, error) {
		return s.Stmt.Query(args) //nolint:staticcheck // the only way of a statement without QueryContext
	})
}

func (s *stmt) exec(ctx context.Context, exec func() (driver.Result, error)) (driver.Result, error) {
	call, err := s.c.g.begin(ctx, s.c, work)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	res, err := exec()
	return res, call.end(err)
}

func (s *stmt) query(ctx context.Context, query func() (driver.Rows, error)) (driver.Rows, error) {
	call, err := s.c.g.begin(ctx, s.c, work)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	return call.rows(query())
}

type stmtExecer struct {
	s *stmt
	e driver.StmtExecContext
}

func (x stmtExecer) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return x.s.exec(ctx, func() (driver.Result, error) { return x.e.ExecContext(ctx, args) })
}

type stmtQueryer struct {
	s *stmt
	q driver.StmtQueryContext
}

func (x stmtQueryer) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return x.s.query(ctx, func() (driver.Rows, error) { return x.q.QueryContext(ctx, args) })
}

type converter struct {
	v driver.ColumnConverter //nolint:staticcheck // deprecated, and still served
}

func (x converter) ColumnConverter(index int) driver.ValueConverter {
	return x.v.ColumnConverter(index)
}
