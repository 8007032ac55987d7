package breakersql

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// past is what has happened on a connection. An error can be a consequence of
// it, and is then no evidence: the database has not been asked, or has been
// judged already. database/sql uses a connection from one goroutine at a time.
type past struct {
	made   time.Time
	used   bool         // the database has answered on it
	left   bool         // a caller gave up in the middle of a call, and nothing has failed since
	broken bool         // a call has failed since the pool handed it out
	tx     *transaction // the one under way, or nil
}

type transaction struct {
	ctx    context.Context // it was begun with
	failed bool            // its failure has been counted
}

// staleAfter is the age from which a connection that was never used may have
// died while it was idle: a pool makes some in advance.
const staleAfter = time.Second

// maybeStale reports whether a driver.ErrBadConn can mean that the connection
// died while it was not in use. On a new one it means that the database does not
// work.
func (p *past) maybeStale() bool {
	return p.tx == nil && (p.used || time.Since(p.made) > staleAfter)
}

// judge is outcome o, of a call that ended with err, in the light of the past.
// It notes what the call means for the calls after it.
func (p *past) judge(c *call, o breaker.Outcome, err error) breaker.Outcome {
	coded := false
	if err != nil { // or the search would cost every success three allocations
		_, coded = byCode(err)
	}
	answered := coded || o == breaker.Success && (err != nil || c.kind != preparing)
	excused := o == breaker.Failure && p.excuses(c, err, coded)
	if answered {
		p.used, p.left, p.broken = true, false, false
	}
	if o == breaker.Failure {
		p.left, p.broken = false, true
		if p.tx != nil {
			p.tx.failed = true
		}
	}
	if c.canceled() || c.late {
		p.left = true // even if the call got through: drivers cancel in the background
	}
	if excused {
		return breaker.Ignored
	}
	return o
}

// taken notes that the pool hands the connection to another caller. One that
// was broken and is not dropped has had its excuse: a pool of dead connections
// must not look like a database that works.
func (p *past) taken() { p.broken = false }

// excuses reports whether a failure is not evidence.
func (p *past) excuses(c *call, err error, coded bool) bool {
	switch {
	case p.tx != nil && p.tx.failed:
		return true // one broken transaction is one failure
	case c.kind == undoing && c.ctx.Err() != nil:
		return true // the transaction's time was over, and the driver has dropped the connection
	case c.outOfTime():
		return false // this call was waited for, whatever came before
	case p.left || p.broken && !coded:
		return true // a consequence
	}
	return c.idle && errors.Is(err, driver.ErrBadConn) // database/sql tries another connection, which gives the verdict
}
