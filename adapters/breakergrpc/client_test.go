package breakergrpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/switchgear-go/switchgear/adapters/breakergrpc"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestCodesThatCount(t *testing.T) {
	fails := map[codes.Code]bool{
		codes.Unavailable: true, codes.DeadlineExceeded: true, codes.Internal: true,
		codes.Unknown: true, codes.ResourceExhausted: true, codes.DataLoss: true,
		99: true, // no code: as good as Unknown
	}
	addr, _, _ := serve(t, "", &fakeService{})
	for code := range codes.Unauthenticated + 2 {
		if code == codes.Unauthenticated+1 {
			code = 99
		}
		t.Run(code.String(), func(t *testing.T) {
			g, b := guarded(breaker.Settings{FailMax: 1})
			client, _ := dial(t, addr, g)
			_, err := client.UnaryCall(t.Context(), echo(code))
			wantCode(t, err, code)
			want := breaker.Closed
			if fails[code] {
				want = breaker.Open
			}
			wantState(t, b, want)
		})
	}
	t.Run("codes of one's own", func(t *testing.T) {
		g, b := guarded(breaker.Settings{FailMax: 1}, breakergrpc.WithFailureCodes(codes.Aborted))
		client, _ := dial(t, addr, g)
		for _, code := range []codes.Code{codes.OK, codes.Unavailable} {
			_, err := client.UnaryCall(t.Context(), echo(code))
			wantCode(t, err, code)
			wantState(t, b, breaker.Closed)
		}
		_, _ = client.UnaryCall(t.Context(), echo(codes.Aborted))
		wantState(t, b, breaker.Open)
	})
	t.Run("the set's exclusions have the last word", func(t *testing.T) {
		g, b := guarded(breaker.Settings{FailMax: 1})
		b.Exclude(breaker.ErrorIf(func(err error) bool { return status.Code(err) == codes.ResourceExhausted }))
		client, _ := dial(t, addr, g)
		_, _ = client.UnaryCall(t.Context(), echo(codes.ResourceExhausted))
		wantState(t, b, breaker.Closed)
	})
}

func TestKeys(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{})
	for _, test := range []struct {
		name string
		key  func(breakergrpc.Call) string
		want string // the key that the call counts for
	}{
		{"by service", breakergrpc.ByService, service},
		{"by method", breakergrpc.ByMethod, service + "/UnaryCall"},
		{"by target", breakergrpc.ByTarget, addr},
		{"by one's own", func(c breakergrpc.Call) string { return "tier-1" }, "tier-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := breaker.NewSet[string]("grpc", breaker.Settings{}, breaker.SetOptions{})
			client, _ := dial(t, addr, breakergrpc.New(set, breakergrpc.WithKey(test.key)))
			_, _ = client.UnaryCall(t.Context(), echo(codes.Internal))
			wantFails(t, set.Breaker(test.want), 1)
		})
	}
	t.Run("none", func(t *testing.T) {
		set := breaker.NewSet[string]("grpc", breaker.Settings{FailMax: 1}, breaker.SetOptions{})
		client, _ := dial(t, addr, breakergrpc.New(set, breakergrpc.WithKey(func(breakergrpc.Call) string { return "" })))
		for range 2 {
			_, err := client.UnaryCall(t.Context(), echo(codes.Internal))
			wantCode(t, err, codes.Internal)
		}
		if got := set.Status(); len(got) != 0 {
			t.Errorf("calls without a key made breakers: %v", got)
		}
	})
	if got := breakergrpc.ByTarget(breakergrpc.Call{Method: "/a.B/C"}); got != "a.B" {
		t.Errorf("a server's call is keyed %q by target, want its service", got)
	}
}

