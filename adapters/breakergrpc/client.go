package breakergrpc

import (
	"context"

	"google.golang.org/grpc"
)

var _ grpc.UnaryClientInterceptor = (*Guard)(nil).UnaryClient

// UnaryClient is a grpc.UnaryClientInterceptor.
func (g *Guard) UnaryClient(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	e := end{Call: clientCall(method, cc), request: req}
	_, p, err := g.admit(ctx, e.Call)
	if err != nil {
		return err
	}
	defer p.Ignore() // for a panic, which is a mistake of the program
	err = invoke(ctx, method, req, reply, cc, opts...)
	return g.settle(ctx, &p, e, err)
}

var _ grpc.StreamClientInterceptor = (*Guard)(nil).StreamClient

// StreamClient is a grpc.StreamClientInterceptor.
func (g *Guard) StreamClient(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	e := end{Call: clientCall(method, cc)}
	e.Stream = true
	b, p, err := g.admit(ctx, e.Call)
	if err != nil {
		return nil, err
	}
	settled := false
	defer func() {
		if !settled {
			p.Ignore() // for a panic
		}
	}()
	stream, err := open(ctx, desc, cc, method, opts...)
	settled = true // or it is the stream's from here on
	switch {
	case err != nil:
		return nil, g.settle(ctx, &p, e, err)
	case b == nil:
		return stream, nil
	}
	e.opened = true
	s := &clientStream{
		ClientStream: stream, single: !desc.ServerStreams,
		call: call{guard: g, ctx: ctx, end: e, permit: p},
	}
	s.watch()
	return s, nil
}

func clientCall(method string, cc *grpc.ClientConn) Call {
	c := Call{Method: method}
	if cc != nil { // a test's invoker may do without a connection
		c.Target = cc.Target()
	}
	return c
}
