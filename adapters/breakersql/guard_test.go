package breakersql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

var errBroken = io.ErrUnexpectedEOF

// operations are what programs do with a *sql.DB.
var operations = map[string]func(context.Context, *sql.DB) error{
	"ping": func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) },
	"exec": func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "x")
		return err
	},
	"query": func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "x")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
		}
		return rows.Err()
	},
	"first row": func(ctx context.Context, db *sql.DB) error {
		var n int
		return db.QueryRowContext(ctx, "x").Scan(&n)
	},
	"prepared exec": func(ctx context.Context, db *sql.DB) error {
		s, err := db.PrepareContext(ctx, "x")
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.ExecContext(ctx)
		return err
	},
	"prepared query": func(ctx context.Context, db *sql.DB) error {
		s, err := db.PrepareContext(ctx, "x")
		if err != nil {
			return err
		}
		defer s.Close()
		rows, err := s.QueryContext(ctx)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return rows.Err()
	},
	"transaction": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "x"); err != nil {
			_ = tx.Rollback()
			return err
		}
		return tx.Commit()
	},
	"rollback": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return tx.Rollback()
	},
}

// stateError carries a SQLSTATE as the drivers of PostgreSQL do.
type stateError string

func (e stateError) Error() string    { return "state " + string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestOutcomeOfOperations(t *testing.T) {
	unique := stateError("23505")
	for _, test := range []struct {
		do   string
		fail string // the step that fails
		with error
		want [2]int // good, bad
	}{
		{"ping", "", nil, [2]int{1, 0}},
		{"ping", "ping", errBroken, [2]int{0, 1}},
		{"ping", "connect", errBroken, [2]int{0, 1}},
		{"ping", "connect", errors.New("of a kind unknown"), [2]int{0, 1}},
		{"ping", "connect", stateError("28P01"), [2]int{0, 0}}, // wrong password: refused, and no work done
		{"exec", "", nil, [2]int{1, 0}},
		{"exec", "exec", errBroken, [2]int{0, 1}},
		{"exec", "exec", unique, [2]int{1, 0}},
		{"exec", "exec", errors.New("of a kind unknown"), [2]int{0, 0}},
		{"exec", "exec", fmt.Errorf("wrapped: %w", unique), [2]int{1, 0}},
		{"exec", "exec", driver.ErrSkip, [2]int{1, 0}}, // prepared and run then
		{"query", "", nil, [2]int{1, 0}},
		{"query", "query", errBroken, [2]int{0, 1}},
		{"query", "next", errBroken, [2]int{0, 1}}, // the rows break: the query has failed
		{"query", "next", unique, [2]int{1, 0}},
		{"query", "rows.close", errBroken, [2]int{1, 0}}, // at its end before
		{"query", "query", driver.ErrSkip, [2]int{1, 0}},
		{"first row", "", nil, [2]int{1, 0}},
		{"first row", "rows.close", errBroken, [2]int{0, 1}},
		{"prepared exec", "", nil, [2]int{1, 0}}, // preparing is not evidence
		{"prepared exec", "prepare", errBroken, [2]int{0, 1}},
		{"prepared exec", "prepare", stateError("42601"), [2]int{0, 0}},
		{"prepared exec", "stmt.exec", errBroken, [2]int{0, 1}},
		{"prepared query", "", nil, [2]int{1, 0}},
		{"prepared query", "stmt.query", errBroken, [2]int{0, 1}},
		{"prepared query", "next", errBroken, [2]int{0, 1}},
		{"transaction", "", nil, [2]int{2, 0}}, // exec, commit
		{"transaction", "begin", errBroken, [2]int{0, 1}},
		{"transaction", "exec", errBroken, [2]int{0, 1}}, // and the rollback is not evidence
		{"transaction", "commit", errBroken, [2]int{1, 1}},
		{"transaction", "commit", unique, [2]int{2, 0}},
		{"rollback", "", nil, [2]int{0, 0}},
		{"rollback", "rollback", errBroken, [2]int{0, 1}},
		{"exec", "reset", nil, [2]int{1, 0}},
	} {
		t.Run(fmt.Sprintf("%s/%s %v", test.do, test.fail, test.with), func(t *testing.T) {
			var seen outcomes
			b := breaker.New("db", breaker.Settings{}, breaker.WithListener(seen.listener()))
			f := &fake{rows: 2, err: map[string]error{test.fail: test.with}}
			err := operations[test.do](t.Context(), openFake(t, f, b))
			if test.with != nil && test.with != driver.ErrSkip && test.fail != "rows.close" && !errors.Is(err, test.with) {
				t.Errorf("error %v, want the driver's own: %v", err, test.with)
			}
			if got := seen.got(); got != test.want {
				t.Errorf("%d good and %d bad, want %d and %d; asked: %s", got[0], got[1], test.want[0], test.want[1], f.asked())
			}
		})
	}
}

// database/sql tries again upon driver.ErrBadConn, and does so as without us;
// each try is a failure.
func TestBadConn(t *testing.T) {
	for name, op := range operations {
		step := map[string]string{
			"first row": "query", "prepared exec": "prepare", "prepared query": "prepare", "transaction": "begin", "rollback": "begin",
		}[name]
		if step == "" {
			step = name
		}
		t.Run(name, func(t *testing.T) {
			bare := &fake{err: map[string]error{step: driver.ErrBadConn}}
			db := sql.OpenDB(bare)
			defer db.Close()
			bareErr := op(t.Context(), db)

			f := &fake{err: map[string]error{step: driver.ErrBadConn}}
			b := breaker.New("db", breaker.Settings{FailMax: 1000})
			if err := op(t.Context(), openFake(t, f, b)); err != bareErr {
				t.Errorf("error %v, want %v as without the breaker", err, bareErr)
			}
			if f.asked() != bare.asked() {
				t.Errorf("asked %s\nwant  %s", f.asked(), bare.asked())
			}
			if got := b.FailCount(); got != f.count(step) {
				t.Errorf("%d failures of %d tries", got, f.count(step))
			}
		})
	}
}

// A transaction under way ends whatever the breaker says, or its connection
// would go back to the pool with it.
func TestTransactionsEndWhileOpen(t *testing.T) {
	for _, end := range []string{"commit", "rollback"} {
		for _, order := range []string{"open", "force_open", "half_open"} {
			t.Run(end+"/"+order, func(t *testing.T) {
				f := &fake{}
				b := breaker.New("db", breaker.Settings{})
				tx, err := openFake(t, f, b).Begin()
				if err != nil {
					t.Fatal(err)
				}
				switch order {
				case "open":
					b.Open(breaker.Order{})
				case "force_open":
					b.ForceOpen(breaker.Order{})
				default:
					b.HalfOpen(breaker.Order{})
				}
				if end == "commit" {
					err = tx.Commit()
				} else {
					err = tx.Rollback()
				}
				if err != nil || f.count(end) != 1 {
					t.Errorf("%v, asked %s: want the transaction ended", err, f.asked())
				}
			})
		}
	}
	t.Run("forced closed goes on judging", func(t *testing.T) {
		f := &fake{err: map[string]error{"commit": errBroken}}
		b := breaker.New("db", breaker.Settings{})
		b.ForceClosed(breaker.Order{})
		tx, _ := openFake(t, f, b).Begin()
		_ = tx.Commit()
		if b.FailCount() != 1 {
			t.Error("a commit that failed while forced closed does not count")
		}
	})
}

func TestCallersWhoGiveUp(t *testing.T) {
	errGone := errors.New("the user closed the page")
	for _, test := range []struct {
		name string
		say  error // what the driver makes of it
		ctx  func() (context.Context, context.CancelFunc)
		want [2]int
	}{
		{"cancel", context.Canceled, cancelled(nil), [2]int{0, 0}},
		{"cancel, in the database's words", stateError("57014"), cancelled(nil), [2]int{0, 0}},
		{"cancel with a cause", errGone, cancelled(errGone), [2]int{0, 0}},
		{"cancel, and the connection broke", driver.ErrBadConn, cancelled(nil), [2]int{0, 0}},
		{"deadline", context.DeadlineExceeded, expired, [2]int{0, 1}},
		{"deadline, in the database's words", stateError("57014"), expired, [2]int{0, 1}},
		{"deadline, in unknown words", errors.New("interrupted"), expired, [2]int{0, 1}},
		{"deadline, but it answered", stateError("23505"), expired, [2]int{1, 0}},
		{"another party's cancel", context.Canceled, func() (context.Context, context.CancelFunc) {
			return context.Background(), func() {}
		}, [2]int{0, 0}},
		{"the server's own time limit", stateError("57014"), func() (context.Context, context.CancelFunc) {
			return context.Background(), func() {}
		}, [2]int{0, 1}},
	} {
		for _, step := range []string{"exec", "query", "next"} {
			t.Run(test.name+"/"+step, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var seen outcomes
					b := breaker.New("db", breaker.Settings{}, breaker.WithListener(seen.listener()))
					f := &fake{do: map[string]func(context.Context) error{step: func(ctx context.Context) error {
						if ctx.Done() != nil {
							<-ctx.Done()
						}
						return test.say
					}}}
					db := sql.OpenDB(breakersql.Connector(f, b))
					ctx, cancel := test.ctx()
					defer cancel()
					op := step
					if step == "next" {
						op = "query"
					}
					_ = operations[op](ctx, db)
					db.Close()
					synctest.Wait()
					if got := seen.got(); got != test.want {
						t.Errorf("%d good and %d bad, want %d and %d", got[0], got[1], test.want[0], test.want[1])
					}
				})
			})
		}
	}
}