// hang serves calls that hang until they are given up; asked receives each.
func hang(t *testing.T) (addr string, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{}, 10)
	addr, _, _ = serve(t, "", &fakeService{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	return addr, asked
}

func TestCallersWhoGiveUp(t *testing.T) {
	t.Run("a cancel is not evidence", func(t *testing.T) {
		g, b := guarded(breaker.Settings{FailMax: 1})
		addr, asked := hang(t)
		client, _ := dial(t, addr, g)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		_, err := client.UnaryCall(ctx, &pb.SimpleRequest{})
		wantCode(t, err, codes.Canceled)
		wantState(t, b, breaker.Closed)
	})
	t.Run("nor is a cancel by code that is listed as a failure", func(t *testing.T) {
		g, b := guarded(breaker.Settings{FailMax: 1}, breakergrpc.WithFailureCodes(codes.Canceled))
		addr, asked := hang(t)
		client, _ := dial(t, addr, g)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		_, _ = client.UnaryCall(ctx, &pb.SimpleRequest{})
		wantState(t, b, breaker.Closed)
	})
	t.Run("a deadline is a failure", func(t *testing.T) {
		g, b := guarded(breaker.Settings{FailMax: 1})
		addr, _ := hang(t)
		client, _ := dial(t, addr, g)
		_, err := client.UnaryCall(within(t, 50*time.Millisecond), &pb.SimpleRequest{})
		wantCode(t, err, codes.DeadlineExceeded)
		wantState(t, b, breaker.Open)
	})
	t.Run("a deadline that had passed before is none", func(t *testing.T) {
		g, b := guarded(breaker.Settings{FailMax: 1})
		addr, _ := hang(t)
		client, _ := dial(t, addr, g)
		past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err := client.UnaryCall(past, &pb.SimpleRequest{})
		wantCode(t, err, codes.DeadlineExceeded)
		wantState(t, b, breaker.Closed)
	})
	t.Run("a connection closed by its owner is none", func(t *testing.T) {
		g, b := guarded(breaker.Settings{})
		_ = b.Do(t.Context(), func(context.Context) error { return errors.New("down") })
		addr, asked := hang(t)
		client, conn := dial(t, addr, g)
		go func() { <-asked; _ = conn.Close() }()
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
		wantCode(t, err, codes.Canceled)
		wantFails(t, b, 1) // it neither adds a failure nor ends the row
	})
}

func TestServerKilledAndBack(t *testing.T) {
	t.Parallel()
	addr, _, stop := serve(t, "", &fakeService{})
	g, b := guarded(breaker.Settings{})
	client, _ := dial(t, addr, g)
	call := func() error {
		_, err := client.EmptyCall(within(t, 10*time.Second), &pb.Empty{}, grpc.WaitForReady(false))
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	stop()
	for range 5 {
		wantCode(t, call(), codes.Unavailable)
	}
	wantState(t, b, breaker.Open)

	_, l, _ := serve(t, addr, &fakeService{})
	if err := call(); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("an open breaker answers %v, want ErrOpen", err)
	}
	b.HalfOpen(breaker.Order{Actor: "test"})
	if _, err := client.EmptyCall(within(t, 10*time.Second), &pb.Empty{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	wantState(t, b, breaker.Closed)
	if l.accepted.Load() == 0 {
		t.Error("the probe did not reach the new server")
	}
}

func TestHangingServer(t *testing.T) {
	g, b := guarded(breaker.Settings{FailMax: 2})
	client, _ := dial(t, blackHole(t), g)
	for range 2 {
		_, err := client.EmptyCall(within(t, 50*time.Millisecond), &pb.Empty{}, grpc.WaitForReady(true))
		wantCode(t, err, codes.DeadlineExceeded)
	}
	wantState(t, b, breaker.Open)
	_, err := client.EmptyCall(within(t, 50*time.Millisecond), &pb.Empty{}, grpc.WaitForReady(true))
	if !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("the open breaker answers %v, want ErrOpen", err)
	}
}

func TestSlowServer(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{unary: func(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		<-time.After(30 * time.Millisecond)
		return &pb.SimpleResponse{}, nil
	}})
	g, b := guarded(breaker.Settings{SlowCall: 30 * time.Millisecond, SlowRate: 1, MinCalls: 3})
	client, _ := dial(t, addr, g)
	for range 3 {
		if _, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	wantState(t, b, breaker.Open)
}

func TestRejectionOnTheClient(t *testing.T) {
	g, b := guarded(breaker.Settings{FailMax: 1, ResetTimeout: time.Minute})
	client, _ := dial(t, "127.0.0.1:1", g)
	_, err := client.EmptyCall(t.Context(), &pb.Empty{})
	wantCode(t, err, codes.Unavailable)
	_, err = client.EmptyCall(t.Context(), &pb.Empty{})
	wantRejection(t, err, b)
	if open := (*breaker.OpenError)(nil); !errors.Is(err, breaker.ErrOpen) || !errors.As(err, &open) || open.Key != service {
		t.Errorf("a rejection is %v, want one that matches ErrOpen and names the service", err)
	}

	b.ForceOpen(breaker.Order{Actor: "test"})
	_, err = client.EmptyCall(t.Context(), &pb.Empty{})
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			t.Errorf("a breaker forced open for no limited time says to retry after %v", info.GetRetryDelay().AsDuration())
		}
	}
}

