package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// fake is a database that follows a script, and records what it is asked.
type fake struct {
	mu   sync.Mutex
	log  []string
	err  map[string]error // what to answer an operation with
	do   map[string]func(context.Context) error
	rows int // of every query
	wrap func(*fakeRows) driver.Rows
}

// op records an operation and says how it ends.
func (f *fake) op(ctx context.Context, name string) error {
	f.mu.Lock()
	f.log = append(f.log, name)
	err, do := f.err[name], f.do[name]
	f.mu.Unlock()
	if do != nil {
		return do(ctx)
	}
	return err
}

func (f *fake) asked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.log, " ")
}

func (f *fake) count(name string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range f.log {
		if op == name {
			n++
		}
	}
	return n
}

func (f *fake) set(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = map[string]error{}
	}
	f.err[name] = err
}

func (f *fake) Open(string) (driver.Conn, error) { return f.Connect(context.Background()) }
func (f *fake) Driver() driver.Driver            { return f }
func (f *fake) Close() error                     { return f.op(context.Background(), "close") }
func (f *fake) Connect(ctx context.Context) (driver.Conn, error) {
	if err := f.op(ctx, "connect"); err != nil {
		return nil, err
	}
	return &fakeConn{f}, nil
}

type fakeConn struct{ f *fake }

func (c *fakeConn) Close() error { return nil }
func (c *fakeConn) Ping(ctx context.Context) error {
	return c.f.op(ctx, "ping")
}

func (c *fakeConn) Prepare(q string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), q)
}

func (c *fakeConn) PrepareContext(ctx context.Context, _ string) (driver.Stmt, error) {
	if err := c.f.op(ctx, "prepare"); err != nil {
		return nil, err
	}
	return &fakeStmt{c.f}, nil
}

func (c *fakeConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *fakeConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	if err := c.f.op(ctx, "begin"); err != nil {
		return nil, err
	}
	return fakeTx{c.f}, nil
}

func (c *fakeConn) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), c.f.op(ctx, "exec")
}

func (c *fakeConn) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := c.f.op(ctx, "query"); err != nil {
		return nil, err
	}
	if c.f.wrap != nil {
		return c.f.wrap(&fakeRows{f: c.f, ctx: ctx}), nil
	}
	return &fakeRows{f: c.f, ctx: ctx}, nil
}
func (c *fakeConn) ResetSession(ctx context.Context) error { return c.f.op(ctx, "reset") }
func (c *fakeConn) IsValid() bool                          { return c.f.op(context.Background(), "valid") == nil }

type fakeTx struct{ f *fake }

func (t fakeTx) Commit() error   { return t.f.op(context.Background(), "commit") }
func (t fakeTx) Rollback() error { return t.f.op(context.Background(), "rollback") }

type fakeStmt struct{ f *fake }

func (s *fakeStmt) Close() error  { return nil }
func (s *fakeStmt) NumInput() int { return -1 }
func (s *fakeStmt) Exec([]driver.Value) (driver.Result, error) {
	return driver.RowsAffected(1), s.f.op(context.Background(), "stmt.exec")
}

func (s *fakeStmt) Query([]driver.Value) (driver.Rows, error) {
	if err := s.f.op(context.Background(), "stmt.query"); err != nil {
		return nil, err
	}
	return &fakeRows{f: s.f, ctx: context.Background()}, nil
}

type fakeRows struct {
	f    *fake
	ctx  context.Context
	read int
}

func (r *fakeRows) Columns() []string { return []string{"n"} }
func (r *fakeRows) Close() error      { return r.f.op(r.ctx, "rows.close") }
func (r *fakeRows) Next(dest []driver.Value) error {
	if err := r.f.op(r.ctx, "next"); err != nil {
		return err
	}
	if r.read == r.f.rows {
		return io.EOF
	}
	r.read++
	dest[0] = int64(r.read)
	return nil
}

// outcomes counts the outcomes of a breaker.
type outcomes struct {
	mu   sync.Mutex
	good int
	bad  int
}

func (o *outcomes) listener() breaker.Listener {
	return breaker.Listener{
		Success: func(*breaker.Breaker) { o.mu.Lock(); o.good++; o.mu.Unlock() },
		Failure: func(*breaker.Breaker, error) { o.mu.Lock(); o.bad++; o.mu.Unlock() },
	}
}

func (o *outcomes) got() [2]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return [2]int{o.good, o.bad}
}

func openFake(t testing.TB, f *fake, b *breaker.Breaker, opts ...breakersql.Option) *sql.DB {
	t.Helper()
	db := sql.OpenDB(breakersql.Connector(f, b, opts...))
	t.Cleanup(func() { db.Close() })
	return db
}
