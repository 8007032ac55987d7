package breakerconnect

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"

	"connectrpc.com/connect"

	"github.com/switchgear-go/switchgear/breaker"
)

// WrapUnary is for connect: it guards unary calls of clients and handlers.
func (g *Guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		spec := req.Spec()
		p, err := g.admit(ctx, callOf(spec, req.Peer()))
		if err != nil {
			return nil, err
		}
		returned := false
		if !spec.IsClient {
			defer unwind(&p, &returned, breaker.Failure, errAbandoned)
			resp, err := next(ctx, req)
			returned = true
			return resp, settle(ctx, &p, g.judgeServer(ctx, nil, err), err)
		}
		// What panics on a client is its own: a codec, an interceptor.
		defer unwind(&p, &returned, breaker.Ignored, nil)
		w := &wire{}
		resp, err := next(w.watch(ctx), req)
		returned = true
		return resp, settle(ctx, &p, g.judgeClient(ctx, w.left.Load(), err), err)
	}
}

// unwind is deferred around a call, and ends one that does not return. The
// panic continues, so there is no error to return.
func unwind(p *breaker.Permit, returned *bool, o breaker.Outcome, err error) {
	if !*returned {
		_ = p.Settle(context.Background(), o, err)
	}
}

// wire notes whether a client's call has left the program, or at least asked
// for a connection to leave by.
type wire struct{ left atomic.Bool }

func (w *wire) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.left.Store(true) },
	})
}