// wantRejection checks the status of a rejection for a minute by b.
func wantRejection(t *testing.T, err error, b *breaker.Breaker) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != codes.Unavailable {
		t.Fatalf("a rejection has the code %v, want Unavailable: %v", s.Code(), err)
	}
	if want := b.ID() + ": circuit breaker is open"; s.Message() != want {
		t.Errorf("its message is %q, want %q", s.Message(), want)
	}
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	if info.GetReason() != breakergrpc.Reason || info.GetDomain() != breakergrpc.Domain ||
		info.GetMetadata()["breaker"] != b.ID() || info.GetMetadata()["state"] != "open" {
		t.Errorf("its ErrorInfo is %v", info)
	}
	if after := retry.GetRetryDelay().AsDuration(); after <= 50*time.Second || after > time.Minute {
		t.Errorf("it says to retry after %v, want a minute or little less", after)
	}
}

func TestRejectionOfTheProgramsOwn(t *testing.T) {
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	reject := func(own func(*breaker.OpenError) error) error {
		set := breaker.NewSet[string]("grpc", breaker.Settings{}, breaker.SetOptions{}, breaker.WithOpenError(own))
		set.Breaker("a.B").ForceOpen(breaker.Order{})
		return breakergrpc.New(set).UnaryClient(t.Context(), "/a.B/C", nil, nil, nil, invoke)
	}
	wantCode(t, reject(func(*breaker.OpenError) error { return status.Error(codes.Aborted, "not now") }), codes.Aborted)
	own := errors.New("not now")
	err := reject(func(*breaker.OpenError) error { return own })
	wantCode(t, err, codes.Unavailable)
	if !errors.Is(err, own) {
		t.Errorf("the rejection is %v, want the program's own error in it", err)
	}
}

// A retry policy works inside the interceptor: a call is judged once, after its
// last attempt, and a rejection makes no attempt at all.
func TestServiceConfigRetries(t *testing.T) {
	var attempts atomic.Int32
	addr, _, _ := serve(t, "", &fakeService{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		attempts.Add(1)
		return nil, status.Error(codes.Unavailable, "as asked")
	}})
	g, b := guarded(breaker.Settings{FailMax: 2})
	client, _ := dial(t, addr, g, grpc.WithDefaultServiceConfig(retryPolicy))
	for i := range 10 {
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{})
		wantCode(t, err, codes.Unavailable)
		if got, want := errors.Is(err, breaker.ErrOpen), i >= 2; got != want {
			t.Errorf("call %d: rejected is %v, want %v", i, got, want)
		}
	}
	wantState(t, b, breaker.Open)
	if got, want := attempts.Load(), int32(2*3); got != want {
		t.Errorf("the server saw %d attempts, want %d: two calls of three", got, want)
	}
}

