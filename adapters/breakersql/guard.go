package breakersql

import (
	"context"
	"database/sql/driver"
	"errors"
	"syscall"

	"github.com/switchgear-go/switchgear/breaker"
)

// guard is what all connections of one connector have in common.
type guard struct {
	b        *breaker.Breaker
	classify func(error) breaker.Outcome
}

func newGuard(b *breaker.Breaker, opts []Option) *guard {
	if b == nil {
		panic("breakersql: got no breaker")
	}
	g := &guard{b: b, classify: Classify}
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// kind is what a call is for.
type kind uint8

const (
	work       kind = iota // its success is evidence that the database works
	preparing              // only its failure is evidence; some drivers do it without asking the database
	undoing                // takes work back: only its failure is evidence
	connecting             // only its failure is evidence, and every error is one unless the database said no
)

// call is one admitted call.
type call struct {
	g      *guard
	conn   *conn           // nil for one that connects
	ctx    context.Context // the caller's, to tell one who gave up
	permit breaker.Permit
	kind   kind
	idle   bool // the connection may have died while it was idle
	late   bool // the caller's time was over before the database was asked
	ended  bool
}

// begin asks for a call; its error is the rejection. The caller defers the
// permit's Ignore, for a driver that panics or exits the goroutine: a mistake of
// the program.
func (g *guard) begin(ctx context.Context, c *conn, k kind) (call, error) {
	permit, err := g.b.AllowContext(ctx)
	if err != nil {
		return call{}, err
	}
	return call{g: g, conn: c, ctx: ctx, permit: permit, kind: k, idle: c != nil && c.past.maybeStale(), late: ctx.Err() != nil}, nil
}

// finish begins a call that runs in any case: its permit takes no note while
// the breaker rejects. ctx is that of the transaction it ends.
func (g *guard) finish(ctx context.Context, c *conn, k kind) call {
	cl := call{g: g, conn: c, ctx: ctx, kind: k, late: ctx.Err() != nil}
	if s := g.b.State(); s == breaker.Closed || s == breaker.ForcedClosed {
		cl.permit, _ = g.b.AllowContext(ctx)
	}
	return cl
}

// end settles the call and returns what the caller is to get. The first end
// counts.
func (c *call) end(err error) error {
	if c.ended {
		return err
	}
	c.ended = true
	switch o := c.outcome(err); o {
	case breaker.Success:
		_ = c.permit.DoneContext(c.ctx, nil)
	case breaker.Failure:
		return c.permit.DoneContext(c.ctx, err) // the breaker's own exclusions have the last word
	default:
		return c.permit.Settle(c.ctx, o, err)
	}
	return err
}

// outcome says what the end of the call is evidence of.
func (c *call) outcome(err error) breaker.Outcome {
	if errors.Is(err, driver.ErrSkip) {
		return breaker.Ignored // it comes again in another way
	}
	o := c.judge(err)
	if c.conn != nil {
		o = c.conn.past.judge(c, o, err)
	}
	if o == breaker.Success && c.kind != work {
		return breaker.Ignored
	}
	return o
}

// judge says what the error alone is evidence of.
func (c *call) judge(err error) breaker.Outcome {
	switch {
	case err == nil:
		return breaker.Success
	case c.canceled(): // drivers tell a cancel in many ways
		return breaker.Canceled
	case c.late, errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE): // no file descriptor is left
		return breaker.Ignored
	}
	o := c.g.classify(err)
	if o == breaker.Ignored && (c.kind == connecting || c.outOfTime()) {
		return breaker.Failure
	}
	return o
}

// canceled reports whether the caller gave up: the call, or the transaction
// that it is part of.
func (c *call) canceled() bool {
	if c.ctx.Err() == context.Canceled {
		return true
	}
	return c.conn != nil && c.conn.past.tx != nil && c.conn.past.tx.ctx.Err() == context.Canceled
}

func (c *call) outOfTime() bool { return c.ctx.Err() == context.DeadlineExceeded }
