package breakergrpc_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/adapters/breakergrpc"
	"github.com/switchgear-go/switchgear/breaker"
)

type creds struct {
	err    error
	key    string
	secure bool
}

func (c creds) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{c.key: "v"}, c.err
}
func (c creds) RequireTransportSecurity() bool { return c.secure }

// brokenCompressor cannot compress.
type brokenCompressor struct{}

func (brokenCompressor) Name() string { return "broken" }
func (brokenCompressor) Compress(io.Writer) (io.WriteCloser, error) {
	return nil, errors.New("no memory")
}
func (brokenCompressor) Decompress(r io.Reader) (io.Reader, error) { return r, nil }

func init() { encoding.RegisterCompressor(brokenCompressor{}) }

// What never left the client, or is beyond a limit, says nothing of the service: neither a failure nor,
// which would close a half-open breaker, a success.
func TestCallsThatAreRefused(t *testing.T) {
	plain := &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("text")}}
	large := &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 2000)}}
	noise := &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 2000)}}
	_, _ = rand.Read(noise.GetPayload().GetBody())
	notUTF8 := &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Message: "\xff"}}
	noToken := errors.New("the token endpoint is down")
	addr, _, _ := serve(t, "", &fakeService{duplex: echoes, unary: func(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return &pb.SimpleResponse{Payload: r.GetPayload()}, nil
	}}, grpc.MaxHeaderListSize(1000), grpc.MaxRecvMsgSize(10000))
	for name, test := range map[string]struct {
		request *pb.SimpleRequest
		md      []string
		opts    []grpc.CallOption
		dial    []grpc.DialOption
	}{
		"too large":                        {request: large, opts: []grpc.CallOption{grpc.MaxCallSendMsgSize(1000)}},
		"too large for a config":           {request: large, dial: []grpc.DialOption{grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "maxRequestMessageBytes": 1000}]}`)}},
		"too large, compressed":            {request: noise, opts: []grpc.CallOption{grpc.MaxCallSendMsgSize(1000), grpc.UseCompressor(gzip.Name)}},
		"not marshalled":                   {request: notUTF8},
		"not compressed":                   {opts: []grpc.CallOption{grpc.UseCompressor("broken")}},
		"no such compressor":               {opts: []grpc.CallOption{grpc.UseCompressor("none")}},
		"no such codec":                    {opts: []grpc.CallOption{grpc.CallContentSubtype("none")}},
		"metadata's key":                   {md: []string{"k\x01", "v"}},
		"metadata's empty key":             {md: []string{"", "v"}},
		"metadata's value":                 {md: []string{"k", "v\x01"}},
		"metadata too large":               {md: []string{"k", strings.Repeat("v", 2000)}},
		"no credentials":                   {opts: []grpc.CallOption{grpc.PerRPCCredentials(creds{err: noToken})}},
		"no credentials of the connection": {dial: []grpc.DialOption{grpc.WithPerRPCCredentials(creds{err: noToken})}},
		"credentials' illegal status":      {opts: []grpc.CallOption{grpc.PerRPCCredentials(creds{err: status.Error(codes.NotFound, "no token")})}},
		"credentials' key":                 {opts: []grpc.CallOption{grpc.PerRPCCredentials(creds{key: "k\x01"})}},
		"no file descriptor": {dial: []grpc.DialOption{grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		})}},
		"credentials that want security": {opts: []grpc.CallOption{grpc.PerRPCCredentials(creds{key: "k", secure: true})}},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{FailMax: 2})
			client, _ := dial(t, addr, g, test.dial...)
			if _, err := client.EmptyCall(t.Context(), &pb.Empty{}); err != nil && len(test.dial) == 0 {
				t.Fatal(err) // the client knows the server's settings from here on
			}
			if test.request == nil {
				test.request = plain
			}
			ctx := metadata.AppendToOutgoingContext(within(t, 10*time.Second), test.md...)
			unary := func() error {
				_, err := client.UnaryCall(ctx, test.request, test.opts...)
				return err
			}
			stream := func() error {
				s, err := client.FullDuplexCall(ctx, test.opts...)
				if err == nil {
					err = s.Send(&pb.StreamingOutputCallRequest{Payload: test.request.GetPayload(), ResponseStatus: test.request.GetResponseStatus()})
				}
				if err == nil || errors.Is(err, io.EOF) {
					_, err = s.Recv()
				}
				return err
			}
			for name, call := range map[string]func() error{"unary": unary, "stream": stream} {
				b.Close(breaker.Order{})
				_ = b.Do(t.Context(), func(context.Context) error { return errors.New("down") })
				if err := call(); err == nil {
					t.Fatalf("the %s call succeeded", name)
				}
				wantFails(t, b, 1)
				b.HalfOpen(breaker.Order{})
				err := call()
				if got := b.State(); got != breaker.HalfOpen {
					t.Errorf("a %s probe that was refused (%v) left the breaker %v", name, err, got)
				}
			}
		})
	}
}

// Which codes are failures may depend on the method, and on whether it streams.
func TestFailuresByCall(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{download: func(*pb.StreamingOutputCallRequest, pb.TestService_StreamingOutputCallServer) error {
		return status.Error(codes.Unavailable, "restarting")
	}})
	unary := func(c pb.TestServiceClient, code codes.Code) {
		_, _ = c.UnaryCall(t.Context(), echo(code))
	}
	stream := func(c pb.TestServiceClient, _ codes.Code) {
		if s, err := c.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{}); err == nil {
			_, _ = s.Recv()
		}
	}
	for _, test := range []struct {
		name string
		call func(pb.TestServiceClient, codes.Code)
		code codes.Code
		want int
	}{
		{"a code of the method's own", unary, codes.NotFound, 1},
		{"a default code of the method's", unary, codes.Internal, 1},
		{"a code that is none", unary, codes.Unavailable, 0},
		{"the same of a stream", stream, codes.Unavailable, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{}, breakergrpc.WithFailure(func(c breakergrpc.Call, code codes.Code) bool {
				switch {
				case c.Method == "/"+service+"/UnaryCall" && code == codes.NotFound:
					return true
				case code == codes.Unavailable:
					return c.Stream
				}
				return breakergrpc.FailureCode(code)
			}))
			client, _ := dial(t, addr, g)
			test.call(client, test.code)
			wantFails(t, b, test.want)
		})
	}
}

// A handler that streams until its client's deadline has not failed, and what
// another service refuses to take from it does not excuse it.
func TestServerJudgesStreams(t *testing.T) {
	for name, test := range map[string]struct {
		handle func(*pb.StreamingOutputCallRequest, pb.TestService_StreamingOutputCallServer) error
		want   int
	}{
		"deadline after an answer": {sendsThenWaits(1), 0},
		"deadline without one":     {sends(0, status.Error(codes.DeadlineExceeded, "the database took too long")), 1},
		"another service's refusal": {func(*pb.StreamingOutputCallRequest, pb.TestService_StreamingOutputCallServer) error {
			return status.Error(codes.ResourceExhausted, "trying to send message larger than max (3 vs. 2)")
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{})
			ended := make(chan struct{})
			addr, _, _ := serve(t, "", &fakeService{download: test.handle}, grpc.ChainStreamInterceptor(
				func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
					defer close(ended)
					return g.StreamServer(srv, s, info, h)
				}))
			client, _ := dial(t, addr, nil)
			s, err := client.StreamingOutputCall(within(t, 300*time.Millisecond), &pb.StreamingOutputCallRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = s.Recv()
			}
			<-ended
			wantFails(t, b, test.want)
		})
	}
}

// What the service cannot send is its own failure, though it says so in the words
// in which grpc-go refuses a client's message.
func TestAnswersThatAreRefused(t *testing.T) {
	tooLarge := status.Error(codes.ResourceExhausted, "trying to send message larger than max (3 vs. 2)")
	addr, _, _ := serve(t, "", &fakeService{
		unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			return &pb.SimpleResponse{Username: "\xff"}, nil
		},
		duplex: func(s pb.TestService_FullDuplexCallServer) error {
			_, _ = s.Recv()
			return tooLarge
		},
	})
	limited, _, _ := serve(t, "", &fakeService{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return &pb.SimpleResponse{Payload: &pb.Payload{Body: make([]byte, 5000)}}, nil
	}}, grpc.MaxSendMsgSize(3000))
	unary := func(c pb.TestServiceClient) error {
		_, err := c.UnaryCall(t.Context(), &pb.SimpleRequest{})
		return err
	}
	stream := func(c pb.TestServiceClient) error {
		s, err := c.FullDuplexCall(t.Context())
		if err == nil && s.Send(&pb.StreamingOutputCallRequest{}) == nil {
			_, err = s.Recv()
		}
		return err
	}
	for name, test := range map[string]struct {
		addr string
		call func(pb.TestServiceClient) error
		code codes.Code
	}{
		"unary, not marshalled": {addr, unary, codes.Internal},
		"unary, too large":      {limited, unary, codes.ResourceExhausted},
		"stream, too large":     {addr, stream, codes.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{})
			client, _ := dial(t, test.addr, g)
			wantCode(t, test.call(client), test.code)
			wantFails(t, b, 1)
		})
	}
}

// What a handler could not read was its client's doing.
func TestServerThatCannotRead(t *testing.T) {
	for name, body := range map[string][]byte{"too large": make([]byte, 2000), "fine": nil} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{})
			ended := make(chan struct{})
			addr, _, _ := serve(t, "", &fakeService{duplex: func(s pb.TestService_FullDuplexCallServer) error {
				if _, err := s.Recv(); err != nil {
					return err
				}
				return status.Error(codes.Internal, "the database is down")
			}}, grpc.MaxRecvMsgSize(1000), grpc.ChainStreamInterceptor(
				func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
					defer close(ended)
					return g.StreamServer(srv, s, info, h)
				}))
			client, _ := dial(t, addr, nil)
			s, err := client.FullDuplexCall(within(t, 10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: body}})
			<-ended
			want := 1
			if body != nil {
				want = 0
			}
			wantFails(t, b, want)
		})
	}
}

// What is to hold the answer is the program's, too.
func TestReplyThatIsNoMessage(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{duplex: echoes})
	for name, call := range map[string]func(*grpc.ClientConn) error{
		"unary": func(c *grpc.ClientConn) error {
			return c.Invoke(t.Context(), "/"+service+"/EmptyCall", &pb.Empty{}, &struct{}{})
		},
		"stream": func(c *grpc.ClientConn) error {
			s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+service+"/FullDuplexCall")
			if err == nil {
				err = s.SendMsg(&pb.StreamingOutputCallRequest{})
			}
			if err == nil {
				err = s.RecvMsg(&struct{}{})
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{FailMax: 1})
			_, conn := dial(t, addr, g)
			b.HalfOpen(breaker.Order{})
			wantCode(t, call(conn), codes.Internal)
			wantState(t, b, breaker.HalfOpen)
		})
	}
}

// A message beyond the receiver's limit was refused, not failed.
func TestMessagesBeyondALimit(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{unary: func(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return &pb.SimpleResponse{Payload: r.GetPayload()}, nil
	}}, grpc.MaxRecvMsgSize(10000))
	for size, opts := range map[int][]grpc.CallOption{
		2000:  {grpc.MaxCallRecvMsgSize(1000)}, // the client's, for the reply
		20000: nil,                             // the server's
	} {
		g, b := guarded(breaker.Settings{FailMax: 2})
		client, _ := dial(t, addr, g)
		_ = b.Do(t.Context(), func(context.Context) error { return errors.New("down") })
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, size)}}, opts...)
		wantCode(t, err, codes.ResourceExhausted)
		wantFails(t, b, 1)
	}
}
