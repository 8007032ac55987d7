package breakergrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/switchgear-go/switchgear/breaker"
)

// codeSet has a bit for each code.
type codeSet uint32

func codeSetOf(cs ...codes.Code) (s codeSet) {
	for _, c := range cs {
		s |= 1 << known(c)
	}
	return s
}

func (s codeSet) has(c codes.Code) bool { return s&(1<<known(c)) != 0 }

// known is c, or Unknown for a number that is no code.
func known(c codes.Code) codes.Code {
	if c > codes.Unauthenticated {
		return codes.Unknown
	}
	return c
}

// codeOf is the code that err stands for. Interceptors and handlers may return
// a context's error as it is.
func codeOf(err error) codes.Code {
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

// judgeClient judges the end of a client's call.
func judgeClient(g *Guard, ctx context.Context, err error) breaker.Outcome {
	code := codeOf(err)
	switch {
	case errors.Is(err, breaker.ErrOpen), code == codes.Canceled && ctx.Err() != nil:
		return breaker.Ignored
	case g.failing.has(code):
		return breaker.Failure
	case code == codes.Canceled: // somebody on the way gave up, or the connection was closed
		return breaker.Ignored
	default:
		return breaker.Success
	}
}

// judgeServer judges what a handler returned. After the client's cancel any
// error may be a consequence of it.
func judgeServer(g *Guard, ctx context.Context, err error) breaker.Outcome {
	if ctx.Err() == context.Canceled {
		return breaker.Ignored
	}
	return judgeClient(g, ctx, err)
}

// fail ends a call as a failure, with the hint that its details may hold.
func fail(ctx context.Context, p *breaker.Permit, err error) error {
	after := retryDelay(err)
	if after <= 0 {
		return p.DoneContext(ctx, err)
	}
	h := &hinted{err, after}
	if got := p.DoneContext(ctx, h); got != error(h) {
		return got
	}
	return err
}

// hinted is a failure that says when to ask again.
type hinted struct {
	error
	after time.Duration
}

func (h *hinted) Unwrap() error             { return h.error }
func (h *hinted) RetryAfter() time.Duration { return h.after }

// retryDelay is the delay of the RetryInfo in err's details, or 0.
func retryDelay(err error) time.Duration {
	s, ok := status.FromError(err)
	if !ok || len(s.Proto().GetDetails()) == 0 {
		return 0
	}
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
