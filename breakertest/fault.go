package breakertest

import (
	"context"
	"errors"
	"time"
)

// ErrFault is what calls that a Fault lets fail return, unless it says
// otherwise.
var ErrFault = errors.New("scripted fault")

// Reply is what one call meets.
type Reply struct {
	Takes time.Duration // how long it takes to answer
	Err   error         // nil: it succeeds
	Panic any           // not nil: it panics with this
}

// call carries out the reply, as a dependency that honours ctx.
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

// Fault scripts a dependency: what the n-th call meets (from 1 on), made this
// long after the first. It must be a pure function: it is asked on many
// goroutines at once.
type Fault func(n int, since time.Duration) Reply

// Healthy answers every call well, after this long.
func Healthy(takes time.Duration) Fault {
	return func(int, time.Duration) Reply { return Reply{Takes: takes} }
}

// Dead fails every call, after this long: 0 for a refused connection, the time
// limit of your calls for a dependency that hangs.
func Dead(takes time.Duration) Fault {
	return func(int, time.Duration) Reply { return Reply{Takes: takes, Err: ErrFault} }
}

// Failing fails this share of the calls, spread evenly: 0.1 fails every tenth.
func Failing(share float64) Fault {
	return func(n int, _ time.Duration) Reply {
		if int(float64(n)*share) > int(float64(n-1)*share) {
			return Reply{Err: ErrFault}
		}
		return Reply{}
	}
}

// Sequence gives each call its reply in turn, and begins again at the end. It
// panics when there is none.
func Sequence(replies ...Reply) Fault {
	if len(replies) == 0 {
		panic("breakertest: Sequence of no replies")
	}
	return func(n int, _ time.Duration) Reply { return replies[(n-1)%len(replies)] }
}

// Until makes f end at a time: from then on, calls meet then. Times and numbers
// of calls go on counting.
func (f Fault) Until(end time.Duration, then Fault) Fault {
	return func(n int, since time.Duration) Reply {
		if since < end {
			return f(n, since)
		}
		return then(n, since)
	}
}

// UntilCall is Until for a number of calls: f has the first n.
func (f Fault) UntilCall(last int, then Fault) Fault {
	return func(n int, since time.Duration) Reply {
		if n <= last {
			return f(n, since)
		}
		return then(n, since)
	}
}
