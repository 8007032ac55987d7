//go:build linux

package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

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

func (o *outcomes) take() (both [2]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	both = [2]int{o.good, o.bad}
	o.good, o.bad = 0, 0
	return both
}

// until is a context that ends when the test says so, in the way that err says.
type until struct {
	context.Context
	over chan struct{}
	err  error
}

func newUntil(t *testing.T, err error) *until { return &until{t.Context(), make(chan struct{}), err} }

func (u *until) Done() <-chan struct{} { return u.over }
func (u *until) Err() error {
	select {
	case <-u.over:
		return u.err
	default:
		return nil
	}
}

// situations are calls that go wrong, or seem to, and what a real server makes of
// them: good and bad with pgx, and with lib/pq.
var situations = []struct {
	name    string
	pgx, pq [2]int
	run     func(*scene) error
}{
	{"a pinned connection after its caller's deadline", [2]int{0, 1}, [2]int{0, 1}, func(s *scene) error { return s.pinned(context.DeadlineExceeded) }},
	{"a pinned connection after its caller's cancel", [2]int{0, 0}, [2]int{0, 0}, func(s *scene) error { return s.pinned(context.Canceled) }},
	{"a cancel during a commit", [2]int{1, 0}, [2]int{1, 0}, func(s *scene) error { return s.commit(context.Canceled) }},
	{"a deadline during a commit", [2]int{1, 1}, [2]int{1, 1}, func(s *scene) error { return s.commit(context.DeadlineExceeded) }},
	{"an isolation level that the driver does not know", [2]int{0, 0}, [2]int{0, 0}, func(s *scene) error {
		_, err := s.db.BeginTx(s.t.Context(), &sql.TxOptions{Isolation: sql.LevelLinearizable})
		return err
	}},
	{"an argument that cannot be encoded", [2]int{0, 0}, [2]int{0, 0}, func(s *scene) error { return s.exec("SELECT $1::int", struct{}{}) }},
	{"too few arguments", [2]int{0, 0}, [2]int{0, 0}, func(s *scene) error { return s.exec("SELECT $1::int, $2::int", 1) }},
	{"an argument that the server refuses", [2]int{1, 0}, [2]int{1, 0}, func(s *scene) error { return s.exec("SELECT $1::int", "x") }},
	{"a parameter that the server does not know", [2]int{1, 0}, [2]int{1, 0}, func(s *scene) error { return s.exec("SET statement_mem = 1") }},
	// lib/pq says driver.ErrBadConn, and database/sql prepares the statement again.
	{"a prepared statement whose connection was killed while it was idle", [2]int{1, 1}, [2]int{2, 0}, func(s *scene) error {
		stmt, err := s.db.Prepare("SELECT 1")
		if err != nil {
			return err
		}
		defer stmt.Close()
		if _, err := stmt.Exec(); err != nil {
			return err
		}
		s.kill()
		if _, err := stmt.Exec(); err != nil {
			return err
		}
		return errNone
	}},
	{"a transaction whose connection was killed", [2]int{1, 1}, [2]int{1, 1}, func(s *scene) error {
		tx, err := s.db.Begin()
		if err != nil {
			return err
		}
		if _, err := tx.Exec("SELECT 1"); err != nil {
			return err
		}
		s.kill()
		_, err = tx.Exec("SELECT 1")
		_, _ = tx.Exec("SELECT 1")
		_ = tx.Rollback()
		return err
	}},
}

// copies are those of COPY, which lib/pq alone does behind database/sql.
var copies = map[string]struct {
	want [2]int
	run  func(*scene, *sql.Tx, *sql.Stmt) error
}{
	"a value that the server refuses": {[2]int{2, 0}, func(_ *scene, _ *sql.Tx, rows *sql.Stmt) error {
		_, _ = rows.Exec("x")
		_, err := rows.Exec()
		return err
	}},
	"a value that cannot be sent": {[2]int{0, 0}, func(_ *scene, _ *sql.Tx, rows *sql.Stmt) error {
		_, err := rows.Exec(struct{}{})
		return err
	}},
	"another statement in between": {[2]int{1, 0}, func(_ *scene, tx *sql.Tx, rows *sql.Stmt) error {
		_, _ = rows.Exec(1)
		_, err := tx.Exec("SELECT 1")
		return err
	}},
	"a connection that is killed": {[2]int{1, 1}, func(s *scene, _ *sql.Tx, rows *sql.Stmt) error {
		_, _ = rows.Exec(1000)
		s.kill()
		_, err := rows.Exec(1001)
		_, again := rows.Exec()
		return errors.Join(err, again)
	}},
}

