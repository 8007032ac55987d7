package breakergrpc_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/adapters/breakergrpc"
	"github.com/switchgear-go/switchgear/breaker"
)

const service = "grpc.testing.TestService"

// fakeService is a service whose methods the test provides.
type fakeService struct {
	pb.UnimplementedTestServiceServer
	unary    func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error)
	download func(*pb.StreamingOutputCallRequest, pb.TestService_StreamingOutputCallServer) error
	upload   func(pb.TestService_StreamingInputCallServer) error
	duplex   func(pb.TestService_FullDuplexCallServer) error
}

func (f *fakeService) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) {
	return &pb.Empty{}, nil
}

func (f *fakeService) UnaryCall(ctx context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if f.unary != nil {
		return f.unary(ctx, r)
	}
	if s := r.GetResponseStatus(); s.GetCode() != 0 {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &pb.SimpleResponse{}, nil
}

func (f *fakeService) StreamingOutputCall(r *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
	return f.download(r, s)
}

func (f *fakeService) StreamingInputCall(s pb.TestService_StreamingInputCallServer) error {
	return f.upload(s)
}

func (f *fakeService) FullDuplexCall(s pb.TestService_FullDuplexCallServer) error {
	return f.duplex(s)
}

// countingListener counts the connections that were made to it.
type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// serve runs f on addr, or on a free port for "", until the test's end or stop.
func serve(t testing.TB, addr string, f *fakeService, opts ...grpc.ServerOption) (at string, l *countingListener, stop func()) {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	raw, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	l = &countingListener{Listener: raw}
	s := grpc.NewServer(opts...)
	pb.RegisterTestServiceServer(s, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Stop
	}()
	stop = func() {
		s.Stop()
		<-done
	}
	t.Cleanup(stop)
	return raw.Addr().String(), l, stop
}

// blackHole accepts connections and never answers.
func blackHole(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the kernel accepts, but no one reads
}

// dial connects to addr through g, which may be nil.
func dial(t testing.TB, addr string, g *breakergrpc.Guard, opts ...grpc.DialOption) (pb.TestServiceClient, *grpc.ClientConn) {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if g != nil {
		opts = append(opts, grpc.WithChainUnaryInterceptor(g.UnaryClient), grpc.WithChainStreamInterceptor(g.StreamClient))
	}
	conn, err := grpc.NewClient(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewTestServiceClient(conn), conn
}

// guarded returns a guard, and the breaker for calls of the test's service.
func guarded(s breaker.Settings, opts ...breakergrpc.Option) (*breakergrpc.Guard, *breaker.Breaker) {
	set := breaker.NewSet[string]("grpc", s, breaker.SetOptions{}, breaker.WithBypassAllowed())
	return breakergrpc.New(set, opts...), set.Breaker(service)
}

func wantState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if s := b.Status(); s.State != want {
		t.Errorf("the breaker is %v, want %v: %s", s.State, want, s.Explain())
	}
}

func wantFails(t *testing.T, b *breaker.Breaker, want int) {
	t.Helper()
	if got := b.FailCount(); got != want {
		t.Errorf("%d failures are on record, want %d", got, want)
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("the code is %v, want %v: %v", got, want, err)
	}
}

// within returns a context for calls that should end soon.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func echo(code codes.Code) *pb.SimpleRequest {
	return &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(code), Message: "as asked"}}
}
