package breakerconnect_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/switchgear-go/switchgear/adapters/breakerconnect"
	"github.com/switchgear-go/switchgear/breaker"
)

type (
	msg    = wrapperspb.StringValue
	client = connect.Client[msg, msg]
)

const service = "test.v1.Echo"

// echo is a service with a method of each kind, whose handlers the test
// provides.
type echo struct {
	unary    func(context.Context, string) (string, error)
	download func(context.Context, *connect.ServerStream[msg]) error
}

// serve runs e over HTTP/1 and HTTP/2 until the test's end.
func serve(t testing.TB, e echo, opts ...connect.HandlerOption) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/"+service+"/Unary", connect.NewUnaryHandler("/"+service+"/Unary",
		func(ctx context.Context, r *connect.Request[msg]) (*connect.Response[msg], error) {
			said := r.Msg.GetValue()
			var err error
			if e.unary != nil {
				said, err = e.unary(ctx, said)
			}
			return connect.NewResponse(wrapperspb.String(said)), err
		}, opts...))
	mux.Handle("/"+service+"/Download", connect.NewServerStreamHandler("/"+service+"/Download",
		func(ctx context.Context, _ *connect.Request[msg], s *connect.ServerStream[msg]) error {
			return e.download(ctx, s)
		}, opts...))
	mux.Handle("/"+service+"/Upload", connect.NewClientStreamHandler("/"+service+"/Upload",
		func(_ context.Context, s *connect.ClientStream[msg]) (*connect.Response[msg], error) {
			all := ""
			for s.Receive() {
				all += s.Msg().GetValue()
			}
			if all == "" {
				return nil, connect.NewError(connect.CodeInternal, errors.New("nothing came"))
			}
			return connect.NewResponse(wrapperspb.String(all)), s.Err()
		}, opts...))
	mux.Handle("/"+service+"/Talk", connect.NewBidiStreamHandler("/"+service+"/Talk",
		func(_ context.Context, s *connect.BidiStream[msg, msg]) error {
			for {
				m, err := s.Receive()
				switch {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return err
				}
				if err := s.Send(m); err != nil {
					return err
				}
			}
		}, opts...))
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// protocols are those that connect speaks.
var protocols = map[string][]connect.ClientOption{
	"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
}

// guarded returns a guard, and the breaker for calls of the test's service,
// with one failure counted.
func guarded(t testing.TB, opts ...breakerconnect.Option) (*breakerconnect.Guard, *breaker.Breaker) {
	t.Helper()
	set := breaker.NewSet[string]("rpc", breaker.Settings{FailMax: 100, ProbeTimeout: time.Hour}, breaker.SetOptions{})
	b := set.Breaker(service)
	p, _ := b.Allow()
	p.Done(errors.New("earlier"))
	return breakerconnect.New(set, opts...), b
}

// wantOutcome checks what the last call was: a success took back the failure
// on record, a failure added one.
func wantOutcome(t *testing.T, b *breaker.Breaker, want breaker.Outcome) {
	t.Helper()
	fails := map[breaker.Outcome]int{breaker.Success: 0, breaker.Ignored: 1, breaker.Failure: 2}
	if got := b.FailCount(); got != fails[want] {
		t.Errorf("%d failures on record after one that was there, want %d: %s", got, fails[want], want)
	}
}

// dial makes a client of a method, through g if it is not nil.
func dial(c connect.HTTPClient, url, method string, g *breakerconnect.Guard, opts ...connect.ClientOption) *client {
	if g != nil {
		opts = append(opts, connect.WithInterceptors(g))
	}
	return connect.NewClient[msg, msg](c, url+"/"+service+"/"+method, opts...)
}

func call(ctx context.Context, c *client, said string) error {
	_, err := c.CallUnary(ctx, connect.NewRequest(wrapperspb.String(said)))
	return err
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// listen returns a listener that never accepts what connects to it.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func wantCode(t *testing.T, err error, want connect.Code) {
	t.Helper()
	if got := connect.CodeOf(err); err == nil || got != want {
		t.Errorf("the code is %v, want %v: %v", got, want, err)
	}
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