const retryPolicy = `{"methodConfig": [{
	"name": [{"service": "grpc.testing.TestService"}],
	"retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
		"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

func TestRetryInfoLengthensTheOpenTime(t *testing.T) {
	busy, err := status.New(codes.ResourceExhausted, "come back later").
		WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(90 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _ := serve(t, "", &fakeService{unary: func(context.Context, *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		return nil, busy.Err()
	}})
	g, b := guarded(breaker.Settings{FailMax: 1, ResetTimeout: time.Minute})
	client, _ := dial(t, addr, g)
	_, err = client.UnaryCall(t.Context(), &pb.SimpleRequest{})
	wantCode(t, err, codes.ResourceExhausted)
	if got := b.Status().UntilHalfOpen; got < 80*time.Second {
		t.Errorf("open for %v, want the 90 s the server asked for", got)
	}
}

func TestErrorOnTripKeepsTheStatus(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{unary: func(_ context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
		s := status.New(codes.Internal, "as asked")
		if r.GetFillUsername() {
			s, _ = s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)})
		}
		return nil, s.Err()
	}})
	for _, hint := range []bool{false, true} {
		set := breaker.NewSet[string]("grpc", breaker.Settings{FailMax: 1}, breaker.SetOptions{}, breaker.WithErrorOnTrip())
		client, _ := dial(t, addr, breakergrpc.New(set))
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{FillUsername: hint})
		wantCode(t, err, codes.Internal)
		if !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("hint %v: the call that tripped got %v, want the open error as well", hint, err)
		}
	}
}

func TestBypass(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{})
	g, b := guarded(breaker.Settings{})
	client, _ := dial(t, addr, g)
	b.Open(breaker.Order{Actor: "test"})
	if _, err := client.EmptyCall(breaker.WithBypass(t.Context(), "migration"), &pb.Empty{}); err != nil {
		t.Errorf("a call marked to bypass got %v", err)
	}
}

// A rejection by another breaker below says nothing about the service.
func TestRejectionFromBelowIsNoEvidence(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{})
	outer, b := guarded(breaker.Settings{FailMax: 1})
	inner, below := guarded(breaker.Settings{})
	below.ForceOpen(breaker.Order{})
	client, _ := dial(t, addr, nil, grpc.WithChainUnaryInterceptor(outer.UnaryClient, inner.UnaryClient))
	_, err := client.EmptyCall(t.Context(), &pb.Empty{})
	if !errors.Is(err, breaker.ErrOpen) {
		t.Fatalf("got %v, want ErrOpen", err)
	}
	wantState(t, b, breaker.Closed)
}

// What panics on a client is the program's: a codec, an interceptor.
func TestPanicsAreNoEvidence(t *testing.T) {
	addr, _, _ := serve(t, "", &fakeService{})
	for name, call := range map[string]func(*breakergrpc.Guard, pb.TestServiceClient){
		"a codec": func(_ *breakergrpc.Guard, c pb.TestServiceClient) {
			_, _ = c.UnaryCall(t.Context(), &pb.SimpleRequest{}, grpc.ForceCodec(panics{}))
		},
		"a codec of a stream": func(_ *breakergrpc.Guard, c pb.TestServiceClient) {
			_, _ = c.StreamingOutputCall(t.Context(), &pb.StreamingOutputCallRequest{}, grpc.ForceCodec(panics{}))
		},
		"an interceptor": func(g *breakergrpc.Guard, _ pb.TestServiceClient) {
			_ = g.UnaryClient(t.Context(), "/"+service+"/UnaryCall", nil, nil, nil,
				func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { panic("a bug") })
		},
		"an interceptor of a stream": func(g *breakergrpc.Guard, _ pb.TestServiceClient) {
			_, _ = g.StreamClient(t.Context(), &grpc.StreamDesc{}, nil, "/"+service+"/Watch",
				func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					panic("a bug")
				})
		},
		"a stream": func(g *breakergrpc.Guard, _ pb.TestServiceClient) {
			stream, err := g.StreamClient(t.Context(), &grpc.StreamDesc{}, nil, "/"+service+"/Watch",
				func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					return nil, nil // its methods panic
				})
			if err == nil {
				_ = stream.RecvMsg(nil)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(breaker.Settings{FailMax: 1})
			client, _ := dial(t, addr, g)
			b.HalfOpen(breaker.Order{})
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic did not go on to the caller")
					}
				}()
				call(g, client)
			}()
			wantState(t, b, breaker.HalfOpen)
			if _, err := b.Allow(); err != nil {
				t.Errorf("the probe's place is lost: %v", err)
			}
		})
	}
}

// panics is a codec that does.
type panics struct{}

func (panics) Marshal(any) ([]byte, error) { panic("a bug") }
func (panics) Unmarshal([]byte, any) error { panic("a bug") }
func (panics) Name() string                { return "proto" }
