package breakersql

import (
	"context"
	"database/sql/driver"
	"errors"

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
	step                   // prepares work or takes it back: only its failure is evidence
	connecting             // a step whose errors are failures, unless the database said no
)

// call is one admitted call.
type call struct {
	g       *guard
	ctx     context.Context // of the caller, to tell one who gave up
	permit  breaker.Permit
	kind    kind
	running bool // the driver has it
}

// begin asks for a call; its error is the rejection. Who gets a call defers
// its unwind.
func (g *guard) begin(ctx context.Context, k kind) (*call, error) {
	permit, err := g.b.AllowContext(ctx)
	if err != nil {
		return nil, err
	}
	return &call{g: g, ctx: ctx, permit: permit, kind: k, running: true}, nil
}

// finish begins a call that runs in any case: nil, which tells nobody, while
// the breaker rejects.
func (g *guard) finish(k kind) *call {
	if s := g.b.State(); s != breaker.Closed && s != breaker.ForcedClosed {
		return nil
	}
	c, _ := g.begin(context.Background(), k)
	return c
}

// end tells the outcome and returns what the caller is to get. The first time
// counts.
func (c *call) end(err error) error {
	if c == nil {
		return err
	}
	outcome := c.outcome(err)
	c.running = false
	switch outcome {
	case breaker.Success:
		c.permit.Done(nil)
	case breaker.Failure:
		return c.permit.DoneContext(c.ctx, err)
	default:
		c.permit.Ignore()
	}
	return err
}

// unwind ends the call of a driver that panicked or exited the goroutine.
func (c *call) unwind() {
	if c != nil && c.running {
		c.permit.Done(errAbandoned)
	}
}

var errAbandoned = errors.New("the driver panicked or exited its goroutine")

func (c *call) outcome(err error) breaker.Outcome {
	o := breaker.Success
	switch {
	case err == nil:
	case c.ctx.Err() == context.Canceled, // drivers tell a cancel in many ways
		errors.Is(err, driver.ErrSkip): // it comes again in another way
		return breaker.Ignored
	default:
		o = c.g.classify(err)
	}
	switch {
	case o == breaker.Success && c.kind != work:
		return breaker.Ignored
	case o == breaker.Ignored && (c.kind == connecting || c.ctx.Err() == context.DeadlineExceeded):
		return breaker.Failure
	}
	return o
}
