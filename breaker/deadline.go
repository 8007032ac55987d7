package breaker

import (
	"context"
	"time"
)

// A call whose context was over before it began says nothing of the dependency
// (I4): it waited too long in someone's queue, and was never sent. A deadline
// that passes during the call is a failure, as a dependency that hangs shows
// itself in no other way.
//
// To tell the two apart for certain, the context must be looked at before the
// call. That would cost every call of a healthy breaker a fifth of the guard. So
// it is done where the breaker takes the slow path anyway, and from the first
// call on that fails with its deadline passed: flagCheckCtx stands in the word
// from then until the next transition. For that first one the time decides.

// deadlineGrace is how late a call may notice that its deadline has passed. One
// that ends later than that, and whose context was not looked at before, is
// taken for one whose deadline had passed before it began.
const deadlineGrace = 10 * time.Millisecond

// overBefore reports whether the context of a call that failed was over before
// the call began.
func (p *Permit) overBefore(ctx context.Context) bool {
	if p.tag&tagChecked != 0 || ctx == nil || ctx.Err() != context.DeadlineExceeded {
		return false
	}
	b := p.b
	b.mu.Lock()
	if stateOf(b.load()) == Closed {
		b.edit(0, flagCheckCtx)
	}
	b.mu.Unlock()
	deadline, ok := ctx.Deadline()
	return ok && b.cfg.clock.Since(deadline) > deadlineGrace
}