func cancelled(cause error) func() (context.Context, context.CancelFunc) {
	return func() (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		return ctx, func() { cancel(nil) }
	}
}

func expired() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Second)
}

// A breaker that connects and cannot work must open, whatever goes well around
// the work that fails.
func TestPreparingWellHidesNoFailure(t *testing.T) {
	for name, step := range map[string]string{"exec": "exec", "prepared exec": "stmt.exec", "transaction": "exec"} {
		t.Run(name, func(t *testing.T) {
			f := &fake{err: map[string]error{step: stateError("53100")}} // disk full
			b := breaker.New("db", breaker.Settings{FailMax: 5})
			db := openFake(t, f, b)
			db.SetMaxIdleConns(-1) // each call connects
			for range 5 {
				_ = operations[name](t.Context(), db)
			}
			if b.State() != breaker.Open {
				t.Errorf("%s after five failures, want open; asked %s", b.State(), f.asked())
			}
			b.HalfOpen(breaker.Order{})
			_ = operations[name](t.Context(), db)
			if b.State() != breaker.Open {
				t.Errorf("%s after a failed probe, want open", b.State())
			}
			b.HalfOpen(breaker.Order{})
			f.set(step, nil)
			if err := operations[name](t.Context(), db); err != nil || b.State() != breaker.Closed {
				t.Errorf("%v and %s after a good probe, want closed", err, b.State())
			}
		})
	}
}

