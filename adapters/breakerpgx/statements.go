package breakerpgx

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statements has the methods that a Pool, a Conn and a transaction share. They
// differ in how a call starts: the pool's takes a connection first.
type statements struct {
	start func(context.Context, kind) (*call, error)
}

// Exec is pgx.Conn.Exec.
func (s statements) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	c, err := s.start(ctx, work)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	returned := false
	defer c.unwind(&returned)
	tag, err := c.q.Exec(ctx, sql, args...)
	returned = true
	return tag, c.end(err)
}

// Query is pgx.Conn.Query. The rows are never nil.
func (s statements) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c, err := s.start(ctx, work)
	if err != nil {
		return failedRows{err}, err
	}
	returned := false
	defer c.unwind(&returned)
	r, err := c.q.Query(ctx, sql, args...)
	returned = true
	if err != nil {
		err = c.end(err)
		return failedRows{err}, err
	}
	c.leave()
	return &rows{Rows: r, call: c}, nil
}

// QueryRow is pgx.Conn.QueryRow. Scan must be called on the row.
func (s statements) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c, err := s.start(ctx, work)
	if err != nil {
		return failedRow{err}
	}
	returned := false
	defer c.unwind(&returned)
	r := c.q.QueryRow(ctx, sql, args...)
	returned = true
	c.leave()
	return &row{r, c}
}

// SendBatch is pgx.Conn.SendBatch. The results must be closed.
func (s statements) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	c, err := s.start(ctx, work)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	returned := false
	defer c.unwind(&returned)
	br := c.q.SendBatch(ctx, b)
	returned = true
	return newBatchResults(br, c)
}

// CopyFrom is pgx.Conn.CopyFrom.
func (s statements) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	c, err := s.start(ctx, work)
	if err != nil {
		return 0, err
	}
	returned := false
	defer c.unwind(&returned)
	watched := &source{CopyFromSource: src, ctx: ctx}
	n, err := c.q.CopyFrom(ctx, table, columns, watched)
	returned = true
	c.ours = watched.toBlame
	return n, c.end(err)
}

// Begin starts a transaction, in a transaction a savepoint. Commit or Rollback
// must be called on it.
func (s statements) Begin(ctx context.Context) (pgx.Tx, error) {
	return s.begin(ctx, func(c *call) (pgx.Tx, error) { return c.q.Begin(ctx) })
}

func (s statements) begin(ctx context.Context, begin func(*call) (pgx.Tx, error)) (pgx.Tx, error) {
	c, err := s.start(ctx, step)
	if err != nil {
		return nil, err
	}
	returned := false
	defer c.unwind(&returned)
	t, err := begin(c)
	returned = true
	if err != nil {
		return nil, c.end(err)
	}
	held := c.held
	c.held = nil // the transaction's now
	return newTx(c.g, t, held), c.end(nil)
}

func (s statements) ping(ctx context.Context) error {
	c, err := s.start(ctx, work)
	if err != nil {
		return err
	}
	returned := false
	defer c.unwind(&returned)
	err = c.conn.Ping(ctx)
	returned = true
	return c.end(err)
}

// source notes whether the source failed or used up the caller's time. pgx
// reads it on another goroutine, which ends before CopyFrom returns.
type source struct {
	pgx.CopyFromSource
	ctx     context.Context
	toBlame bool
}

func (s *source) Next() bool {
	inTime := s.ctx.Err() == nil
	more := s.CopyFromSource.Next()
	s.note(s.Err(), inTime)
	return more
}

func (s *source) Values() ([]any, error) {
	inTime := s.ctx.Err() == nil
	v, err := s.CopyFromSource.Values()
	s.note(err, inTime)
	return v, err
}

// note notes an error, and a context that ended meanwhile.
func (s *source) note(err error, inTime bool) {
	s.toBlame = s.toBlame || err != nil || inTime && s.ctx.Err() != nil
}
