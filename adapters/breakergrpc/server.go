package breakergrpc

import (
	"context"

	"google.golang.org/grpc"
)

var _ grpc.UnaryServerInterceptor = (*Guard)(nil).UnaryServer

// UnaryServer is a grpc.UnaryServerInterceptor.
func (g *Guard) UnaryServer(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	_, p, err := g.admit(ctx, Call{Method: info.FullMethod})
	if err != nil {
		_ = grpc.SetTrailer(ctx, noRetry()) // fails only outside a server: there is nobody to tell
		return nil, err
	}
	returned := false
	defer unwind(ctx, &p, &returned)
	reply, err := handle(ctx, req)
	returned = true
	return reply, g.settle(ctx, &p, judgeServer, err)
}

var _ grpc.StreamServerInterceptor = (*Guard)(nil).StreamServer

// StreamServer is a grpc.StreamServerInterceptor.
func (g *Guard) StreamServer(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := stream.Context()
	b, p, err := g.admit(ctx, Call{Method: info.FullMethod})
	if err != nil {
		stream.SetTrailer(noRetry())
		return err
	}
	if b == nil {
		return handle(srv, stream)
	}
	s := &serverStream{ServerStream: stream, call: call{guard: g, ctx: ctx, permit: p}}
	returned := false
	defer func() {
		p := s.take()
		unwind(ctx, &p, &returned)
	}()
	err = handle(srv, s)
	returned = true
	p = s.take()
	return g.settle(ctx, &p, judgeServer, err)
}
