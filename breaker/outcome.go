package breaker

import (
	"context"
	"errors"
	"reflect"
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
)

// String returns "success", "failure" or "ignored".
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Failure:
		return "failure"
	default:
		return "ignored"
	}
}

// Matcher picks the errors that are excluded: the dependency answered, so the
// call counts as a success and its error goes to the caller as it is. Make one
// with Is, As or If.
type Matcher struct {
	match func(error) bool
	what  string
}

// String says what the matcher picks.
func (m Matcher) String() string { return m.what }

// Is picks errors that match target as by errors.Is.
func Is(target error) Matcher {
	return Matcher{func(err error) bool { return errors.Is(err, target) }, "is " + target.Error()}
}

// As picks errors that have a T in their tree as by errors.As.
func As[T error]() Matcher {
	return Matcher{func(err error) bool {
		var t T
		return errors.As(err, &t)
	}, "as " + reflect.TypeFor[T]().String()}
}

// If picks errors for which pred returns true. pred is never called with nil.
// It may run on many goroutines at once; where it panics, the error is not
// excluded.
func If(pred func(error) bool) Matcher { return Matcher{pred, "if a predicate says so"} }

// byDefault is the classification of an error that no matcher picks.
//
// A caller who gave up says nothing of the dependency: its own cancel, told as
// context.Canceled or as the cause it cancelled with, is Ignored. A deadline
// that passes is a Failure, because a dependency that hangs shows itself in no
// other way.
func byDefault(ctx context.Context, err error) Outcome {
	if ctx != nil && ctx.Err() == context.Canceled &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return Ignored
	}
	return Failure
}
