package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// links is a database whose connections are numbered from 1, and answer each
// operation as say returns: a driver obeys the context, then fails in this
// way.
type links struct {
	made int
	say  func(conn int, op string) error
}

func (l *links) Driver() driver.Driver { return nil }

func (l *links) Connect(context.Context) (driver.Conn, error) {
	l.made++
	return &link{l, l.made}, l.say(l.made, "connect")
}

type link struct {
	l *links
	n int
}

// wait is how long each statement takes.
const wait = 10 * time.Second

func (c *link) op(ctx context.Context, op string) error {
	if err := c.l.say(c.n, op); err != nil {
		return err
	}
	if op != "exec" {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

func (c *link) Close() error                   { return nil }
func (c *link) Begin() (driver.Tx, error)      { return nil, errors.New("not used") }
func (c *link) Ping(ctx context.Context) error { return c.op(ctx, "ping") }
func (c *link) Commit() error                  { return c.op(context.Background(), "commit") }
func (c *link) Rollback() error                { return c.op(context.Background(), "rollback") }

func (c *link) Prepare(string) (driver.Stmt, error) {
	return linkStmt{c}, c.op(context.Background(), "prepare")
}

func (c *link) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	return c, c.op(ctx, "begin")
}

func (c *link) ExecContext(ctx context.Context, q string, _ []driver.NamedValue) (driver.Result, error) {
	if q == "prepare me" {
		return nil, driver.ErrSkip
	}
	return driver.RowsAffected(1), c.op(ctx, "exec")
}

type linkStmt struct{ c *link }

func (s linkStmt) Close() error                               { return nil }
func (s linkStmt) NumInput() int                              { return -1 }
func (s linkStmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errors.New("not used") }
func (s linkStmt) Exec([]driver.Value) (driver.Result, error) { panic("not used") }
func (s linkStmt) ExecContext(ctx context.Context, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), s.c.op(ctx, "exec")
}

