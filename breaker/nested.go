package breaker

import "context"

// A guarded function may call another one that is guarded by the same breaker:
// two layers of a client, both wrapped. While the breaker recovers, the outer
// call holds the probe's place, and the inner one would be rejected for want of
// it: the probe could never succeed. So a call that was admitted under the lock
// marks its context, and calls made with that context run as a part of it: they
// take no place and are no evidence, as the outer call will be judged.
//
// The mark is made only then, because it costs an allocation.

// nested is the context of such a call.
type nested struct {
	context.Context
	b     *Breaker
	gen   uint32 // of the period that admitted the call
	lease uint32 // of the probe; 0: it was admitted in a ramp
}

type nestedKey struct{}

// Value finds the nested context itself under nestedKey.
func (n *nested) Value(key any) any {
	if key == (nestedKey{}) {
		return n
	}
	return n.Context.Value(key)
}

// Context is ctx for what the call does under this permit: calls of the same
// breaker that are made with it belong to this call, see Breaker.Do. Do passes
// such a context to its function by itself.
func (p *Permit) Context(ctx context.Context) context.Context {
	if p.tag&tagNested == 0 || ctx == nil {
		return ctx
	}
	return &nested{ctx, p.b, genOf(p.word), p.tag.probe()}
}

// belongsToCall reports whether ctx is of a call that the breaker admitted in this
// period, and that has not ended yet.
func (b *Breaker) belongsToCall(ctx context.Context) bool {
	for ctx != nil {
		n, _ := ctx.Value(nestedKey{}).(*nested)
		if n == nil {
			return false
		}
		if n.b == b {
			b.mu.Lock()
			defer b.mu.Unlock()
			return n.gen == genOf(b.load()) && (n.lease == 0 || b.cold.Load().probes.has(n.lease))
		}
		ctx = n.Context // that was another breaker's, around this one
	}
	return false
}
