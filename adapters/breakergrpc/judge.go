package breakergrpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/switchgear-go/switchgear/breaker"
)

// defaultFailures are the codes with which a service, or what is before it, says
// that it does not work.
var defaultFailures = codeSetOf(codes.Unavailable, codes.DeadlineExceeded, codes.Internal,
	codes.Unknown, codes.ResourceExhausted, codes.DataLoss)

// FailureCode reports whether c is a failure by default.
func FailureCode(c codes.Code) bool { return defaultFailures.has(c) }

// codeSet has a bit for each code.
type codeSet uint32

func codeSetOf(cs ...codes.Code) (s codeSet) {
	for _, c := range cs {
		s |= 1 << known(c)
	}
	return s
}

func (s codeSet) has(c codes.Code) bool { return s&(1<<known(c)) != 0 }

// known returns c, or Unknown for a number that is not a code.
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

// end is what is known of a call when it ends.
type end struct {
	Call
	server   bool // the side that judges
	request  any  // a unary call's, on the client
	opened   bool // a client's stream that was opened: what SendMsg refuses does not come here
	answered bool // a stream of which a message has come
}

// judge says what a call's error is evidence of.
func (g *Guard) judge(ctx context.Context, e end, err error) breaker.Outcome {
	code := codeOf(err)
	switch {
	case errors.Is(err, breaker.ErrOpen),
		// After its client's cancel any error of a handler may be a consequence.
		ctx.Err() == context.Canceled && (e.server || code == codes.Canceled),
		code == codes.Canceled && ctx.Err() != nil,
		e.answered && code == codes.DeadlineExceeded && outOfTime(ctx),
		!e.server && e.refused(code, err):
		return breaker.Ignored
	case g.fails(e.Call, code):
		return breaker.Failure
	case code == codes.Canceled: // a party on the way gave up, or the connection was closed
		return breaker.Ignored
	default:
		return breaker.Success
	}
}

// allowance is how much earlier than the caller the service may find the
// caller's deadline over: it is told of it with other steps.
const allowance = 10 * time.Millisecond

// outOfTime reports whether the caller's deadline has passed.
func outOfTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < allowance
}

// refused reports whether grpc-go has refused to send what the program gave it, or
// to take a message beyond a limit of one of the two programs. Such errors have
// the codes of failures and no types of their own.
func (e *end) refused(code codes.Code, err error) bool {
	switch code {
	case codes.Internal, codes.ResourceExhausted, codes.Unauthenticated, codes.Unavailable:
	default:
		return false
	}
	text := status.Convert(err).Message()
	begins := func(with string) bool { return strings.HasPrefix(text, with) }
	switch {
	case slices.ContainsFunc(limits, begins), begins(notAMessage), begins("message ") && strings.Contains(text, " larger than configured max "): // connect-go's
		return true
	case e.opened:
		return false // the service says so, of its answer
	case begins(tooLarge):
		// The service says so too, of its answer, which is most often larger than
		// the request. grpc.Header would tell whether it has answered, at the price
		// of a copy of each answer's header.
		m, ok := e.request.(proto.Message)
		return !ok || sizeIn(text) <= inflated(proto.Size(m))
	case begins(notMarshalled):
		// The service says so too. Only the request tells.
		m, ok := e.request.(proto.Message)
		if !ok {
			return true
		}
		_, again := proto.Marshal(m)
		return again != nil
	}
	return slices.ContainsFunc(refusals, begins) ||
		begins(notDialed) && (strings.Contains(text, syscall.EMFILE.Error()) || strings.Contains(text, syscall.ENFILE.Error()))
}

const (
	tooLarge      = "trying to send message larger than max ("
	notAMessage   = "grpc: failed to unmarshal the received message: failed to unmarshal, message is " // a reply of the program's that is none
	notDialed     = "connection error: desc = \"transport: Error while dialing: "                      //nolint:misspell // grpc-go spells it so
	notMarshalled = "grpc: error while marshaling: "                                                   //nolint:misspell // grpc-go spells it so
)

// sizeIn is the size in an error that begins with tooLarge, or 0.
func sizeIn(text string) (size int) {
	_, _ = fmt.Sscanf(text, tooLarge+"%d", &size)
	return size
}

// inflated is the most that a compressor makes of a message that does not
// compress.
func inflated(size int) int { return size + size/100 + 1024 }

// limits are how errors begin that say that a message is beyond its receiver's limit.
var limits = []string{
	"grpc: received message larger than max ",
	"grpc: message after decompression larger than max ",
	"grpc: received message after decompression larger than max ",
}

// refusals are how errors begin by which grpc-go refuses to send a request.
var refusals = []string{
	"grpc: message too large (",
	"grpc: error while compressing: ",
	"grpc: Compressor is not installed for requested grpc-encoding ",
	"no codec registered for content-subtype ",
	"header list size to send violates the maximum size (",
	"header key ", // has characters, or a value, that metadata must not have
	"there is an empty key in the header",
	"transport: per-RPC creds failed due to error: ",
	"transport: received per-RPC creds error with illegal status: ",
	"transport: cannot send secure credentials on an insecure connection",
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
