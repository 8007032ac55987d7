//go:build linux

package breakerpgx_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/switchgear-go/switchgear/breaker"
)

// While the breaker is open a transaction's statements are rejected, and its
// end is not.
func TestTransactionOutlivesTheTrip(t *testing.T) {
	s := newServer(t)
	p, b := open(t, s, nil)
	ctx := t.Context()
	if _, err := p.Exec(ctx, "CREATE TABLE t (n int)"); err != nil {
		t.Fatal(err)
	}
	tx, err := p.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable})
	if err != nil {
		t.Fatal(err)
	}
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := savepoint.Exec(ctx, "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	b.ForceOpen(breaker.Order{})
	_, err = savepoint.Exec(ctx, "INSERT INTO t VALUES (2)")
	wantRejection(t, err)
	if err := savepoint.Commit(ctx); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(ctx); !errors.Is(err, pgx.ErrTxClosed) {
		t.Errorf("a rollback after the commit got %v", err)
	}
	b.Release(breaker.Order{})
	b.Close(breaker.Order{})
	var n int
	if err := p.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows and %v, want the one that was committed", n, err)
	}
	allReturned(t, p)
}