// What the past of a connection makes of an error on it.
func TestPast(t *testing.T) {
	bad := driver.ErrBadConn
	closed := &net.OpError{Op: "write", Err: net.ErrClosed}
	for _, test := range []struct {
		name string
		want [2]int // good, bad
		run  func(t *testing.T, db *sql.DB, from func(err error, ops ...string))
	}{
		{"an idle connection has died: exec", [2]int{2, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			from(bad, "exec")
			exec(t, db, "x", nil)
		}},
		{"an idle connection has died: ping, which database/sql does not try again", [2]int{1, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			from(bad, "ping")
			if err := db.Ping(); err != driver.ErrBadConn {
				t.Error(err)
			}
		}},
		{"an idle connection has died: begin", [2]int{2, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			from(bad, "begin")
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			tx.Commit()
		}},
		{"an idle connection has died: prepare", [2]int{2, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			from(bad, "prepare")
			exec(t, db, "prepare me", nil)
		}},
		{"an idle connection has died, which preparing does not show", [2]int{2, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			from(bad, "exec")
			exec(t, db, "prepare me", nil)
		}},
		{"a connection that was never used has died while it was idle", [2]int{1, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			time.Sleep(time.Minute)
			from(bad, "exec")
			exec(t, db, "x", nil)
		}},
		{"an idle connection has died in other words, which the caller gets", [2]int{1, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			from(io.ErrUnexpectedEOF, "exec")
			exec(t, db, "x", io.ErrUnexpectedEOF)
		}},
		{"a pinned connection has died between two statements", [2]int{1, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			c.ExecContext(t.Context(), "x")
			from(bad, "exec")
			c.ExecContext(t.Context(), "x")
		}},
		{"a caller's cancel, then the rollback", [2]int{0, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			tx, _ := db.Begin()
			tx.ExecContext(cancelledSoon(t), "x")
			from(bad, "rollback")
			tx.Rollback()
		}},
		{"a caller's cancel, then the rollback in other words", [2]int{0, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			tx, _ := db.Begin()
			tx.ExecContext(cancelledSoon(t), "x")
			from(closed, "rollback")
			tx.Rollback()
		}},
		{"a caller's cancel, then the next statement of a pinned connection", [2]int{0, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			c.ExecContext(cancelledSoon(t), "x")
			from(closed, "exec", "ping", "begin")
			c.ExecContext(t.Context(), "x")
			c.PingContext(t.Context())
			c.BeginTx(t.Context(), nil)
		}},
		{"a caller's cancel that hits the statement after it", [2]int{0, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			c.ExecContext(cancelledSoon(t), "x")
			from(stateError("57014"), "exec")
			c.ExecContext(t.Context(), "x")
		}},
		{"a cancel that the connection survived excuses nothing for long", [2]int{1, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			c.ExecContext(cancelledSoon(t), "x")
			c.ExecContext(t.Context(), "x")
			from(closed, "exec")
			c.ExecContext(t.Context(), "x")
		}},
		{"a cancel, and then a statement that hangs", [2]int{0, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			c.ExecContext(cancelledSoon(t), "x")
			c.ExecContext(outOfTimeSoon(t), "x")
		}},
		{"the transaction's own context is cancelled between statements", [2]int{1, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			ctx, cancel := context.WithCancel(t.Context())
			tx, _ := db.BeginTx(ctx, nil)
			tx.Exec("x")
			from(bad, "rollback")
			cancel()
			synctest.Wait() // database/sql rolls back by itself
		}},
		{"the transaction's time is over between statements", [2]int{1, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*wait)
			defer cancel()
			tx, _ := db.BeginTx(ctx, nil)
			tx.Exec("x")
			from(bad, "rollback")
			time.Sleep(3 * wait)
		}},
		{"the transaction's context is cancelled during a statement with another", [2]int{0, 0}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			ctx, cancel := context.WithCancel(t.Context())
			tx, _ := db.BeginTx(ctx, nil)
			from(during(func() error { cancel(); return closed }), "exec")
			tx.ExecContext(t.Context(), "x")
		}},
		{"a broken transaction is one failure", [2]int{0, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			tx, _ := db.Begin()
			from(bad, "exec", "commit", "rollback")
			tx.Exec("x")
			tx.Exec("x")
			tx.Rollback()
		}},
		{"a broken transaction on an old connection is one failure", [2]int{1, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			exec(t, db, "x", nil)
			tx, _ := db.Begin()
			from(bad, "exec", "commit", "rollback")
			tx.Exec("x")
			tx.Commit()
		}},
		{"a transaction that the database refuses is one failure", [2]int{0, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			tx, _ := db.Begin()
			from(stateError("53100"), "exec", "commit")
			tx.Exec("x")
			tx.Exec("x")
			tx.Commit()
		}},
		{"a transaction that hangs is one failure", [2]int{0, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			tx, _ := db.BeginTx(outOfTimeSoon(t), nil)
			from(bad, "rollback")
			tx.ExecContext(outOfTimeSoon(t), "x")
			tx.Rollback()
		}},
		{"two broken transactions are two failures", [2]int{0, 2}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			from(closed, "exec", "rollback")
			for range 2 {
				tx, _ := db.Begin()
				tx.Exec("x")
				tx.Rollback()
			}
		}},
		{"a dead connection that the pool keeps has one excuse", [2]int{0, 2}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			db.ExecContext(cancelledSoon(t), "x")
			from(closed, "exec")
			for range 3 {
				exec(t, db, "x", net.ErrClosed)
			}
		}},
		{"a broken pinned connection is one failure", [2]int{0, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			from(closed, "exec")
			c.ExecContext(t.Context(), "x")
			c.ExecContext(t.Context(), "x")
		}},
		{"a session that the server ended is one failure", [2]int{0, 1}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			from(stateError("57P01"), "exec")
			c.ExecContext(t.Context(), "x")
			from(closed, "exec")
			c.ExecContext(t.Context(), "x")
		}},
		{"what the database says counts each time", [2]int{0, 2}, func(t *testing.T, db *sql.DB, from func(error, ...string)) {
			c, _ := db.Conn(t.Context())
			defer c.Close()
			from(stateError("53100"), "exec")
			c.ExecContext(t.Context(), "x")
			c.ExecContext(t.Context(), "x")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex // database/sql rolls back on a goroutine of its own
				said := map[string]error{}
				l := &links{say: func(conn int, op string) error {
					mu.Lock()
					defer mu.Unlock()
					if f, ok := said[op].(during); ok {
						return f()
					}
					if conn > 1 && said[op] == driver.ErrBadConn { // only what was there before is dead
						return nil
					}
					return said[op]
				}}
				var seen outcomes
				b := breaker.New("db", breaker.Settings{}, breaker.WithListener(seen.listener()))
				db := sql.OpenDB(breakersql.Connector(l, b))
				test.run(t, db, func(err error, ops ...string) {
					mu.Lock()
					defer mu.Unlock()
					for _, op := range ops {
						said[op] = err
					}
				})
				db.Close()
				synctest.Wait()
				if got := seen.got(); got != test.want {
					t.Errorf("%d good and %d bad, want %d and %d", got[0], got[1], test.want[0], test.want[1])
				}
			})
		})
	}
}