// errNone stands for no error, in situations that only seem to go wrong.
var errNone = errors.New("none")

func TestSituations(t *testing.T) {
	p := newPostgres(t)
	watcher, err := sql.Open("pgx", p.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	watcher.SetMaxOpenConns(1) // kill spares this one
	for _, driver := range drivers {
		var seen outcomes
		b := breaker.New(driver, breaker.Settings{FailMax: 1000}, breaker.WithListener(seen.listener()))
		db, err := breakersql.Open(driver, p.dsn(), b)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		table := "slow_" + driver
		for _, statement := range []string{
			"CREATE TABLE " + table + " (n int)",
			"CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$",
			"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON " + table + " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
		} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		check := func(t *testing.T, want [2]int, run func(*scene) error) {
			s := &scene{t: t, db: db, watcher: watcher, table: table}
			seen.take()
			if err := run(s); err == nil {
				t.Error("no error")
			}
			s.settled()
			if got := seen.take(); got != want {
				t.Errorf("%d good and %d bad, want %d and %d", got[0], got[1], want[0], want[1])
			}
		}
		for _, test := range situations {
			t.Run(driver+"/"+test.name, func(t *testing.T) {
				want := test.pgx
				if driver == "postgres" {
					want = test.pq
				}
				check(t, want, test.run)
			})
		}
		if driver != "postgres" {
			continue
		}
		for name, test := range copies {
			t.Run("COPY, "+name, func(t *testing.T) {
				check(t, test.want, func(s *scene) error {
					tx, err := db.Begin()
					if err != nil {
						return err
					}
					rows, err := tx.Prepare("COPY " + table + " (n) FROM STDIN")
					if err != nil {
						return err
					}
					err = test.run(s, tx, rows)
					_ = rows.Close()
					_ = tx.Rollback()
					return err
				})
			})
		}
	}
}

// scene is what a situation works with.
type scene struct {
	t       *testing.T
	db      *sql.DB // guarded
	watcher *sql.DB // not guarded
	table   string  // a commit that has inserted into it sleeps
}

func (s *scene) exec(query string, args ...any) error {
	_, err := s.db.Exec(query, args...)
	return err
}

// pinned is a statement whose context ends in this way, and another one on the
// same connection.
func (s *scene) pinned(how error) error {
	c, err := s.db.Conn(s.t.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := newUntil(s.t, how)
	s.whenAsleep(ctx)
	_, err = c.ExecContext(ctx, "SELECT pg_sleep(60)")
	_, _ = c.ExecContext(s.t.Context(), "SELECT 1")
	return err
}

func (s *scene) asleep() (n int) {
	_ = s.watcher.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").Scan(&n)
	return n
}

// whenAsleep ends ctx when a statement sleeps at the server.
func (s *scene) whenAsleep(ctx *until) {
	go func() {
		for s.asleep() == 0 && s.t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		close(ctx.over)
	}()
}

// settled waits until nothing sleeps any more: a late cancel must not reach the
// next situation.
func (s *scene) settled() {
	s.t.Helper()
	eventually(s.t, "the server is idle", func() bool { return s.asleep() == 0 })
}

// kill ends every connection but the watcher's own.
func (s *scene) kill() {
	s.t.Helper()
	if _, err := s.watcher.Exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"); err != nil {
		s.t.Fatal(err)
	}
}

// commit is a commit whose context ends in this way.
func (s *scene) commit(how error) error {
	ctx := newUntil(s.t, how)
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(fmt.Sprintf("INSERT INTO %s VALUES (1)", s.table)); err != nil {
		return err
	}
	s.whenAsleep(ctx)
	return tx.Commit()
}
