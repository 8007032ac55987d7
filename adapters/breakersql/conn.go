package breakersql

import (
	"context"
	"database/sql/driver"
	"time"
)

// conn guards a connection. It has the methods that every connection has, and
// those optional ones for whose absence database/sql has a plain answer, which
// it then gives. Each of the types below has one of the other methods, and
// shape combines those that the wrapped connection has, because their absence
// matters.
type conn struct {
	driver.Conn
	g    *guard
	past past
}

//go:generate go run shapes_gen.go

const (
	hasExecer uint = 1 << iota
	hasQueryer
	hasPreparer
	hasBeginner
)

// conn guards c, or returns nil if there is none.
func (g *guard) conn(c driver.Conn) driver.Conn {
	if c == nil {
		return nil
	}
	return shape(&conn{Conn: c, g: g, past: past{made: time.Now()}}, optional(c))
}

// optional returns which optional methods c has. Of the two forms of Exec and
// Query, database/sql asks for the one with a context first; a guarded
// connection has that one in place of either.
func optional(c driver.Conn) (has uint) {
	note := func(bit uint, ok bool) {
		if ok {
			has |= bit
		}
	}
	_, ok := c.(driver.ExecerContext)
	note(hasExecer, ok)
	_, ok = c.(driver.Execer) //nolint:staticcheck // deprecated, and still served
	note(hasExecer, ok)
	_, ok = c.(driver.QueryerContext)
	note(hasQueryer, ok)
	_, ok = c.(driver.Queryer) //nolint:staticcheck // deprecated, and still served
	note(hasQueryer, ok)
	_, ok = c.(driver.ConnPrepareContext)
	note(hasPreparer, ok)
	_, ok = c.(driver.ConnBeginTx)
	note(hasBeginner, ok)
	return has
}

func (c *conn) raw() driver.Conn { return c.Conn }

func (c *conn) Ping(ctx context.Context) error {
	p, ok := c.Conn.(driver.Pinger)
	if !ok {
		return nil
	}
	call, err := c.g.begin(ctx, c, work)
	if err != nil {
		return err
	}
	defer call.permit.Ignore()
	return call.end(p.Ping(ctx))
}

// The pool's housekeeping is not guarded: the next call notices what it finds.

func (c *conn) ResetSession(ctx context.Context) error {
	c.past.taken()
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *conn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

// CheckNamedValue uses no network, so it is not guarded.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.prepare(context.Background(), func() (driver.Stmt, error) { return c.Conn.Prepare(query) })
}

func (c *conn) Begin() (driver.Tx, error) {
	return c.begin(context.Background(), func() (driver.Tx, error) {
		return c.Conn.Begin() //nolint:staticcheck // the only way of a connection without BeginTx
	})
}

func (c *conn) prepare(ctx context.Context, prepare func() (driver.Stmt, error)) (driver.Stmt, error) {
	call, err := c.g.begin(ctx, c, preparing)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	s, err := prepare()
	return c.stmt(s), call.end(err)
}

func (c *conn) begin(ctx context.Context, begin func() (driver.Tx, error)) (driver.Tx, error) {
	call, err := c.g.begin(ctx, c, preparing)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	t, err := begin()
	if err = call.end(err); err != nil {
		return nil, err
	}
	c.past.tx = &transaction{ctx: ctx}
	return tx{t, c, ctx}, nil
}

type execer struct{ c *conn }

func (x execer) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	e, ok := x.c.Conn.(driver.ExecerContext)
	if !ok {
		e = plainExecer{x.c.Conn}
	}
	call, err := x.c.g.begin(ctx, x.c, work)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	res, err := e.ExecContext(ctx, query, args)
	return res, call.end(err)
}

type queryer struct{ c *conn }

func (x queryer) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := x.c.Conn.(driver.QueryerContext)
	if !ok {
		q = plainQueryer{x.c.Conn}
	}
	call, err := x.c.g.begin(ctx, x.c, work)
	if err != nil {
		return nil, err
	}
	defer call.permit.Ignore()
	return call.rows(q.QueryContext(ctx, query, args))
}

type preparer struct{ c *conn }

func (x preparer) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return x.c.prepare(ctx, func() (driver.Stmt, error) {
		return x.c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	})
}

type beginner struct{ c *conn }

func (x beginner) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return x.c.begin(ctx, func() (driver.Tx, error) {
		return x.c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	})
}

// tx guards a transaction. It can always be ended, whatever the breaker says:
// otherwise its connection would return to the pool with it.
type tx struct {
	driver.Tx
	c   *conn
	ctx context.Context // it was begun with
}

func (t tx) Commit() error   { return t.end(work, t.Tx.Commit) }
func (t tx) Rollback() error { return t.end(undoing, t.Tx.Rollback) }

func (t tx) end(k kind, end func() error) error {
	call := t.c.g.finish(t.ctx, t.c, k)
	defer call.permit.Ignore()
	err := call.end(end())
	t.c.past.tx = nil
	return err
}
