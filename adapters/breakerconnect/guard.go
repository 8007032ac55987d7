package breakerconnect

import (
	"context"
	"strings"

	"connectrpc.com/connect"

	"github.com/switchgear-go/switchgear/breaker"
)

// Guard is a set of breakers as a connect.Interceptor. It may be used by many
// clients and handlers, and many goroutines, at once.
type Guard struct {
	set     *breaker.Set[string]
	key     func(Call) string
	failing codeSet
}

var _ connect.Interceptor = (*Guard)(nil)

// New returns a guard that uses the breakers of set.
func New(set *breaker.Set[string], opts ...Option) *Guard {
	g := &Guard{set: set, key: ByService, failing: codeSetOf(
		connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeInternal,
		connect.CodeUnknown, connect.CodeResourceExhausted, connect.CodeDataLoss)}
	for _, opt := range opts {
		opt(g)
	}
	return g
}

// Option changes how a Guard keys and judges calls.
type Option func(*Guard)

// WithKey sets the key of a call: ByService (the default), ByProcedure, ByHost
// or a function of the program. A call whose key is "" is not guarded. The
// function runs before each call, on many goroutines at once.
func WithKey(key func(Call) string) Option {
	return func(g *Guard) { g.key = key }
}

// WithFailureCodes sets the codes that are failures, instead of the default
// ones (see the package documentation).
func WithFailureCodes(codes ...connect.Code) Option {
	return func(g *Guard) { g.failing = codeSetOf(codes...) }
}

// Call is what a key can be derived from.
type Call struct {
	Spec connect.Spec
	Host string // for a client's call, the host and port of its URL; for a server's, ""
}

// Service is the service's full name: "package.Service".
func (c Call) Service() string {
	service, _, _ := strings.Cut(strings.TrimPrefix(c.Spec.Procedure, "/"), "/")
	return service
}

// ByService keys calls by their service's full name.
func ByService(c Call) string { return c.Service() }

// ByProcedure keys calls by "package.Service/Method".
func ByProcedure(c Call) string { return strings.TrimPrefix(c.Spec.Procedure, "/") }

// ByHost keys a client's calls by the host that they go to. A server's calls
// have no host and are keyed by service.
func ByHost(c Call) string {
	if c.Host == "" {
		return c.Service()
	}
	return c.Host
}

func callOf(spec connect.Spec, peer connect.Peer) Call {
	c := Call{Spec: spec}
	if spec.IsClient {
		c.Host = peer.Addr
	}
	return c
}

// admit asks for permission to make a call. The permit is the zero one, which
// has no effect, for calls that are not guarded: with a key of "", or a
// context that has already ended, so that the call would reach no service.
func (g *Guard) admit(ctx context.Context, c Call) (breaker.Permit, error) {
	key := g.key(c)
	if key == "" || ctx.Err() != nil {
		return breaker.Permit{}, nil
	}
	b := g.set.Breaker(key)
	p, err := b.AllowContext(ctx)
	if err != nil {
		return p, reject(b, c.Spec.IsClient, err)
	}
	return p, nil
}

// settle ends a call and returns the error for its caller.
func settle(ctx context.Context, p *breaker.Permit, o breaker.Outcome, err error) error {
	switch o {
	case breaker.Success:
		_ = p.DoneContext(ctx, nil)
	case breaker.Failure:
		return fail(ctx, p, err)
	default:
		_ = p.Settle(ctx, o, err)
	}
	return err
}