// during is how an operation ends, and what happens before.
type during func() error

func (during) Error() string { return "not asked" }

func exec(t *testing.T, db *sql.DB, q string, want error) {
	t.Helper()
	if _, err := db.Exec(q); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", q, err, want)
	}
}

func cancelledSoon(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(wait/10, cancel)
	return ctx
}

func outOfTimeSoon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), wait/10)
	t.Cleanup(cancel)
	return ctx
}

// A connection that is new and does not work is evidence, however the pool
// came to make it.
func TestNewConnectionsThatDoNotWork(t *testing.T) {
	for _, step := range []string{"connect", "exec"} {
		l := &links{say: func(_ int, op string) error {
			if op == step {
				return driver.ErrBadConn
			}
			return nil
		}}
		b := breaker.New("db", breaker.Settings{FailMax: 3})
		db := sql.OpenDB(breakersql.Connector(l, b))
		_, err := db.Exec("x")
		db.Close()
		if b.State() != breaker.Open {
			t.Errorf("%s: %v, and the breaker is %s with %d failures, want open after database/sql's three tries", step, err, b.State(), b.FailCount())
		}
	}
}

// Many idle connections die at once, with a fail-over: database/sql replaces
// them, and no caller notices.
func TestIdleConnectionsCutByAFailOver(t *testing.T) {
	synctest.Test(t, idleConnectionsCutByAFailOver)
}

func idleConnectionsCutByAFailOver(t *testing.T) {
	dead := 0
	l := &links{say: func(conn int, op string) error {
		if op == "exec" && conn <= dead {
			return driver.ErrBadConn
		}
		return nil
	}}
	b := breaker.New("db", breaker.Settings{})
	db := sql.OpenDB(breakersql.Connector(l, b))
	defer db.Close()
	db.SetMaxIdleConns(20)
	var conns []*sql.Conn
	for range 20 {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ExecContext(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.Close()
	}
	dead = 20
	for range 20 {
		exec(t, db, "x", nil)
	}
	if b.State() != breaker.Closed || b.FailCount() != 0 {
		t.Errorf("%s with %d failures, want closed and none", b.State(), b.FailCount())
	}
}

// A success must not be searched for the database's codes.
func TestSuccessesAllocateNothing(t *testing.T) {
	allocs := func(c driver.Connector) float64 {
		db := sql.OpenDB(c)
		defer db.Close()
		return testing.AllocsPerRun(100, func() {
			if _, err := db.Exec("x"); err != nil {
				t.Fatal(err)
			}
		})
	}
	bare, guarded := allocs(instant{}), allocs(breakersql.Connector(instant{}, breaker.New("db", breaker.Settings{})))
	if guarded > bare {
		t.Errorf("a guarded call allocates %v times, want the %v of a bare one", guarded, bare)
	}
}
