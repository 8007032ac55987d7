package breaker

import (
	"context"
	"errors"
	"reflect"
	"slices"
)

// Outcome is what the end of a call shows about the dependency.
type Outcome uint8

const (
	// Success is evidence that the dependency works.
	Success Outcome = iota
	// Failure is evidence that it does not.
	Failure
	// Ignored is not evidence either way. It changes no count and no state, and
	// a probe that ends with it gives its place back.
	Ignored
	// Canceled means that the caller gave up. It is not evidence either, except
	// that a call that took SlowCall or longer is a slow call.
	Canceled
)

var outcomeNames = [...]string{"success", "failure", "ignored", "canceled"}

// String returns "success", "failure", "ignored" or "canceled".
func (o Outcome) String() string { return outcomeNames[min(int(o), len(outcomeNames)-1)] }

// Matcher selects errors. Create one with ErrorIs, ErrorAs or ErrorIf.
type Matcher struct {
	match func(error) bool
	what  string
}

// String describes the errors that the matcher selects.
func (m Matcher) String() string { return m.what }

// ErrorIs selects errors that match target, as errors.Is does.
func ErrorIs(target error) Matcher {
	return Matcher{func(err error) bool { return errors.Is(err, target) }, "is " + target.Error()}
}

// ErrorAs selects errors that have a T in their tree, as errors.As does.
func ErrorAs[T error]() Matcher {
	return Matcher{func(err error) bool {
		var t T
		return errors.As(err, &t)
	}, "as " + reflect.TypeFor[T]().String()}
}

// ErrorIf selects errors for which pred returns true. pred is never called with
// nil, and may be called by many goroutines at once. If it panics, the call
// counts as a failure.
func ErrorIf(pred func(error) bool) Matcher { return Matcher{pred, "if a predicate says so"} }

// matchers holds the errors that are excluded and those that are ignored. It is
// never modified: additions create a new value.
type matchers struct {
	excluded []Matcher
	ignored  []Matcher
}

func (m *matchers) with(excluded, ignored []Matcher) *matchers {
	if m == nil {
		m = new(matchers)
	}
	return &matchers{slices.Concat(m.excluded, excluded), slices.Concat(m.ignored, ignored)}
}

// outcome returns the outcome for err if a matcher selects it. It is small enough
// to be inlined, because most breakers have no matchers.
func (m *matchers) outcome(err error) (Outcome, bool) {
	if m == nil {
		return 0, false
	}
	return m.selected(err)
}

func (m *matchers) selected(err error) (Outcome, bool) {
	picks := func(m Matcher) bool { return m.match(err) }
	switch {
	case slices.ContainsFunc(m.excluded, picks):
		return Success, true
	case slices.ContainsFunc(m.ignored, picks):
		return Ignored, true
	}
	return 0, false
}

// classify returns the outcome of a call that ended with err. No lock is held.
func (p *Permit) classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Success
	}
	over := errOf(ctx)
	switch {
	case p.b.cfg == nil: // the zero Breaker
		return Ignored
	case over == context.DeadlineExceeded && p.overBefore(ctx): // the first half saves a call
		return Ignored
	}
	return p.b.cfg.outcome(p.b.ownMatchers(), ctx, over, err)
}

// outcome classifies err, which is not nil; own are the matchers of a key,
// which come before those of its set, and over is the error of ctx. It calls
// user code: no lock is held (I10).
func (c *config) outcome(own *matchers, ctx context.Context, over, err error) (o Outcome) {
	defer c.judgementPanics(&o)
	if c.classifier != nil {
		return known(c.classifier(orBackground(ctx), err))
	}
	if o, ok := own.outcome(err); ok {
		return o
	}
	if o, ok := c.matchers.Load().outcome(err); ok {
		return o
	}
	return defaultOutcome(over, err)
}

// orBackground returns ctx for the program's functions, which may not expect nil.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// errOf returns the error of ctx, which may be nil.
func errOf(ctx context.Context) error {
	if ctx == nil {
		return nil
	}
	return ctx.Err()
}

// judged returns what the program's own judgement of a result says.
func (c *config) judged(judge func() Outcome) (o Outcome) {
	defer c.judgementPanics(&o)
	return known(judge())
}

// judgementPanics is deferred around the program's own judgement: if that panics,
// the call is a failure.
func (c *config) judgementPanics(o *Outcome) {
	if p := recover(); p != nil {
		c.caught("the classifier", p)
		*o = Failure
	}
}

// known returns o. A value that is not an Outcome is not evidence.
func known(o Outcome) Outcome {
	if o > Canceled {
		return Ignored
	}
	return o
}

// DefaultClassifier classifies errors for a breaker that has no classifier of
// its own and no matcher for the error. A custom classifier may call it for
// errors that it does not know.
//
//   - A nil error is a Success.
//   - If the caller cancelled ctx, the call is Canceled, whichever error it
//     returned.
//   - The rejection of another breaker is Ignored, even if it is wrapped,
//     because that breaker has judged the dependency already. That is every
//     error that matches ErrOpen, unless it is joined with another error.
//   - Everything else is a Failure. This includes a deadline that has passed,
//     because a dependency that hangs shows itself in no other way.
func DefaultClassifier(ctx context.Context, err error) Outcome {
	return defaultOutcome(errOf(ctx), err)
}

// defaultOutcome is DefaultClassifier for a context whose error is over.
func defaultOutcome(over, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case over == context.Canceled:
		return Canceled
	case rejectedOnly(err):
		return Ignored
	}
	return Failure
}

// rejectedOnly reports whether err is the rejection of a breaker, wrapped or
// not. A joined error is one if all of its parts are.
func rejectedOnly(err error) bool {
	for err != nil {
		if isPlain(err) {
			return false
		}
		if isRejection(err) {
			return true
		}
		switch e := err.(type) { //nolint:errorlint // this is the walk through the wrapped errors
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			all := slices.DeleteFunc(slices.Clone(e.Unwrap()), func(err error) bool { return err == nil })
			return len(all) > 0 && !slices.ContainsFunc(all, func(err error) bool { return !rejectedOnly(err) })
		default:
			return false
		}
	}
	return false
}

// isPlain reports whether err neither wraps another error nor says what it is.
// Most errors are plain, and one look at such an error's type is enough.
func isPlain(err error) bool {
	switch err.(type) { //nolint:errorlint // what it wraps is the question
	case interface{ Is(error) bool }, interface{ Unwrap() error }, interface{ Unwrap() []error }:
		return false
	}
	return true
}

// isRejection reports whether err itself, whatever it wraps, is the rejection of
// a breaker: an OpenError, ErrOpen, or an error of the program that says so in
// its Is method.
func isRejection(err error) bool {
	is, ok := err.(interface{ Is(error) bool })
	return ok && is.Is(ErrOpen)
}
