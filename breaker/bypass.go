package breaker

import "context"

type markKind uint8

const (
	markNone   markKind = iota
	markBypass          // run, but not as evidence
	markProbe           // run, and as evidence
)

type markKey struct{}

// mark is what a marked context carries.
type mark struct {
	kind   markKind
	reason string
}

// WithBypass returns a context for calls that must run even if a breaker
// rejects calls, such as the second half of a migration. It has an effect on
// breakers that were created with WithBypassAllowed. Marked calls pass open and
// half-open breakers, but not a breaker that is forced open. They are counted
// in Status.Bypassed, with reason, and are not evidence: they take no probe's
// place, and their failures are not counted.
//
// The breaker must see the context: use Do or AllowContext, not Allow.
func WithBypass(ctx context.Context, reason string) context.Context {
	return context.WithValue(orBackground(ctx), markKey{}, mark{markBypass, reason})
}

// WithBypassProbe is WithBypass for calls that are evidence, such as health
// checks. While the breaker is closed, also in a ramp, a marked call counts
// like any other. While it is open or half-open, a marked call is a probe, even
// before the open time is over, if a probe's place is free.
func WithBypassProbe(ctx context.Context, reason string) context.Context {
	return context.WithValue(orBackground(ctx), markKey{}, mark{markProbe, reason})
}

func markOf(ctx context.Context) mark {
	if ctx == nil {
		return mark{}
	}
	m, _ := ctx.Value(markKey{}).(mark)
	return m
}

// bypassed admits a call that would be rejected, if its context is marked. mu
// is not held.
func (b *Breaker) bypassed(ctx context.Context) (Permit, bool) {
	m := markOf(ctx)
	w := b.load()
	if m.kind == markNone || w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	// Behind forced-closed the call would have run without its mark.
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
		tag = tagUnjudged // no probe's place is free
	}
	return Permit{b: b, word: w, tag: tag}, true
}

// noteBypass counts a call that passed because of its mark. mu is not held.
func (b *Breaker) noteBypass(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coldLocked()
	c.bypassed++
	c.bypass = reason
}
