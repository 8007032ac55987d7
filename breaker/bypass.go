package breaker

import (
	"context"
	"sync/atomic"
)

// bypasses says whether the program has ever marked a context, so that
// programs that never do need not look for marks.
var bypasses atomic.Bool

type bypassKind uint8

const (
	bypassNone bypassKind = iota
	bypassPlain
	bypassCounted
)

type bypassKey struct{}

type bypass struct {
	kind   bypassKind
	reason string
}

// WithBypass marks work that must run although a breaker rejects: a migration
// half done, say. Its calls pass through open and half-open breakers, but not
// through one that somebody forced open. They are counted in Status with the
// reason, and are no evidence: they take no probe's place, and their failures
// count nowhere (but for a panic while the breaker is closed, which counts).
// The mark holds for calls whose context the breaker sees, made with Do or
// AllowContext, not for Allow.
func WithBypass(ctx context.Context, reason string) context.Context {
	return marked(ctx, bypass{bypassPlain, reason})
}

// WithBypassProbe is WithBypass for work that is evidence, such as a health
// check: while the breaker is closed it counts like any call, and while it is
// open or half-open its call is a probe, even before the open time is over, if
// a probe's place is free.
func WithBypassProbe(ctx context.Context, reason string) context.Context {
	return marked(ctx, bypass{bypassCounted, reason})
}

func marked(ctx context.Context, m bypass) context.Context {
	bypasses.Store(true)
	return context.WithValue(ctx, bypassKey{}, m)
}

func bypassing(ctx context.Context) bypassKind {
	m, _ := ctx.Value(bypassKey{}).(bypass)
	return m.kind
}

// letBy admits a rejected call whose context is marked.
func (b *Breaker) letBy(ctx context.Context) (Permit, bool) {
	m, _ := ctx.Value(bypassKey{}).(bypass)
	w := b.load()
	if m.kind == bypassNone || w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	if w&flagForcedClosed == 0 {
		b.noteBypass(m.reason)
	}
	if m.kind == bypassCounted {
		if p, ok := b.admitLocking(m); ok {
			return p, true
		}
	}
	return Permit{b: b, word: w, tag: tagUnjudged}, true
}

func (b *Breaker) noteBypass(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coldLocked()
	c.bypassed++
	c.bypass = reason
}
