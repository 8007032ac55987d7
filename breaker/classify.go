package breaker

import (
	"context"
	"errors"
	"reflect"
	"slices"
)

// Outcome is what a call's end says about the dependency.
type Outcome uint8

const (
	// Success is evidence that the dependency works.
	Success Outcome = iota
	// Failure is evidence that it does not.
	Failure
	// Ignored is no evidence either way: it changes no count and no state, and
	// a probe hands its permit back (I4).
	Ignored
	// Canceled says that the caller gave up. It is no evidence either, but for
	// the time the call took: one that took SlowCall or longer is a slow call.
	Canceled
)

var outcomeNames = [...]string{"success", "failure", "ignored", "canceled"}

// String returns "success", "failure", "ignored" or "canceled".
func (o Outcome) String() string { return outcomeNames[min(int(o), len(outcomeNames)-1)] }

// Matcher picks errors. Make one with Is, As or If.
type Matcher struct {
	match func(error) bool
	what  string
}

// String says what the matcher picks.
func (m Matcher) String() string { return m.what }

// ErrorIs picks errors that match target as by errors.ErrorIs.
func ErrorIs(target error) Matcher {
	return Matcher{func(err error) bool { return errors.Is(err, target) }, "is " + target.Error()}
}

// ErrorAs picks errors that have a T in their tree as by errors.ErrorAs.
func ErrorAs[T error]() Matcher {
	return Matcher{func(err error) bool {
		var t T
		return errors.As(err, &t)
	}, "as " + reflect.TypeFor[T]().String()}
}

// ErrorIf picks errors for which pred returns true. pred is never called with nil.
// It may run on many goroutines at once; where it panics, the error is not
// picked.
func ErrorIf(pred func(error) bool) Matcher { return Matcher{pred, "if a predicate says so"} }

// matchers are the errors that are excluded, and those that are ignored. They
// are never changed: additions make a new value.
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

// outcome is what the matchers say of err, if they do.
func (m *matchers) outcome(err error) (Outcome, bool) {
	if m == nil {
		return 0, false
	}
	picks := func(m Matcher) bool { return m.match(err) }
	switch {
	case slices.ContainsFunc(m.excluded, picks):
		return Success, true
	case slices.ContainsFunc(m.ignored, picks):
		return Ignored, true
	}
	return 0, false
}

// classify says what the end of the call is evidence of.
func (p *Permit) classify(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case p.b.cfg == nil: // the zero Breaker
		return Ignored
	case p.overBefore(ctx):
		return Ignored
	}
	return p.b.cfg.outcome(p.b.ownMatchers(), ctx, err)
}

// outcome classifies err, which is not nil; own are matchers that come before
// the common ones. User code runs: no lock is held (I10), and a panic in it
// makes a failure.
func (c *config) outcome(own *matchers, ctx context.Context, err error) Outcome {
	return c.judged(func() Outcome {
		if c.classifier != nil {
			return c.classifier(ctx, err)
		}
		if o, ok := own.outcome(err); ok {
			return o
		}
		if o, ok := c.matchers.Load().outcome(err); ok {
			return o
		}
		return DefaultClassifier(ctx, err)
	})
}

// judged runs the program's judgement. What is no Outcome is no evidence.
func (c *config) judged(judge func() Outcome) (o Outcome) {
	defer func() {
		if p := recover(); p != nil {
			c.caught("classifier", p)
			o = Failure
		}
	}()
	if o = judge(); o > Canceled {
		o = Ignored
	}
	return o
}

// DefaultClassifier is how a breaker without a classifier of the program's own
// judges an error that no matcher picks. It serves as the last case of one that
// knows some errors better.
//
// A call whose caller cancelled ctx is Canceled, whatever error came back. A
// deadline that passed is a Failure, because a dependency that hangs shows
// itself in no other way. The rejection of another breaker is Ignored, with
// whatever wraps it: that breaker has judged the dependency already. nil is a
// Success, everything else a Failure.
func DefaultClassifier(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case ctx != nil && ctx.Err() == context.Canceled:
		return Canceled
	case rejectedOnly(err):
		return Ignored
	}
	return Failure
}

// rejectedOnly reports whether err is the rejection of a breaker, however
// wrapped. Joined errors are if all of them are.
func rejectedOnly(err error) bool {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // this is the walk through the wrapped errors
		case *OpenError:
			return true
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
