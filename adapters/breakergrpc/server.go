package breakergrpc

import (
	"context"

	"google.golang.org/grpc"
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
	returned := false
	defer unwind(ctx, &p, &returned)
	reply, err := handle(ctx, req)
	returned = true
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
	returned := false
	defer func() {
		p, _ := s.take()
		unwind(ctx, &p, &returned)
	}()
	err = handle(srv, s)
	returned = true
	return s.settle(err)
}
