package breakerpgx

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchgear-go/switchgear/breaker"
)

// Pool is a pgxpool.Pool whose calls a breaker guards. All methods may be
// called by many goroutines at once.
type Pool struct {
	statements
	g    *guard
	pool *pgxpool.Pool
}

// Option changes how a Pool judges.
type Option func(*guard)

// WithClassifier replaces the judgement of errors that the database or its
// connection caused. f may call breakersql.PostgreSQL for the SQLSTATE of a
// *pgconn.PgError. It is not called for errors that are never evidence (see
// the package documentation). It runs on many goroutines at once, and a
// breaker.Failure that it returns is still subject to the breaker's own
// exclusions.
func WithClassifier(f func(error) breaker.Outcome) Option {
	return func(g *guard) { g.classify = f }
}

// New is pgxpool.New with the breaker in front.
func New(ctx context.Context, connString string, b *breaker.Breaker, opts ...Option) (*Pool, error) {
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	return NewWithConfig(ctx, config, b, opts...)
}

// NewWithConfig is pgxpool.NewWithConfig with the breaker in front. config must
// come from pgxpool.ParseConfig, and is not changed; its hooks are called as
// usual. NewWithConfig panics if b is nil.
func NewWithConfig(ctx context.Context, config *pgxpool.Config, b *breaker.Breaker, opts ...Option) (*Pool, error) {
	if b == nil {
		panic("breakerpgx: got no breaker")
	}
	g := &guard{b: b, classify: classify}
	for _, opt := range opts {
		opt(g)
	}
	pool, err := pgxpool.NewWithConfig(ctx, watched(config))
	if err != nil {
		return nil, err
	}
	p := &Pool{g: g, pool: pool}
	p.statements = statements{start: p.start}
	return p, nil
}

// Pool returns the pool without the breaker.
func (p *Pool) Pool() *pgxpool.Pool { return p.pool }

// Close is pgxpool.Pool.Close.
func (p *Pool) Close() { p.pool.Close() }

// Reset is pgxpool.Pool.Reset.
func (p *Pool) Reset() { p.pool.Reset() }

// Stat is pgxpool.Pool.Stat.
func (p *Pool) Stat() *pgxpool.Stat { return p.pool.Stat() }

// Config returns a copy of the configuration, with the hooks of this package.
func (p *Pool) Config() *pgxpool.Config { return p.pool.Config() }

// Ping asks the database for an answer.
func (p *Pool) Ping(ctx context.Context) error { return p.ping(ctx) }

// BeginTx starts a transaction. Commit or Rollback must be called on it.
func (p *Pool) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	return p.begin(ctx, func(c *call) (pgx.Tx, error) { return c.conn.BeginTx(ctx, opts) })
}

// Acquire takes a connection from the pool. Release must be called on it.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	c, err := p.start(ctx, step)
	if err != nil {
		return nil, err
	}
	held := c.held
	c.held = nil // the caller's now
	return newConn(p.g, held), c.end(nil)
}

// AcquireFunc calls f with a connection from the pool, and releases it when f
// returns.
func (p *Pool) AcquireFunc(ctx context.Context, f func(*Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(c)
}

// Conn is a connection from a Pool, for one goroutine at a time.
type Conn struct {
	statements
	held *pgxpool.Conn
}

func newConn(g *guard, held *pgxpool.Conn) *Conn {
	c := &Conn{held: held}
	c.statements = statements{start: func(ctx context.Context, k kind) (*call, error) {
		return g.begin(ctx, k, held.Conn(), held.Conn())
	}}
	return c
}

// Release returns the connection to the pool. A second Release does nothing.
func (c *Conn) Release() { c.held.Release() }

// Conn returns the connection without the breaker.
func (c *Conn) Conn() *pgx.Conn { return c.held.Conn() }

// Ping asks the database for an answer.
func (c *Conn) Ping(ctx context.Context) error { return c.ping(ctx) }

// BeginTx starts a transaction.
func (c *Conn) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	return c.begin(ctx, func(c *call) (pgx.Tx, error) { return c.conn.BeginTx(ctx, opts) })
}
