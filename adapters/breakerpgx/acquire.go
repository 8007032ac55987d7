package breakerpgx

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchgear-go/switchgear/breaker"
)

// acquiring is the context of one wait for a connection. The hooks below find
// it there and note what the pool has done for this caller.
type acquiring struct {
	context.Context
	asked atomic.Bool // the database has been asked: a connect or a ping has begun
	own   atomic.Bool // one of the program's own hooks has failed, and not because of the connection
}

type acquiringKey struct{}

// Value returns the acquiring itself under acquiringKey.
func (a *acquiring) Value(key any) any {
	if key == (acquiringKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// of returns the wait that ctx belongs to. What the pool does by itself
// belongs to no wait, and is noted in an acquiring that is discarded.
func of(ctx context.Context) *acquiring {
	if a, ok := ctx.Value(acquiringKey{}).(*acquiring); ok {
		return a
	}
	return &acquiring{}
}

// watched returns a copy of config whose hooks note what they see, around
// those of the program.
func watched(config *pgxpool.Config) *pgxpool.Config {
	c := config.Copy()
	beforeConnect, afterConnect, prepareConn, shouldPing := c.BeforeConnect, c.AfterConnect, c.PrepareConn, c.ShouldPing
	if before := c.BeforeAcquire; prepareConn == nil && before != nil { //nolint:staticcheck // deprecated, and still served
		prepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) { return before(ctx, conn), nil }
	}
	c.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		if beforeConnect != nil {
			if err := beforeConnect(ctx, cc); err != nil {
				of(ctx).own.Store(true)
				return err
			}
		}
		of(ctx).asked.Store(true)
		return nil
	}
	if afterConnect != nil {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			err := afterConnect(ctx, conn)
			noteOwn(ctx, conn, err)
			return err
		}
	}
	if prepareConn != nil {
		c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			ok, err := prepareConn(ctx, conn)
			noteOwn(ctx, conn, err)
			return ok, err
		}
	}
	c.ShouldPing = func(ctx context.Context, p pgxpool.ShouldPingParams) bool {
		var ping bool
		if shouldPing != nil {
			ping = shouldPing(ctx, p)
		} else {
			ping = p.IdleDuration > time.Second // pgxpool's default
		}
		// A server sends nothing on an idle connection, except to close it or
		// to notify. The ping finds out which.
		ping = ping || pending(p.Conn.PgConn().Conn())
		if ping {
			of(ctx).asked.Store(true)
		}
		return ping
	}
	return c
}

// noteOwn notes an error of the program's hook that is not the connection's.
func noteOwn(ctx context.Context, conn *pgx.Conn, err error) {
	if err != nil && !conn.IsClosed() && !isAnswer(err) {
		of(ctx).own.Store(true)
	}
}

// tookTime is the length of a wait for a connection above which the call's
// time starts again.
const tookTime = time.Millisecond

// start asks the breaker, and takes a connection from the pool for the call.
func (p *Pool) start(ctx context.Context, k kind) (*call, error) {
	permit, err := p.g.admit(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{g: p.g, ctx: ctx, permit: permit, kind: k, running: true}
	returned := false
	defer c.unwind(&returned) // a hook may panic
	began := time.Now()
	a := &acquiring{Context: ctx}
	held, err := p.pool.Acquire(a)
	returned = true
	if err != nil {
		return nil, c.settle(p.g.judgeAcquire(ctx, a, err), err)
	}
	c.hold(held)
	// The wait was for the program's own pool or for a new connection: it does
	// not make the call slow. While the breaker is half-open the call keeps
	// its place.
	if time.Since(began) >= tookTime && p.g.b.State() == breaker.Closed {
		if again, err := p.g.admit(ctx); err == nil {
			c.permit.Ignore()
			c.permit = again
		}
	}
	return c, nil
}

// judgeAcquire says what it means that there is no connection.
func (g *guard) judgeAcquire(ctx context.Context, a *acquiring, err error) breaker.Outcome {
	switch {
	case !a.asked.Load(), a.own.Load(), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return breaker.Ignored // the database was not asked, or is not to blame: no file descriptor is left
	case ctx.Err() == context.Canceled:
		return breaker.Canceled
	}
	if o := g.classify(err); o != breaker.Success {
		return o
	}
	return breaker.Ignored // the server answered that it does not accept us
}
