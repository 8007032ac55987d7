package breaker

import "context"

type markKind uint8

const (
	markNone   markKind = iota
	markBypass          // no evidence
	markProbe           // evidence
)

type markKey struct{}

// mark is what the context of marked work carries.
type mark struct {
	kind   markKind
	reason string
}

// WithBypass marks work that must run although a breaker rejects: a migration
// half done, say. The breaker must be made WithBypassAllowed. Its calls pass
// through open and half-open breakers, but not through one that is forced open.
// They are counted in Status with the reason, and are no evidence: they take no
// probe's place, and their failures count nowhere. The mark holds for calls
// whose context the breaker sees, made with Do or AllowContext, not for Allow.
func WithBypass(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, markKey{}, mark{markBypass, reason})
}

// WithBypassProbe is WithBypass for work that is evidence, such as a health
// check: while the breaker is closed it counts like any call, in a ramp too, and
// while it is open or half-open its call is a probe, even before the open time
// is over, if a probe's place is free.
func WithBypassProbe(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, markKey{}, mark{markProbe, reason})
}

func markOf(ctx context.Context) mark {
	if ctx == nil {
		return mark{}
	}
	m, _ := ctx.Value(markKey{}).(mark)
	return m
}

// bypassed admits a rejected call whose context is marked.
func (b *Breaker) bypassed(ctx context.Context) (Permit, bool) {
	m := markOf(ctx)
	w := b.load()
	if m.kind == markNone || w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	if w&flagForcedClosed == 0 {
		b.noteBypass(m.reason)
	}
	if m.kind == markProbe {
		if p, ok := b.admitLocking(m); ok {
			return p, true
		}
	}
	tag := tagIgnored
	if m.kind == markProbe {
		tag = tagUnjudged // no place is free
	}
	return Permit{b: b, word: w, tag: tag}, true
}

func (b *Breaker) noteBypass(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coldLocked()
	c.bypassed++
	c.bypass = reason
}
