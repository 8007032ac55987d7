package ops

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// listenerTime is how long an order's listeners may run before its receipt. It
// is less than what the pipe waits for (ops/fifo), so that what is answered
// there is on record by then.
const listenerTime = 500 * time.Millisecond

// obey gives an order on a goroutine of its own, because that is where the
// program's listeners are told: one that hangs, or ends its goroutine, must not
// keep the order from being answered and recorded. The order itself waits for
// nothing (I5), so one that has not returned by then is carried out; its receipt
// then says what was seen before and after.
func obey(b *breaker.Breaker, o breaker.Order) (breaker.Receipt, error) {
	if o.DryRun {
		return b.Apply(o) // nobody is told
	}
	type answer struct {
		r   breaker.Receipt
		err error
	}
	before := b.Status()
	answered, over := make(chan answer, 1), make(chan struct{})
	go func() {
		defer close(over)
		r, err := b.Apply(o)
		answered <- answer{r, err}
	}()
	late := time.NewTimer(listenerTime)
	defer late.Stop()
	select {
	case <-over:
	case <-late.C:
	}
	select {
	case a := <-answered:
		return a.r, a.err
	default:
		after := b.Status()
		return breaker.Receipt{ID: after.ID, Before: before.State, After: after.State, From: before.Version, Version: after.Version}, nil
	}
}
