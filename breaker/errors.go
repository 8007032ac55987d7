package breaker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

var (
	// ErrOpen is what every rejection matches with errors.Is.
	ErrOpen = errors.New("circuit breaker is open")
	// ErrUnknown is matched by the error for an id that names no breaker.
	ErrUnknown = errors.New("unknown breaker")
	// ErrDuplicate is matched by the error of a Create whose name is taken.
	ErrDuplicate = errors.New("breaker exists already")
	// ErrName is matched by the error for a name that cannot be part of an id.
	ErrName = errors.New("invalid breaker name")
	// ErrSettings is matched by the error for settings outside their range.
	ErrSettings = errors.New("invalid settings")
	// ErrOrder is matched by the error for an order that makes no sense.
	ErrOrder = errors.New("invalid order")
	// ErrVersion is matched by the error for an order whose expected version
	// is not the breaker's: somebody or something changed it in between.
	ErrVersion = errors.New("breaker has changed")
)

// OpenError is a rejection: the call did not run. One value serves many
// rejections, so it must not be modified; rejecting allocates nothing.
type OpenError struct {
	Name  string // the breaker, or the set of a keyed one
	Key   string // the key of a keyed breaker, else ""
	State State  // why it rejects: Open, HalfOpen (while probes are out), ForcedOpen, or Closed (during a ramp, or if it closed in the moment of the call)
	// Transition is the transition that began this state.
	Transition *Transition
	// Opened is the transition that opened the breaker, which in half-open says
	// what is wrong; nil if it has not opened since it was closed.
	Opened *Transition

	until time.Time     // zero: unknown
	clock *vtime.Source // nil: the real time
	ramp  bool
}

// Error names the breaker, its state and why it opened.
func (e *OpenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", joinID(e.Name, e.Key), ErrOpen)
	why := e.Transition
	switch e.State {
	case ForcedOpen:
		b.WriteString(" (forced)")
	case HalfOpen:
		b.WriteString(" (half-open, waiting for a probe)")
		if e.Opened != nil {
			why = e.Opened
		}
	case Closed:
		if e.ramp {
			b.WriteString(" (closed again, admitting calls gradually)")
		} else {
			b.WriteString(" (closed again just now)")
		}
	}
	if why != nil {
		b.WriteString(": ")
		b.WriteString(why.Summary())
	}
	return b.String()
}

// Is reports whether target is ErrOpen.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// RetryAfter is the time until a call may be admitted again: until the next
// probe while open, what remains of the lease that stands in the way while
// half-open, until the override expires while forced open. 0 means now or
// unknown.
func (e *OpenError) RetryAfter() time.Duration {
	if e.until.IsZero() {
		return 0
	}
	return max(0, e.clock.Until(e.until))
}

// tripError is the tripping call's error under WithErrorOnTrip: the open error
// and the call's own, both matched by errors.Is and errors.As.
type tripError struct {
	open error
	own  error
}

func (e *tripError) Error() string {
	return e.open.Error() + " (this call opened it: " + e.own.Error() + ")"
}
func (e *tripError) Unwrap() []error { return []error{e.open, e.own} }

// UnknownError is the answer to an id that names no breaker. It matches
// ErrUnknown.
type UnknownError struct {
	ID   string
	Near []string // the nearest ids there are, best first, at most three
}

// Error names the id and the nearest ones.
func (e *UnknownError) Error() string {
	s := fmt.Sprintf("%s %q", ErrUnknown, e.ID)
	if len(e.Near) > 0 {
		near := make([]string, len(e.Near))
		for i, id := range e.Near {
			near[i] = strconv.Quote(id)
		}
		s += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return s
}

// Is reports whether target is ErrUnknown.
func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }
