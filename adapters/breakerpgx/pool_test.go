//go:build linux

package breakerpgx_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchgear-go/switchgear/adapters/breakerpgx"
	"github.com/switchgear-go/switchgear/breaker"
)

func (m mistaken) Value() (driver.Value, error) { return nil, m.err }
func (m mistaken) Scan(any) error               { return m.err }

func TestJudgement(t *testing.T) {
	s := newServer(t)
	ctx := context.Background()
	setup, err := pgx.Connect(ctx, s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer setup.Close(ctx)
	if _, err := setup.Exec(ctx, "CREATE TABLE things (n int PRIMARY KEY, name text NOT NULL); INSERT INTO things VALUES (1, 'one')"); err != nil {
		t.Fatal(err)
	}
	columns := []string{"n", "name"}
	brokenPipe := &pgconn.PgError{Code: "57P01"}
	for _, test := range []struct {
		name string
		want breaker.Outcome
		call func(*breakerpgx.Pool) error
	}{
		{"a statement", breaker.Success, func(p *breakerpgx.Pool) error {
			_, err := p.Exec(ctx, "SELECT 1")
			return noError(err)
		}},
		{"no rows", breaker.Success, func(p *breakerpgx.Pool) error {
			var n int
			return p.QueryRow(ctx, "SELECT n FROM things WHERE n = 9").Scan(&n)
		}},
		{"a constraint", breaker.Success, statement("INSERT INTO things VALUES (1, 'again')")},
		{"a syntax error", breaker.Success, statement("SELEC 1")},
		{"a division by zero while rows are read", breaker.Success, func(p *breakerpgx.Pool) error {
			r, err := p.Query(ctx, "SELECT 1/(n-1) FROM things")
			return read(r, err)
		}},
		{"a time limit of the server", breaker.Failure, statement("SET LOCAL statement_timeout = 10; SELECT pg_sleep(10)")},
		{"too few arguments", breaker.Ignored, statement("SELECT $1::int, $2::int", 1)},
		{"an argument that cannot be encoded", breaker.Ignored, statement("SELECT $1::int", struct{}{})},
		{"an argument whose Value fails", breaker.Ignored, statement("SELECT $1::int", mistaken{io.ErrUnexpectedEOF})},
		{"a destination of the wrong type", breaker.Success, func(p *breakerpgx.Pool) error {
			var n int
			return p.QueryRow(ctx, "SELECT 'x'::text").Scan(&n)
		}},
		{"a context that had ended before", breaker.Ignored, func(p *breakerpgx.Pool) error {
			late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
			defer cancel()
			_, err := p.Exec(late, "SELECT 1")
			return err
		}},
		{"a caller's cancel", breaker.Ignored, func(p *breakerpgx.Pool) error {
			gone, cancel := context.WithCancel(ctx)
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err := p.Exec(gone, "SELECT pg_sleep(60)")
			return err
		}},
		{"a caller's deadline", breaker.Failure, func(p *breakerpgx.Pool) error {
			_, err := p.Exec(within(t, 50*time.Millisecond), "SELECT pg_sleep(60)")
			return err
		}},
		{"a deadline that passes while the caller does not read", breaker.Ignored, func(p *breakerpgx.Pool) error {
			late := &deadline{Context: ctx, passed: make(chan struct{})}
			r, err := p.Query(late, "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)")
			if err != nil {
				return err
			}
			r.Next()
			close(late.passed)
			return read(r, nil)
		}},
		{"rows that are closed early", breaker.Success, func(p *breakerpgx.Pool) error {
			r, err := p.Query(ctx, "SELECT * FROM generate_series(1, 1000)")
			if err != nil {
				return err
			}
			r.Next()
			r.Close()
			return noError(r.Err())
		}},
		{"COPY", breaker.Success, func(p *breakerpgx.Pool) error {
			n, err := p.CopyFrom(ctx, pgx.Identifier{"things"}, columns, pgx.CopyFromRows([][]any{{2, "two"}, {3, "three"}}))
			if n != 2 {
				return errors.New("not two rows")
			}
			return noError(err)
		}},
		{"COPY of a key that is there", breaker.Success, func(p *breakerpgx.Pool) error {
			_, err := p.CopyFrom(ctx, pgx.Identifier{"things"}, columns, pgx.CopyFromRows([][]any{{1, "one"}}))
			return err
		}},
		{"COPY of a value that cannot be encoded", breaker.Ignored, func(p *breakerpgx.Pool) error {
			_, err := p.CopyFrom(ctx, pgx.Identifier{"things"}, columns, pgx.CopyFromRows([][]any{{"four", "four"}}))
			return err
		}},
		{"COPY from a source that fails", breaker.Ignored, func(p *breakerpgx.Pool) error {
			_, err := p.CopyFrom(ctx, pgx.Identifier{"things"}, columns, pgx.CopyFromFunc(func() ([]any, error) { return nil, brokenPipe }))
			return err
		}},
		{"COPY from a source that is slow", breaker.Ignored, func(p *breakerpgx.Pool) error {
			soon := within(t, time.Second)
			_, err := p.CopyFrom(soon, pgx.Identifier{"things"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
				<-soon.Done()
				return nil, soon.Err() // not an end, at which the copy might succeed
			}))
			return err
		}},
		{"a batch", breaker.Success, batch(func(b *pgx.Batch) { b.Queue("SELECT 1"); b.Queue("SELECT $1::int", 2) }, true)},
		{"a batch with a constraint", breaker.Success, batch(func(b *pgx.Batch) { b.Queue("INSERT INTO things VALUES (1, 'x')") }, false)},
		{"a batch with a wrong argument", breaker.Ignored, batch(func(b *pgx.Batch) { b.Queue("SELECT $1::int", struct{}{}) }, false)},
		{"a batch whose callback fails", breaker.Ignored, batch(func(b *pgx.Batch) {
			b.Queue("SELECT 1").Exec(func(pgconn.CommandTag) error { return io.EOF })
		}, false)},
		{"a batch that the server breaks, read by parts", breaker.Failure, func(p *breakerpgx.Pool) error {
			b := &pgx.Batch{}
			b.Queue("SELECT 1")
			b.Queue("SELECT pg_terminate_backend(pg_backend_pid())")
			results := p.SendBatch(ctx, b)
			_, _ = results.Exec()
			_, err := results.Exec()
			return errors.Join(err, results.Close())
		}},
		{"a batch with a mistake, read by parts", breaker.Success, func(p *breakerpgx.Pool) error {
			b := &pgx.Batch{}
			b.Queue("SELECT 1/0")
			results := p.SendBatch(ctx, b)
			var n int
			err := results.QueryRow().Scan(&n)
			return errors.Join(err, results.Close())
		}},
		{"a savepoint that is rolled back", breaker.Success, func(p *breakerpgx.Pool) error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			savepoint, err := tx.Begin(ctx)
			if err != nil {
				return err
			}
			_, failed := savepoint.Exec(ctx, "SELECT 1/0")
			if err := errors.Join(savepoint.Rollback(ctx), tx.Commit(ctx)); err != nil {
				t.Error(err)
			}
			return failed
		}},
		{"a savepoint whose caller cancels", breaker.Ignored, func(p *breakerpgx.Pool) error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			savepoint, err := tx.Begin(ctx)
			if err != nil {
				return err
			}
			gone, cancel := context.WithCancel(ctx)
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err = savepoint.Exec(gone, "SELECT pg_sleep(60)")
			_ = savepoint.Rollback(ctx)
			_ = tx.Rollback(ctx)
			return err
		}},
		{"a transaction that has ended", breaker.Ignored, func(p *breakerpgx.Pool) error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			if err := tx.Rollback(ctx); err != nil { // a step: no evidence
				return nil
			}
			_, err = tx.Exec(ctx, "SELECT 1")
			if !errors.Is(err, pgx.ErrTxClosed) {
				return nil
			}
			return tx.Commit(ctx)
		}},
		{"a commit that is a rollback", breaker.Success, func(p *breakerpgx.Pool) error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			_, _ = tx.Exec(ctx, "SELEC 1")
			return tx.Commit(ctx)
		}},
		{"a transaction whose caller cancels", breaker.Ignored, func(p *breakerpgx.Pool) error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			gone, cancel := context.WithCancel(ctx)
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err = tx.Exec(gone, "SELECT pg_sleep(60)")
			_, _ = tx.Exec(ctx, "SELECT 1")
			_ = tx.Rollback(ctx)
			return err
		}},
		{"a transaction that the server breaks", breaker.Failure, func(p *breakerpgx.Pool) error {
			tx, err := p.Begin(ctx)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
			_, _ = tx.Exec(ctx, "SELECT 1")
			_ = tx.Rollback(ctx)
			return err
		}},
		{"a Scanner that panics", breaker.Ignored, func(p *breakerpgx.Pool) (err error) {
			defer func() { err, _ = recover().(error) }()
			return p.QueryRow(ctx, "SELECT 1").Scan(panics{})
		}},
		{"an argument that panics", breaker.Ignored, func(p *breakerpgx.Pool) (err error) {
			defer func() { err, _ = recover().(error) }()
			return statement("SELECT $1::int", panics{})(p)
		}},
		{"a batch whose callback panics", breaker.Ignored, func(p *breakerpgx.Pool) (err error) {
			defer func() { err, _ = recover().(error) }()
			return batch(func(b *pgx.Batch) {
				b.Queue("SELECT 1").QueryRow(func(pgx.Row) error { panic(errors.New("panics")) })
			}, false)(p)
		}},
		{"a Scanner that fails", breaker.Success, func(p *breakerpgx.Pool) error {
			return p.QueryRow(ctx, "SELECT 1").Scan(&mistaken{io.ErrUnexpectedEOF})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, want := asked(t, s)
			if err := test.call(p); err == nil {
				t.Fatal("no error")
			}
			want(t, test.want)
			allReturned(t, p)
		})
	}
}

