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
	// ErrOpen is matched by the error of every call that was rejected and did
	// not run: errors.Is(err, ErrOpen).
	ErrOpen error = rejected{}
	// ErrUnknown is matched by the error for an id that identifies no breaker.
	ErrUnknown = errors.New("unknown breaker")
	// ErrDuplicate is matched by the error of Create and CreateSet for a name
	// that is taken.
	ErrDuplicate = errors.New("breaker already exists")
	// ErrName is matched by the error for an invalid name, see ValidateName.
	ErrName = errors.New("invalid breaker name")
	// ErrSettings is matched by the error for invalid settings, see
	// SettingsError.
	ErrSettings = errors.New("invalid settings")
	// ErrOrder is matched by the error for an invalid order.
	ErrOrder = errors.New("invalid order")
	// ErrVersion is matched by the error for an order or update that expected
	// another version: the breaker has changed since its actor looked at it.
	ErrVersion = errors.New("breaker has changed")
)

// OpenError is the error of a call that was rejected and did not run. Many
// rejections share one value, so that rejecting allocates nothing. It must not
// be modified.
type OpenError struct {
	Name string // the name of the breaker or set
	Key  string // the key of a keyed breaker, else ""
	// State says why the call was rejected: Open, HalfOpen (all probes are
	// running) or ForcedOpen. It is Closed if the breaker is in a ramp, or
	// closed while the call was being rejected.
	State State
	// Transition is the transition that began the state.
	Transition *Transition
	// Opened is the last transition that opened the breaker, if it has not
	// closed since, else nil. In half-open it says what went wrong.
	Opened *Transition

	until time.Time     // zero: unknown
	clock *vtime.Source // nil: the real time
	ramp  bool
}

// Error returns the id of the breaker, its state and why it opened.
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

// rejected is the type of ErrOpen. It answers for itself, as an OpenError does, so
// that the errors of failed calls need not be compared with it.
type rejected struct{}

func (rejected) Error() string        { return "circuit breaker is open" }
func (rejected) Is(target error) bool { return target == ErrOpen }

// Is reports whether target is ErrOpen.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// RetryAfter returns the time until a call may be admitted again: while open,
// until the next probe; while half-open, until a probe's lease runs out; while
// forced open, until the override expires. 0 means now, or unknown.
func (e *OpenError) RetryAfter() time.Duration {
	if e.until.IsZero() {
		return 0
	}
	return max(0, e.clock.Until(e.until))
}

// tripError is the error of the call that tripped the breaker, under
// WithErrorOnTrip. Both errors are found by errors.Is and errors.As.
type tripError struct {
	open error
	own  error
}

func (e *tripError) Error() string {
	return e.open.Error() + " (this call opened it: " + e.own.Error() + ")"
}
func (e *tripError) Unwrap() []error { return []error{e.open, e.own} }

// UnknownError is the error for an id that identifies no breaker. It matches
// ErrUnknown.
type UnknownError struct {
	ID   string
	Near []string // up to three existing ids that are close to ID, closest first
}

// Error returns the id and the ids that may have been meant.
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
