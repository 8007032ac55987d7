//go:build linux

package breakerpgx_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// A batch that begins a transaction keeps its connection for it.
func TestBatchThatBegins(t *testing.T) {
	s := newServer(t)
	p, _ := open(t, s, nil)
	ctx := t.Context()
	b := &pgx.Batch{}
	b.BeginTx(pgx.TxOptions{})
	b.Queue("CREATE TABLE t (n int)")
	results := p.SendBatch(ctx, b)
	tx := results.Tx()
	if err := results.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	results = p.SendBatch(ctx, &pgx.Batch{QueuedQueries: []*pgx.QueuedQuery{{SQL: "SELECT n FROM t"}, {SQL: "SELECT n FROM t"}}})
	var n int
	if err := results.QueryRow().Scan(&n); err != nil || n != 1 {
		t.Errorf("%d and %v, want 1", n, err)
	}
	r, err := results.Query()
	if err := read(r, err); err != nil {
		t.Error(err)
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
	allReturned(t, p)
}
