package breaker

import "context"

// A guarded function may call another function that is guarded by the same
// breaker: two layers of a client, for example, both wrapped. While the breaker
// recovers, the outer call holds the only probe's place, so the inner call would
// be rejected and the probe could never succeed. For this reason a call that was
// admitted under the lock marks its context, and calls made with that context
// run as part of it. They take no place and are not evidence, because the outer
// call will be judged (I2, I4).
//
// Only such calls mark their context, because the mark costs an allocation.

// nested is the context of a call that others may be part of.
type nested struct {
	context.Context
	b     *Breaker
	gen   uint32 // the period that admitted the call
	lease uint32 // the lease of a probe; 0 if the call was admitted in a ramp
}

type nestedKey struct{}

// Value returns the nested context itself under nestedKey.
func (n *nested) Value(key any) any {
	if key == (nestedKey{}) {
		return n
	}
	return n.Context.Value(key)
}

// Context returns the context to make the call with. Calls of the same breaker
// that are made with it are part of this call, as described at Breaker.Do. Do
// passes such a context to its function automatically.
func (p *Permit) Context(ctx context.Context) context.Context {
	// Without the tag there is nothing to mark, and ctx is returned as it is.
	if p.tag&tagNested == 0 || ctx == nil {
		return ctx
	}
	return &nested{ctx, p.b, genOf(p.word), p.tag.probe()}
}

// belongsToCall reports whether ctx comes from a call that the breaker admitted
// in the current period and that has not ended yet. mu is not held.
func (b *Breaker) belongsToCall(ctx context.Context) bool {
	for ctx != nil {
		n, _ := ctx.Value(nestedKey{}).(*nested)
		if n == nil {
			return false
		}
		// ctx is user code, so Value was called before mu is taken (I10).
		if n.b == b {
			b.mu.Lock()
			defer b.mu.Unlock()
			// A permit of an earlier period, or of a probe that has ended, no
			// longer covers anything: a goroutine may outlive the call that
			// started it.
			return n.gen == genOf(b.load()) && (n.lease == 0 || b.cold.Load().probes.has(n.lease))
		}
		ctx = n.Context // the mark of another breaker: look further out
	}
	return false
}
