package breakergrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/adapters/breakergrpc"
	"github.com/switchgear-go/switchgear/breaker"
)

func serverOptions(g *breakergrpc.Guard) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(g.UnaryServer),
		grpc.ChainStreamInterceptor(g.StreamServer),
	}
}

func TestServerRejectsWhileItsHandlersFail(t *testing.T) {
	g, b := guarded(breaker.Settings{FailMax: 2})
	handled := 0
	f := &fakeService{
		unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
			handled++
			return nil, errors.New("the database is down")
		},
		download: sends(3, nil),
	}
	addr, _, _ := serve(t, "", f, serverOptions(g)...)
	client, _ := dial(t, addr, nil)
	for range 2 {
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unknown)
	}
	wantState(t, b, breaker.Open)

	_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantRejection(t, err, b)
	s, err := client.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = receive(s)
	wantRejection(t, err, b)
	if handled != 2 {
		t.Errorf("the handlers ran %d times, want 2: not behind an open breaker", handled)
	}

	b.Close(breaker.Order{})
	s, err = client.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := receive(s); n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("got %d messages and %v, want 3 and io.EOF", n, err)
	}
}

// What a server rejects, a client's retry policy must not ask again at once.
func TestServersRejectionIsNotRetried(t *testing.T) {
	g, b := guarded(breaker.Settings{})
	asked := make(chan string, 100)
	addr, _, _ := serve(t, "", &fakeService{},
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			asked <- info.FullMethod
			return handle(ctx, req)
		}, g.UnaryServer),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			asked <- info.FullMethod
			return handle(srv, s)
		}, g.StreamServer))
	client, _ := dial(t, addr, nil, grpc.WithDefaultServiceConfig(retryPolicy))
	b.ForceOpen(breaker.Order{})
	_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.Unavailable)
	s, err := client.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
	if err == nil {
		_, err = s.Recv()
	}
	wantCode(t, err, codes.Unavailable)
	if n := len(asked); n != 2 {
		t.Errorf("two calls asked the server %d times, want 2", n)
	}
}

func TestServerJudges(t *testing.T) {
	other := breaker.New("other", breaker.Settings{})
	other.ForceOpen(breaker.Order{})
	cancelled, cancel := context.WithCancel(t.Context())
	for _, test := range []struct {
		name   string
		ctx    context.Context
		handle func() error
		want   breaker.State
	}{
		{"an error without a status", t.Context(), func() error { return errors.New("oh no") }, breaker.Open},
		{"a plain deadline error", t.Context(), func() error { return context.DeadlineExceeded }, breaker.Open},
		{"not found", t.Context(), func() error { return status.Error(codes.NotFound, "") }, breaker.Closed},
		{"whatever follows the client's cancel", cancelled, func() error { cancel(); return errors.New("query broken off") }, breaker.Closed},
		{"another breaker's rejection", t.Context(), func() error { _, err := other.Allow(); return err }, breaker.Closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{FailMax: 1})
			_, err := g.UnaryServer(test.ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/" + service + "/UnaryCall"},
				func(context.Context, any) (any, error) { return nil, test.handle() })
			if err == nil {
				t.Error("the handler's error was lost")
			}
			wantState(t, b, test.want)
		})
	}
}

// A handler that panics has failed, unless that follows from its client's cancel.
func TestPanicInAHandler(t *testing.T) {
	for _, test := range []struct {
		kind string
		gone bool
		want breaker.State
	}{
		{"unary", false, breaker.Open},
		{"unary", true, breaker.Closed},
		{"stream", false, breaker.Open},
		{"stream", true, breaker.Closed},
	} {
		t.Run(fmt.Sprintf("%s, client gone %v", test.kind, test.gone), func(t *testing.T) {
			g, b := guarded(breaker.Settings{FailMax: 1})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			bug := func() {
				if test.gone {
					cancel()
				}
				panic("a bug")
			}
			defer func() {
				if recover() == nil {
					t.Error("the panic did not go on")
				}
				wantState(t, b, test.want)
			}()
			if test.kind == "unary" {
				_, _ = g.UnaryServer(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/" + service + "/UnaryCall"},
					func(context.Context, any) (any, error) { bug(); return nil, nil })
				return
			}
			_ = g.StreamServer(nil, fakeServerStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: "/" + service + "/FullDuplexCall"},
				func(any, grpc.ServerStream) error { bug(); return nil })
		})
	}
}

type fakeServerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s fakeServerStream) Context() context.Context { return s.ctx }
func (s fakeServerStream) SendMsg(any) error        { return nil }

// On a server, too, a stream's first message passes a probe.
func TestFirstMessagePassesAServersProbe(t *testing.T) {
	g, b := guarded(breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	err := g.StreamServer(nil, fakeServerStream{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: "/" + service + "/FullDuplexCall"},
		func(_ any, s grpc.ServerStream) error {
			wantState(t, b, breaker.HalfOpen)
			_ = s.SendMsg(nil)
			wantState(t, b, breaker.Closed)
			return errors.New("later trouble")
		})
	if err == nil {
		t.Error("the handler's error was lost")
	}
	wantFails(t, b, 1) // in the closed state that the message led to
}

func TestStreamThatIsNotGuarded(t *testing.T) {
	set := breaker.NewSet[string]("grpc", breaker.Settings{FailMax: 1}, breaker.SetOptions{})
	g := breakergrpc.New(set, breakergrpc.WithKey(func(breakergrpc.Call) string { return "" }))
	addr, _, _ := serve(t, "", &fakeService{download: sends(1, errors.New("oh no"))}, serverOptions(g)...)
	client, _ := dial(t, addr, g)
	for range 2 {
		s, err := client.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := receive(s); n != 1 || status.Code(err) != codes.Unknown {
			t.Errorf("got %d messages and %v", n, err)
		}
	}
	if got := set.Status(); len(got) != 0 {
		t.Errorf("streams without a key made breakers: %v", got)
	}
}
