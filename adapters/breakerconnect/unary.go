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
		if !spec.IsClient {
			defer unwind(ctx, &p)
			resp, err := next(ctx, req)
			return resp, settle(ctx, &p, g.judgeServer(ctx, nil, err), err)
		}
		defer p.Ignore() // for a panic, which is a mistake of the program: of a codec, or an interceptor
		w := &wire{}
		resp, err := next(w.watch(ctx), req)
		return resp, settle(ctx, &p, g.judgeClient(ctx, w.left.Load(), err), err)
	}
}

// unwind is deferred around a handler, and settles the call of one that panics
// or exits its goroutine: it has failed, unless that follows from its client's
// cancel.
func unwind(ctx context.Context, p *breaker.Permit) {
	if ctx.Err() == context.Canceled {
		p.Ignore()
	}
	p.Abandoned()
}

// wire notes whether a client's call has left the program, or at least asked
// for a connection to leave by.
type wire struct{ left atomic.Bool }

func (w *wire) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { w.left.Store(true) },
	})
}
