package breakerpgx

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tx is a guarded transaction, or a savepoint in one.
type tx struct {
	statements
	g     *guard
	t     pgx.Tx
	held  *pgxpool.Conn // of a transaction that the pool began: released at its end
	outer *tx           // of a savepoint
	ended bool
}

func newTx(g *guard, t pgx.Tx, held *pgxpool.Conn) *tx {
	x := &tx{g: g, t: t, held: held}
	x.statements = statements{start: x.start}
	return x
}

// over reports whether the transaction has ended. Then its connection may
// belong to another goroutine, and must not be looked at.
func (x *tx) over() bool {
	for ; x != nil; x = x.outer {
		if x.ended {
			return true
		}
	}
	return false
}

func (x *tx) start(ctx context.Context, k kind) (*call, error) {
	if x.over() {
		return &call{g: x.g, ctx: ctx, kind: k, q: x.t, running: true}, nil // pgx refuses it
	}
	return x.g.begin(ctx, k, x.t.Conn(), x.t)
}

// Begin starts a savepoint.
func (x *tx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner, err := x.statements.Begin(ctx)
	if err != nil {
		return nil, err
	}
	inner.(*tx).outer = x
	return inner, nil
}

// Commit always runs, whatever the breaker says.
func (x *tx) Commit(ctx context.Context) error {
	return x.finish(ctx, work, x.t.Commit)
}

// Rollback always runs, whatever the breaker says.
func (x *tx) Rollback(ctx context.Context) error {
	return x.finish(ctx, step, x.t.Rollback)
}

func (x *tx) finish(ctx context.Context, k kind, end func(context.Context) error) error {
	if x.over() {
		return end(ctx) // pgx.ErrTxClosed
	}
	c := x.g.finish(ctx, k, x.t.Conn())
	c.held, x.held, x.ended = x.held, nil, true
	returned := false
	defer c.unwind(&returned)
	err := end(ctx)
	returned = true
	return c.end(err)
}

// Prepare is pgx.Tx.Prepare.
func (x *tx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	c, err := x.start(ctx, step)
	if err != nil {
		return nil, err
	}
	returned := false
	defer c.unwind(&returned)
	sd, err := x.t.Prepare(ctx, name, sql)
	returned = true
	return sd, c.end(err)
}

// LargeObjects is pgx.Tx.LargeObjects. Its calls are not guarded.
func (x *tx) LargeObjects() pgx.LargeObjects { return x.t.LargeObjects() }

// Conn returns the connection without the breaker.
func (x *tx) Conn() *pgx.Conn { return x.t.Conn() }
