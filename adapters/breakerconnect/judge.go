package breakerconnect

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/switchgear-go/switchgear/breaker"
)

// codeSet has a bit for each code.
type codeSet uint32

func codeSetOf(codes ...connect.Code) (s codeSet) {
	for _, c := range codes {
		s |= 1 << known(c)
	}
	return s
}

func (s codeSet) has(c connect.Code) bool { return s&(1<<known(c)) != 0 }

// known returns c, or CodeUnknown for a number that is not a code.
func known(c connect.Code) connect.Code {
	if c < connect.CodeCanceled || c > connect.CodeUnauthenticated {
		return connect.CodeUnknown
	}
	return c
}

// codeOf is the code that err stands for. Interceptors and handlers may return
// a context's error as it is.
func codeOf(err error) connect.Code {
	var e *connect.Error
	switch {
	case errors.As(err, &e):
		return e.Code()
	case errors.Is(err, context.Canceled):
		return connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return connect.CodeDeadlineExceeded
	}
	return connect.CodeUnknown
}

// judgeClient judges the error of a client's call. left reports whether an HTTP
// client was seen to take the request. It takes an empty one where the message
// cannot be marshalled, because connect closes a call by making it; such an
// error is known by being protobuf's.
func (g *Guard) judgeClient(ctx context.Context, left bool, err error) breaker.Outcome {
	code := codeOf(err)
	if o, known := plain(ctx, err); known {
		return o
	}
	switch {
	case code == connect.CodeResourceExhausted && tooLarge(err): // beyond the server's limit, or the client's own
		return breaker.Ignored
	case connect.IsWireError(err): // the server said so
		return g.judgeCode(code)
	case !left && !network(err), // it never left the client
		errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), // for want of a file descriptor
		code == connect.CodeInternal && errors.Is(err, proto.Error), // nor did this message
		code == connect.CodeResourceExhausted,                       // the client's own limit on what it reads
		unread(err):
		return breaker.Ignored
	case network(err) && code != connect.CodeDeadlineExceeded:
		// connect has other codes for a connection that breaks: Canceled where the
		// peer resets it, InvalidArgument in the middle of a message.
		return g.judgeCode(connect.CodeUnavailable)
	}
	return g.judgeCode(code)
}

// tooLarge reports whether err says, as connect and grpc-go do, that a message is
// beyond its receiver's limit.
func tooLarge(err error) bool {
	var e *connect.Error
	if !errors.As(err, &e) {
		return false
	}
	text := e.Message()
	return strings.HasPrefix(text, "message ") && strings.Contains(text, " larger than configured max ") ||
		strings.HasPrefix(text, "grpc: received message ") && strings.Contains(text, "larger than max ")
}

// unread reports whether the service was not reached, because a proxy wants
// credentials, or its answer not taken, because net/http refuses a header beyond
// http.Transport.MaxResponseHeaderBytes.
func unread(err error) bool {
	text := err.Error()
	return strings.Contains(text, "Proxy Authentication Required") || strings.Contains(text, "server response headers exceeded ") ||
		strings.HasSuffix(text, "response header list larger than advertised limit")
}

// judgeServer judges what a handler returned. After the client's cancel any
// error may be a consequence of it. unread is the error with which the handler
// could not read the client's messages, if there was one.
func (g *Guard) judgeServer(ctx context.Context, unread, err error) breaker.Outcome {
	if o, known := plain(ctx, err); known {
		return o
	}
	if unread != nil && errors.Is(err, unread) {
		return breaker.Ignored
	}
	return g.judgeCode(codeOf(err))
}

// plain judges what is the same on both sides and needs no code.
func plain(ctx context.Context, err error) (o breaker.Outcome, known bool) {
	switch {
	case err == nil, connect.IsNotModifiedError(err):
		return breaker.Success, true
	case ctx.Err() == context.Canceled:
		return breaker.Canceled, true
	case errors.Is(err, breaker.ErrOpen): // another breaker's rejection
		return breaker.Ignored, true
	}
	return 0, false
}

func (g *Guard) judgeCode(code connect.Code) breaker.Outcome {
	switch {
	case g.failing.has(code):
		return breaker.Failure
	case code == connect.CodeCanceled: // a proxy or the server gave up
		return breaker.Ignored
	}
	return breaker.Success
}

// network reports whether err comes from a network.
func network(err error) bool {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // a *url.Error is a net.Error whatever it wraps
	}
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
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
	var e *connect.Error
	if !errors.As(err, &e) {
		return 0
	}
	for _, d := range e.Details() {
		if v, err := d.Value(); err == nil {
			if info, ok := v.(*errdetails.RetryInfo); ok {
				return info.GetRetryDelay().AsDuration()
			}
		}
	}
	return 0
}
