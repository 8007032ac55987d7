package breakertest

import (
	"context"
	"errors"
	"time"
)

// ErrFault is the error of calls that a Fault makes fail, unless its Reply has
// another error.
var ErrFault = errors.New("scripted fault")

// Reply is how the dependency answers one call.
type Reply struct {
	Takes time.Duration // time until it answers
	Err   error         // nil: the call succeeds
	Panic any           // unless nil, the call panics with this value
}

// call carries out the reply, like a dependency that respects ctx.
func (r Reply) call(ctx context.Context) error {
	if r.Takes > 0 {
		timer := time.NewTimer(r.Takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.Panic != nil {
		panic(r.Panic)
	}
	return r.Err
}

// Fault scripts a dependency. It returns the reply to the n-th call, where n
// starts at 1 and since is the time from the first call to this one. It must be
// a pure function, and is called by many goroutines at once.
type Fault func(n int, since time.Duration) Reply

// Healthy returns a fault-free dependency: every call succeeds after the given
// time.
func Healthy(takes time.Duration) Fault {
	return func(int, time.Duration) Reply { return Reply{Takes: takes} }
}

// Dead fails every call after the given time: 0 for a refused connection, or
// the timeout of your calls for a dependency that hangs.
func Dead(takes time.Duration) Fault {
	return func(int, time.Duration) Reply { return Reply{Takes: takes, Err: ErrFault} }
}

// Failing fails the given share of calls, evenly spread: 0.1 fails every tenth
// call.
func Failing(share float64) Fault {
	return func(n int, _ time.Duration) Reply {
		if int(float64(n)*share) > int(float64(n-1)*share) {
			return Reply{Err: ErrFault}
		}
		return Reply{}
	}
}

// Sequence gives each call the next of the replies, and starts again after the
// last one. It panics if there are none.
func Sequence(replies ...Reply) Fault {
	if len(replies) == 0 {
		panic("breakertest: Sequence of no replies")
	}
	return func(n int, _ time.Duration) Reply { return replies[(n-1)%len(replies)] }
}

// Until returns a fault that is f before end and then afterwards. Both receive
// the number and the time of the call counted from the first call of all.
func (f Fault) Until(end time.Duration, then Fault) Fault {
	return func(n int, since time.Duration) Reply {
		if since < end {
			return f(n, since)
		}
		return then(n, since)
	}
}

// UntilCall returns a fault that is f up to and including the call with number
// last, and then afterwards.
func (f Fault) UntilCall(last int, then Fault) Fault {
	return func(n int, since time.Duration) Reply {
		if n <= last {
			return f(n, since)
		}
		return then(n, since)
	}
}
