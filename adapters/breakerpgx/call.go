package breakerpgx

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchgear-go/switchgear/adapters/breakersql"
	"github.com/switchgear-go/switchgear/breaker"
)

// guard is what all calls of one pool have in common.
type guard struct {
	b        *breaker.Breaker
	classify func(error) breaker.Outcome
}

// classify is the default classifier. It gets what the server said, and errors
// of connections.
func classify(err error) breaker.Outcome {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return breakersql.PostgreSQL(e.Code)
	}
	if isAnswer(err) {
		return breaker.Success
	}
	return breaker.Failure
}

// isAnswer reports whether err is the server's word, or made of an answer that
// came.
func isAnswer(err error) bool {
	var said *pgconn.PgError
	var scan pgx.ScanArgError
	return errors.As(err, &said) || errors.As(err, &scan) || errors.Is(err, pgx.ErrNoRows) ||
		errors.Is(err, pgx.ErrTooManyRows) || errors.Is(err, pgx.ErrTxCommitRollback)
}

// kind is what a call is for.
type kind uint8

const (
	work kind = iota // its success is evidence that the database works
	step             // prepares work or takes it back: only its failure is evidence
)

// querier is what a *pgx.Conn and a pgx.Tx have in common.
type querier interface {
	Begin(context.Context) (pgx.Tx, error)
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
}

// call is one admitted call. Like its connection it is used by one goroutine at
// a time.
type call struct {
	g       *guard
	ctx     context.Context // of the caller, to tell one who gave up
	permit  breaker.Permit  // the zero one takes no note
	kind    kind
	q       querier
	conn    *pgx.Conn     // nil where the call is not evidence: then it must not be looked at
	held    *pgxpool.Conn // released at the call's end, if the call took it from the pool
	running bool
	ours    bool // the program's own code failed, or used up the time
	over    bool // the context had ended when pgx last returned
}

func (c *call) hold(held *pgxpool.Conn) {
	c.held, c.conn, c.q = held, held.Conn(), held.Conn()
}

// admit asks the breaker. The permit is the zero one where the context has
// ended already: the database would not be asked anything.
func (g *guard) admit(ctx context.Context) (breaker.Permit, error) {
	if ctx.Err() != nil {
		return breaker.Permit{}, nil
	}
	return g.b.AllowContext(ctx)
}

// begin asks for a call on a connection that the program holds.
func (g *guard) begin(ctx context.Context, k kind, conn *pgx.Conn, q querier) (*call, error) {
	c := &call{g: g, ctx: ctx, kind: k, q: q, conn: conn, running: true}
	if conn.IsClosed() {
		return c, nil // whatever closed it has been judged; nothing leaves the process
	}
	var err error
	c.permit, err = g.admit(ctx)
	return c, err
}

// finish begins a call that runs in any case, and is judged only while the
// breaker is closed: a probe's place is not for the end of a transaction.
func (g *guard) finish(ctx context.Context, k kind, conn *pgx.Conn) *call {
	if s := g.b.State(); s == breaker.Closed || s == breaker.ForcedClosed {
		if c, err := g.begin(ctx, k, conn, nil); err == nil {
			return c
		}
	}
	return &call{g: g, ctx: ctx, kind: k, running: true}
}

// end judges the call, gives its connection back, and returns the error that
// the caller gets. The first time counts.
func (c *call) end(err error) error {
	if !c.running {
		return err
	}
	return c.settle(c.outcome(err), err)
}

func (c *call) settle(o breaker.Outcome, err error) error {
	c.release()
	switch {
	case o == breaker.Success && c.kind != work:
		o = breaker.Ignored
	case o == breaker.Success:
		_ = c.permit.DoneContext(c.ctx, nil)
		return err
	case o == breaker.Failure:
		return c.permit.DoneContext(c.ctx, err) // the breaker's own exclusions apply
	}
	_ = c.permit.Settle(c.ctx, o, err)
	return err
}

// release gives the connection back, after the last look at it.
func (c *call) release() {
	c.running = false
	if c.held != nil {
		c.held.Release()
		c.held = nil
	}
}

// unwind is deferred around what a call runs, and ends one that panics or exits
// its goroutine, which is a mistake of the program.
func (c *call) unwind(returned *bool) {
	if !*returned && c.running {
		_ = c.settle(breaker.Ignored, nil)
	}
}

// leave and enter are around what the program does between the parts of a
// call. A context that ends there ends by the program's own slowness.
func (c *call) leave() { c.over = c.ctx.Err() != nil }

func (c *call) enter() {
	if c.running && !c.over && c.ctx.Err() != nil {
		c.ours = true
	}
}

func (c *call) outcome(err error) breaker.Outcome {
	switch {
	case err == nil:
		return breaker.Success
	case c.conn == nil, c.ours, copyFailed(err):
		return breaker.Ignored
	case c.ctx.Err() == context.Canceled:
		return breaker.Canceled
	case isAnswer(err), c.conn.IsClosed():
		return c.g.classify(err)
	}
	// pgx closes a connection upon each error of it. This one is well, and the
	// server has said nothing: the error is the program's.
	return breaker.Ignored
}

// copyFailed reports whether err is the server's echo of a COPY that pgx has
// broken off, because a value cannot be encoded or its source failed. It has
// the code of a statement that was cancelled.
func copyFailed(err error) bool {
	e := (*pgconn.PgError)(nil)
	return errors.As(err, &e) && e.Code == "57014" && e.Routine == "CopyGetData"
}
