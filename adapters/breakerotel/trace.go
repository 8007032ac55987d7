package breakerotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchgear-go/switchgear/breaker"
)

// The names of the events.
const (
	RejectedEvent   = "switchgear.breaker.rejected"
	TransitionEvent = "switchgear.breaker.transition"
)

// Do is breaker.Do with events on the span of ctx: RejectedEvent if the call
// was rejected, and a TransitionEvent for each transition of the breaker while
// the call ran. The call that trips the breaker has such an event, and so have
// others that run at that moment.
//
// A span that is not recording costs one check, and gets no event.
func Do[T any](ctx context.Context, b *breaker.Breaker, fn func(context.Context) (T, error)) (T, error) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return breaker.Do(ctx, b, fn)
	}
	before := b.Status().Version
	defer func() { addTransitions(span, b, before) }() // deferred, because a panic is a failure and may trip the breaker
	v, err := breaker.Do(ctx, b, fn)
	if err != nil {
		RecordRejection(ctx, err)
	}
	return v, err
}

// RecordRejection adds a RejectedEvent to the span of ctx if err is the
// rejection of a breaker, and reports whether it is. It is for calls that are
// guarded elsewhere: in an HTTP transport, a gRPC interceptor, or a Redis
// hook.
func RecordRejection(ctx context.Context, err error) bool {
	var open *breaker.OpenError
	if !errors.As(err, &open) {
		return errors.Is(err, breaker.ErrOpen)
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return true
	}
	attrs := append(named(open.Name, open.Key), StateKey.String(open.State.String()))
	if open.Transition != nil {
		attrs = append(attrs, CauseKey.String(string(open.Transition.Cause)))
	}
	if after := open.RetryAfter(); after > 0 {
		attrs = append(attrs, attribute.Float64("switchgear.breaker.retry_after", after.Seconds()))
	}
	span.AddEvent(RejectedEvent, trace.WithAttributes(attrs...))
	return true
}

// addTransitions adds the transitions of b that came after version.
func addTransitions(span trace.Span, b *breaker.Breaker, version uint64) {
	for _, t := range b.History() {
		if t.Version <= version {
			continue
		}
		span.AddEvent(TransitionEvent, trace.WithTimestamp(t.At), trace.WithAttributes(append(named(b.Name(), b.Key()),
			attribute.String("switchgear.breaker.from", t.From.String()),
			StateKey.String(t.To.String()), CauseKey.String(string(t.Cause)))...))
	}
}

func named(name, key string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{NameKey.String(name)}
	if key != "" {
		attrs = append(attrs, KeyKey.String(key))
	}
	return attrs
}
