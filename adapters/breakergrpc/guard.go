package breakergrpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/switchgear-go/switchgear/breaker"
)

// Guard is a set of breakers as gRPC interceptors. Its four interceptors may
// be used together and by many goroutines at once.
type Guard struct {
	set   *breaker.Set[string]
	key   func(Call) string
	fails func(Call, codes.Code) bool
}

// New returns a guard that uses the breakers of set.
func New(set *breaker.Set[string], opts ...Option) *Guard {
	g := &Guard{set: set, key: ByService, fails: func(_ Call, c codes.Code) bool { return FailureCode(c) }}
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// Option changes how a Guard keys and judges calls.
type Option func(*Guard)

// WithKey sets the key of a call: ByService (the default), ByMethod, ByTarget
// or a function of the program. A call whose key is "" is not guarded. The
// function runs before each call, on many goroutines at once.
func WithKey(key func(Call) string) Option {
	return func(g *Guard) { g.key = key }
}

// WithFailureCodes sets the codes that are failures, instead of the default
// ones (see the package documentation).
func WithFailureCodes(cs ...codes.Code) Option {
	failing := codeSetOf(cs...)
	return WithFailure(func(_ Call, c codes.Code) bool { return failing.has(c) })
}

// WithFailure sets which codes are failures of which calls, in place of the
// default ones. Of WithFailureCodes and WithFailure the last one given holds.
// fails runs on many goroutines at once, and may fall back on FailureCode:
//
//	breakergrpc.WithFailure(func(c breakergrpc.Call, code codes.Code) bool {
//		return breakergrpc.FailureCode(code) && !(c.Stream && code == codes.DeadlineExceeded)
//	})
func WithFailure(fails func(Call, codes.Code) bool) Option {
	return func(g *Guard) { g.fails = fails }
}

// Call is what a call is keyed and judged by.
type Call struct {
	Method string // the full method: "/package.Service/Method"
	Target string // for a client, the target of its connection; for a server, ""
	Stream bool   // the call is a stream, one way or both
}

// Service is the service's full name: "package.Service".
func (c Call) Service() string {
	service, _, _ := strings.Cut(strings.TrimPrefix(c.Method, "/"), "/")
	return service
}

// ByService keys calls by their service's full name.
func ByService(c Call) string { return c.Service() }

// ByMethod keys calls by "package.Service/Method".
func ByMethod(c Call) string { return strings.TrimPrefix(c.Method, "/") }

// ByTarget keys a client's calls by the target of their connection. A server's
// calls have no target and are keyed by service.
func ByTarget(c Call) string {
	if c.Target == "" {
		return c.Service()
	}
	return c.Target
}

// admit asks for permission to make a call. The permit is the zero one, which
// has no effect, for calls that are not guarded: with a key of "", or a
// context that has already ended, so that the call would reach no service.
func (g *Guard) admit(ctx context.Context, c Call) (*breaker.Breaker, breaker.Permit, error) {
	key := g.key(c)
	if key == "" || ctx.Err() != nil {
		return nil, breaker.Permit{}, nil
	}
	b := g.set.Breaker(key)
	p, err := b.AllowContext(ctx)
	if err != nil {
		return nil, p, reject(b, err)
	}
	return b, p, nil
}

// settle ends a call and returns the error for its caller.
func (g *Guard) settle(ctx context.Context, p *breaker.Permit, e end, err error) error {
	if err == nil {
		return p.DoneContext(ctx, nil)
	}
	switch g.judge(ctx, e, err) {
	case breaker.Success:
		_ = p.DoneContext(ctx, nil)
	case breaker.Ignored:
		p.Ignore()
	default:
		return fail(ctx, p, err)
	}
	return err
}
