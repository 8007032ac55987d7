package breaker

import (
	"context"
	"time"
)

// A call whose context was over before the call began says nothing about the
// dependency (I4): it waited too long in some queue and was never sent. A
// deadline that passes during the call is a failure, because a dependency that
// hangs shows itself in no other way.
//
// To distinguish the two reliably, the context must be checked before the call.
// AllowContext does so. Before Do it would add a fifth to the cost of every call
// on a healthy breaker. So Do makes the check only where the breaker takes the
// slow path anyway, and after the first call that fails with its deadline passed:
// from then until the next transition, flagCheckCtx is set in the word. That
// first call, and those in flight beside it, are judged by their timing: see
// DESIGN.md for what that costs.

// deadlineGrace is how long after its deadline a call may return. If a call
// whose context was not checked returns later than that, its deadline is
// assumed to have passed before it began. A process that has used up its share
// of the processors stands still for up to 100 ms, and a call that hung until
// its deadline then returns that late.
const deadlineGrace = 100 * time.Millisecond

// overBefore reports whether the context of a failed call was over before the
// call began. mu is not held.
func (p *Permit) overBefore(ctx context.Context) bool {
	// tagChecked: the context was checked at admission and was not over.
	if p.tag&tagChecked != 0 || ctx == nil || ctx.Err() != context.DeadlineExceeded {
		return false
	}
	b := p.b
	b.mu.Lock()
	// Only a closed breaker needs the flag. In every other state calls take the
	// slow path, and the next transition starts without the flag.
	if stateOf(b.load()) == Closed {
		b.edit(0, flagCheckCtx)
	}
	b.mu.Unlock()
	deadline, ok := ctx.Deadline()
	return ok && b.cfg.clock.Since(deadline) > deadlineGrace
}