// Slow is the time to the first row, not the reader's.
func TestSlowQueries(t *testing.T) {
	for _, test := range []struct {
		name              string
		query, next, read time.Duration
		want              breaker.State
	}{
		{"slow to begin", 3 * time.Second, 0, 0, breaker.Open},
		{"slow to the first row", 0, 3 * time.Second, 0, breaker.Open},
		{"read slowly", 0, 0, time.Hour, breaker.Closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wait := func(d time.Duration) func(context.Context) error {
					return func(context.Context) error { time.Sleep(d); return nil }
				}
				f := &fake{rows: 1, do: map[string]func(context.Context) error{"query": wait(test.query), "next": wait(test.next)}}
				b := breaker.New("db", breaker.Settings{SlowCall: 2 * time.Second, SlowRate: 1, MinCalls: 1})
				db := sql.OpenDB(breakersql.Connector(f, b))
				defer db.Close()
				rows, err := db.Query("x")
				if err != nil {
					t.Fatal(err)
				}
				rows.Next()
				time.Sleep(test.read)
				rows.Close()
				if b.State() != test.want {
					t.Errorf("%s, want %s", b.State(), test.want)
				}
			})
		})
	}
}

// A driver that panics or exits the goroutine is a mistake of the program: no
// evidence, and a probe's place is free again.
func TestPanicsAreNoEvidence(t *testing.T) {
	for _, step := range []string{"connect", "ping", "prepare", "begin", "exec", "query", "commit", "rollback", "stmt.exec", "stmt.query"} {
		for end, f := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
			t.Run(step+"/"+end, func(t *testing.T) {
				b := breaker.New("db", breaker.Settings{FailMax: 1})
				b.HalfOpen(breaker.Order{})
				f := &fake{do: map[string]func(context.Context) error{step: func(context.Context) error { f(); return nil }}}
				db := sql.OpenDB(breakersql.Connector(f, b)) // not closed: database/sql has lost the connection
				op := map[string]string{
					"connect": "ping", "prepare": "prepared exec", "begin": "transaction", "commit": "transaction",
					"stmt.exec": "prepared exec", "stmt.query": "prepared query",
				}[step]
				if op == "" {
					op = step
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { recover() }()
					operations[op](context.Background(), db)
				}()
				<-done
				if b.State() == breaker.Open {
					t.Error("the breaker is open")
				}
				if _, err := b.Allow(); err != nil {
					t.Errorf("the probe's place is lost: %v", err)
				}
			})
		}
	}
}

