package breakerpgx

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// batchResults reports to the breaker how a batch ended. It is judged by its
// first error, after which the server runs no more of it.
type batchResults struct {
	results pgx.BatchResults
	call    *call
	tx      *tx // owns the pool's connection, if the batch began a transaction
	first   error
}

func newBatchResults(results pgx.BatchResults, c *call) *batchResults {
	c.leave()
	b := &batchResults{results: results, call: c}
	if t := results.Tx(); t != nil {
		b.tx = newTx(c.g, t, c.held)
		c.held = nil
	}
	return b
}

// Exec is pgx.BatchResults.Exec.
func (b *batchResults) Exec() (pgconn.CommandTag, error) {
	b.call.enter()
	tag, err := b.results.Exec()
	return tag, b.note(err)
}

// Query is pgx.BatchResults.Query.
func (b *batchResults) Query() (pgx.Rows, error) {
	b.call.enter()
	r, err := b.results.Query()
	if err != nil {
		return r, b.note(err)
	}
	b.call.leave()
	return &batchRows{r, b}, nil
}

// QueryRow is pgx.BatchResults.QueryRow.
func (b *batchResults) QueryRow() pgx.Row { return &batchRow{b.results.QueryRow(), b} }

// Tx is pgx.BatchResults.Tx.
func (b *batchResults) Tx() pgx.Tx {
	if b.tx == nil {
		return nil
	}
	return b.tx
}

// Close reads the results that are left and runs the callbacks of the batch.
func (b *batchResults) Close() error {
	b.call.enter()
	returned := false
	defer b.call.unwind(&returned)
	err := b.results.Close()
	returned = true
	if b.first == nil {
		return b.call.end(err)
	}
	_ = b.call.end(b.first)
	return err
}

// note notes the outcome of one of the queries.
func (b *batchResults) note(err error) error {
	b.call.leave()
	switch {
	case err == nil:
		b.call.permit.Answered()
	case b.first == nil && !errors.Is(err, pgx.ErrNoRows):
		b.first = err
	}
	return err
}

// batchRows are the rows of one query of a batch.
type batchRows struct {
	pgx.Rows
	batch *batchResults
}

// Next is pgx.Rows.Next.
func (r *batchRows) Next() bool {
	r.batch.call.enter()
	more := r.Rows.Next()
	_ = r.batch.note(r.Err())
	return more
}

// Close is pgx.Rows.Close.
func (r *batchRows) Close() {
	r.batch.call.enter()
	r.Rows.Close()
	_ = r.batch.note(r.Err())
}

// batchRow is the row of one query of a batch.
type batchRow struct {
	row   pgx.Row
	batch *batchResults
}

// Scan is pgx.Row.Scan.
func (r *batchRow) Scan(dest ...any) error {
	r.batch.call.enter()
	return r.batch.note(r.row.Scan(dest...))
}
