package ops

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// listenerTime is how long an order's listeners, those of all its breakers
// together, may run before its receipt. It is less than what the pipe waits for
// (ops/fifo), so that what is answered there is on record by then.
const listenerTime = 500 * time.Millisecond

// obey gives an order on a goroutine of its own, because that is where the
// program's listeners are told: one that hangs, or ends its goroutine, must not
// keep the order from being answered and recorded. From late on nobody waits for
// listeners. The order itself waits for nothing (I5), so one that has not
// returned by then is carried out; its receipt then says what was seen before
// and after.
func obey(b *breaker.Breaker, o breaker.Order, late time.Time) (breaker.Receipt, error) {
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
	done := await(over, time.Until(late))
	// The goroutine may not have had its turn yet, among many.
	for wait := 50 * time.Microsecond; !done && wait < listenerTime && b.Status().Version == before.Version; wait *= 2 {
		done = await(over, wait)
	}
	select {
	case a := <-answered:
		return a.r, a.err
	default:
		after := b.Status()
		return breaker.Receipt{ID: after.ID, Before: before.State, After: after.State, From: before.Version, Version: after.Version}, nil
	}
}

// await waits for over, but no longer than most, and reports whether it came.
func await(over <-chan struct{}, most time.Duration) bool {
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-over:
		return true
	case <-late.C:
		return false
	}
}