// A process that cannot open a connection for want of a file descriptor asks
// nothing of the database.
func TestNoFileDescriptorLeft(t *testing.T) {
	f := &fake{err: map[string]error{"connect": &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}}}
	b := breaker.New("db", breaker.Settings{FailMax: 1})
	b.HalfOpen(breaker.Order{})
	if err := openFake(t, f, b).Ping(); !errors.Is(err, syscall.EMFILE) || b.State() != breaker.HalfOpen {
		t.Errorf("%v, and the breaker is %s, want half-open", err, b.State())
	}
}

// A driver's connect may ask the program, whose errors only the program knows.
func TestConnectThatFailsInTheProgram(t *testing.T) {
	errNoToken := errors.New("the token endpoint is down")
	for _, test := range []struct {
		opts []breaker.Option
		want breaker.State
	}{
		{nil, breaker.Open},
		{[]breaker.Option{breaker.WithIgnored(breaker.ErrorIs(errNoToken))}, breaker.HalfOpen},
	} {
		b := breaker.New("db", breaker.Settings{FailMax: 1}, test.opts...)
		b.HalfOpen(breaker.Order{})
		f := &fake{err: map[string]error{"connect": fmt.Errorf("connecting: %w", errNoToken)}}
		if err := openFake(t, f, b).Ping(); !errors.Is(err, errNoToken) || b.State() != test.want {
			t.Errorf("%v, and the breaker is %s, want %s", err, b.State(), test.want)
		}
	}
}

func TestClassifierOfTheProgram(t *testing.T) {
	errOwn := errors.New("mine")
	f := &fake{err: map[string]error{"exec": errOwn}}
	b := breaker.New("db", breaker.Settings{})
	db := openFake(t, f, b, breakersql.WithClassifier(func(err error) breaker.Outcome {
		if errors.Is(err, errOwn) {
			return breaker.Failure
		}
		return breakersql.Classify(err)
	}))
	_, _ = db.Exec("x")
	if b.FailCount() != 1 {
		t.Error("the program's classifier was not asked")
	}
	b.Exclude(breaker.ErrorIs(errOwn))
	_, _ = db.Exec("x")
	if b.FailCount() != 0 {
		t.Error("what the breaker excludes still counts")
	}
}

func TestBypass(t *testing.T) {
	b := breaker.New("db", breaker.Settings{}, breaker.WithBypassAllowed())
	db := openFake(t, &fake{}, b)
	b.Open(breaker.Order{})
	if _, err := db.ExecContext(breaker.WithBypass(t.Context(), "half-done migration"), "x"); err != nil {
		t.Errorf("a call that is marked to bypass got %v", err)
	}
}

func TestErrorOnTrip(t *testing.T) {
	b := breaker.New("db", breaker.Settings{FailMax: 1}, breaker.WithErrorOnTrip())
	_, err := openFake(t, &fake{err: map[string]error{"exec": errBroken}}, b).Exec("x")
	if !errors.Is(err, breaker.ErrOpen) || !errors.Is(err, errBroken) {
		t.Errorf("the tripping call got %v, want the open error and its own", err)
	}
}

// plainDriver has no OpenConnector.
type plainDriver struct{ f *fake }

func (d plainDriver) Open(string) (driver.Conn, error) { return d.f.Open("") }

// contextDriver has one.
type contextDriver struct{ plainDriver }

func (d contextDriver) OpenConnector(name string) (driver.Connector, error) {
	if name == "bad" {
		return nil, errors.New("bad data source")
	}
	return d.f, nil
}