func (d *deadline) Done() <-chan struct{} { return d.passed }
func (d *deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func (panics) Scan(any) error               { panic(errors.New("panics")) }
func (panics) Value() (driver.Value, error) { panic(errors.New("panics")) }

// errNone stands for no error in the table, whose calls are to fail.
var errNone = errors.New("none")

// Connections that a restarted server has closed are replaced before a caller
// gets one: no caller fails, and no breaker opens.
func TestRestartWithIdleConnections(t *testing.T) {
	long(t)
	s := newServer(t)
	p, b := open(t, s, func(c *pgxpool.Config) { c.MaxConns = 20 })
	all := func() {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := p.Exec(context.Background(), "SELECT pg_sleep(0.05)"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	all()
	s.restart()
	all()
	if b.State() != breaker.Closed {
		t.Errorf("the breaker is %s after %v", b.State(), b.History())
	}
}

// A crash under a statement is a failure, and so is each connect until the
// server is back.
func TestCrash(t *testing.T) {
	s := newServer(t)
	p, b := open(t, s, nil)
	soon := b.Settings()
	if err := b.Update(breaker.Settings{FailMax: 1, ResetTimeout: time.Hour}); err != nil { // for as long as rejections are looked at
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := p.Exec(context.Background(), "SELECT pg_sleep(60)")
		failed <- err
	}()
	eventually(t, "the statement runs", func() bool { return p.Stat().AcquiredConns() == 1 })
	time.Sleep(100 * time.Millisecond)
	s.kill()
	if err := <-failed; err == nil || b.State() != breaker.Open {
		t.Fatalf("%v and a breaker that is %s, want open", err, b.State())
	}
	ctx := context.Background()
	_, err := p.Exec(ctx, "SELECT 1")
	wantRejection(t, err)
	_, err = p.Query(ctx, "SELECT 1")
	wantRejection(t, err)
	wantRejection(t, p.QueryRow(ctx, "SELECT 1").Scan(new(int)))
	wantRejection(t, p.SendBatch(ctx, &pgx.Batch{}).Close())
	_, err = p.CopyFrom(ctx, pgx.Identifier{"x"}, nil, pgx.CopyFromRows(nil))
	wantRejection(t, err)
	_, err = p.Begin(ctx)
	wantRejection(t, err)
	_, err = p.Acquire(ctx)
	wantRejection(t, err)
	wantRejection(t, p.Ping(ctx))

	if err := b.Update(soon); err != nil {
		t.Fatal(err)
	}
	b.HalfOpen(breaker.Order{Actor: "test"})
	if err := p.Ping(ctx); err == nil || errors.Is(err, breaker.ErrOpen) || b.State() != breaker.Open {
		t.Errorf("the probe got %v and the breaker is %s, want a refused connection and open", err, b.State())
	}
	s.start()
	closes(t, p, b)
}

// A server that hangs is a failure by the caller's deadline: with a statement
// on an idle connection, with a ping of one, and with a new connection.
func TestHang(t *testing.T) {
	long(t)
	s := newServer(t)
	for name, change := range map[string]func(*pgxpool.Config){
		"a statement": nil,
		"a ping": func(c *pgxpool.Config) {
			c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
		},
		"a connect": func(c *pgxpool.Config) { c.AfterRelease = func(*pgx.Conn) bool { return false } },
	} {
		t.Run(name, func(t *testing.T) {
			p, b := open(t, s, change)
			if err := p.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the connection is back or gone", func() bool { return p.Stat().AcquiredConns() == 0 })
			s.pause()
			defer s.resume()
			if err := p.Ping(within(t, 200*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || b.State() != breaker.Open {
				t.Errorf("%v and the breaker is %s, want a deadline and open", err, b.State())
			}
			s.resume()
			closes(t, p, b)
		})
	}
}

// The program's own pool, and its own hooks, say nothing about the database.
func TestOwnPool(t *testing.T) {
	long(t)
	s := newServer(t)
	t.Run("full", func(t *testing.T) {
		p, b := open(t, s, func(c *pgxpool.Config) { c.MaxConns = 1 })
		held, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Ping(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want a deadline", err)
		}
		held.Release()
		if b.State() != breaker.Closed {
			t.Errorf("the breaker is %s, want closed", b.State())
		}
	})
	t.Run("full, and then free, makes no slow call", func(t *testing.T) {
		b := breaker.New("db", breaker.Settings{FailMax: -1, SlowCall: time.Second, SlowRate: 0.1, MinCalls: 1})
		config, err := pgxpool.ParseConfig(s.dsn() + "&pool_max_conns=1")
		if err != nil {
			t.Fatal(err)
		}
		p, err := breakerpgx.NewWithConfig(t.Context(), config, b)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		held, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(1500*time.Millisecond, held.Release)
		if err := p.Ping(t.Context()); err != nil || b.State() != breaker.Closed {
			t.Errorf("%v and the breaker is %s, want closed", err, b.State())
		}
	})
	t.Run("closed", func(t *testing.T) {
		p, b := open(t, s, nil)
		p.Close()
		if err := p.Ping(t.Context()); err == nil || b.State() != breaker.Closed {
			t.Errorf("%v and the breaker is %s, want an error and closed", err, b.State())
		}
	})
	for name, change := range map[string]func(*pgxpool.Config){
		"BeforeConnect fails": func(c *pgxpool.Config) {
			c.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return io.ErrUnexpectedEOF }
		},
		"no file descriptor": func(c *pgxpool.Config) {
			c.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
		},
		"AfterConnect fails": func(c *pgxpool.Config) {
			c.AfterConnect = func(context.Context, *pgx.Conn) error { return io.ErrUnexpectedEOF }
		},
		"PrepareConn fails": func(c *pgxpool.Config) {
			c.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { return true, io.ErrUnexpectedEOF }
		},
		"wrong credentials": func(c *pgxpool.Config) { c.ConnConfig.User = "nobody" },
	} {
		t.Run(name, func(t *testing.T) {
			p, b := open(t, s, change)
			if err := p.Ping(t.Context()); err == nil || b.State() != breaker.Closed {
				t.Errorf("%v and the breaker is %s, want an error and closed", err, b.State())
			}
		})
	}
}
