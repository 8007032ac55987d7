package breakergrpc

import (
	"context"

	"google.golang.org/grpc"

	"github.com/switchgear-go/switchgear/breaker"
)

var _ grpc.UnaryServerInterceptor = (*Guard)(nil).UnaryServer

// UnaryServer is a grpc.UnaryServerInterceptor.
func (g *Guard) UnaryServer(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	e := end{Call: Call{Method: info.FullMethod}, server: true}
	_, p, err := g.admit(ctx, e.Call)
	if err != nil {
		_ = grpc.SetTrailer(ctx, noRetry()) // fails only outside a server, where there is no client
		return nil, err
	}
	defer unwind(ctx, &p)
	reply, err := handle(ctx, req)
	return reply, g.settle(ctx, &p, e, err)
}

var _ grpc.StreamServerInterceptor = (*Guard)(nil).StreamServer

// StreamServer is a grpc.StreamServerInterceptor.
func (g *Guard) StreamServer(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := stream.Context()
	e := end{Call: Call{Method: info.FullMethod, Stream: true}, server: true}
	b, p, err := g.admit(ctx, e.Call)
	if err != nil {
		stream.SetTrailer(noRetry())
		return err
	}
	if b == nil {
		return handle(srv, stream)
	}
	s := &serverStream{ServerStream: stream, call: call{guard: g, ctx: ctx, end: e, permit: p}}
	defer func() {
		p, _ := s.take()
		unwind(ctx, &p)
	}()
	return s.settle(handle(srv, s))
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
