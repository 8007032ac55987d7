package breakerconnect_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/switchgear-go/switchgear/adapters/breakerconnect"
	"github.com/switchgear-go/switchgear/breaker"
)

// sends sends n messages, then ends with err, or hangs until the caller goes.
func sends(n int, err error, hang bool) func(context.Context, *connect.ServerStream[msg]) error {
	return func(ctx context.Context, s *connect.ServerStream[msg]) error {
		for range n {
			if err := s.Send(wrapperspb.String("more")); err != nil {
				return err
			}
		}
		if hang {
			<-ctx.Done()
			return ctx.Err()
		}
		return err
	}
}

func TestStreams(t *testing.T) {
	failed := connect.NewError(connect.CodeUnavailable, errors.New("going away"))
	for name, opts := range protocols {
		// download reads a stream: all of it for messages < 0.
		download := func(t *testing.T, ctx context.Context, g *breakerconnect.Guard, e echo, messages int) error {
			srv := serve(t, e)
			s, err := dial(srv.Client(), srv.URL, "Download", g, opts...).CallServerStream(ctx, connect.NewRequest(wrapperspb.String("go")))
			if err != nil {
				return err
			}
			for ; messages != 0 && s.Receive(); messages-- {
			}
			return errors.Join(s.Err(), s.Close())
		}
		for _, test := range []struct {
			name string
			want breaker.Outcome
			call func(*testing.T, *breakerconnect.Guard) error
		}{
			{"a download", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				return download(t, t.Context(), g, echo{download: sends(3, nil, false)}, -1)
			}},
			{"a download that fails", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				return download(t, t.Context(), g, echo{download: sends(3, failed, false)}, -1)
			}},
			{"a download with an answer that is not a failure", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				return download(t, t.Context(), g, echo{download: sends(3, connect.NewError(connect.CodeNotFound, nil), false)}, -1)
			}},
			{"a download that its reader closes", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				return download(t, t.Context(), g, echo{download: sends(3, failed, false)}, 1)
			}},
			{"a download that answers and is then quiet", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				return download(t, within(t, 300*time.Millisecond), g, echo{download: sends(1, nil, true)}, -1)
			}},
			{"a download that never answers", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				return download(t, within(t, 300*time.Millisecond), g, echo{download: sends(0, nil, true)}, -1)
			}},
			{"a download whose reader cancels", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				return download(t, ctx, g, echo{download: sends(1, nil, true)}, -1)
			}},
			{"a download of a request that is too large", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				_, err := dial(srv.Client(), srv.URL, "Download", g, append(opts, connect.WithSendMaxBytes(1))...).
					CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("too large")))
				return err
			}},
			{"a download from a closed port", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				s, err := dial(http.DefaultClient, "http://127.0.0.1:1", "Download", g, opts...).
					CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("go")))
				if err != nil {
					return err
				}
				s.Receive()
				return errors.Join(s.Err(), s.Close())
			}},
			{"an upload", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				s := dial(srv.Client(), srv.URL, "Upload", g, opts...).CallClientStream(t.Context())
				_ = s.Send(wrapperspb.String("a"))
				_ = s.Send(wrapperspb.String("b"))
				r, err := s.CloseAndReceive()
				if err != nil || r.Msg.GetValue() != "ab" {
					t.Errorf("got %v and %v, want ab", r, err)
				}
				return err
			}},
			{"an upload of nothing", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				_, err := dial(srv.Client(), srv.URL, "Upload", g, opts...).CallClientStream(t.Context()).CloseAndReceive()
				return err
			}},
			{"an upload of a message that cannot be marshalled", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				s := dial(srv.Client(), srv.URL, "Upload", g, opts...).CallClientStream(t.Context())
				err := s.Send(wrapperspb.String("\xff"))
				conn, _ := s.Conn()
				_ = conn.CloseRequest()
				_ = conn.CloseResponse()
				return err
			}},
			{"a talk", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				s := dial(srv.Client(), srv.URL, "Talk", g, opts...).CallBidiStream(t.Context())
				for range 3 {
					if err := s.Send(wrapperspb.String("a")); err != nil {
						return err
					}
					if m, err := s.Receive(); err != nil || m.GetValue() != "a" {
						t.Errorf("got %v and %v, want a", m, err)
					}
				}
				_ = s.CloseRequest()
				if _, err := s.Receive(); !errors.Is(err, io.EOF) {
					t.Errorf("got %v, want the end", err)
				}
				return s.CloseResponse()
			}},
			{"a talk whose server dies", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				s := dial(srv.Client(), srv.URL, "Talk", g, opts...).CallBidiStream(t.Context())
				_ = s.Send(wrapperspb.String("a"))
				if _, err := s.Receive(); err != nil {
					return err
				}
				srv.CloseClientConnections()
				_, err := s.Receive()
				return errors.Join(err, s.CloseResponse())
			}},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				g, b := guarded(t)
				_ = test.call(t, g)
				wantOutcome(t, b, test.want)
			})
		}
	}
}

// The first message of a stream passes a probe, and the breaker closes while
// the stream goes on.
func TestFirstMessagePassesAProbe(t *testing.T) {
	srv := serve(t, echo{})
	g, b := guarded(t)
	b.HalfOpen(breaker.Order{})
	s := dial(srv.Client(), srv.URL, "Talk", g).CallBidiStream(t.Context())
	defer s.CloseResponse()
	_ = s.Send(wrapperspb.String("a"))
	if b.State() != breaker.HalfOpen {
		t.Errorf("the breaker is %s before an answer, want half-open", b.State())
	}
	if _, err := s.Receive(); err != nil {
		t.Fatal(err)
	}
	if b.State() != breaker.Closed {
		t.Errorf("the breaker is %s after an answer, want closed", b.State())
	}
}

// fakeStream answers once, and ends at a time of the test's.
type fakeStream struct {
	connect.StreamingClientConn
	answered bool
	after    time.Duration
}

func (*fakeStream) Peer() connect.Peer { return connect.Peer{} }

func (s *fakeStream) Receive(any) error {
	if !s.answered {
		s.answered = true
		return nil
	}
	time.Sleep(s.after)
	return connect.NewWireError(connect.CodeDeadlineExceeded, errors.New("the server says so"))
}

// A server may report that the caller's deadline has passed before the caller
// notices it. If the server's own deadline has passed, that is a failure.
func TestServerKnowsTheDeadline(t *testing.T) {
	for after, want := range map[time.Duration]breaker.Outcome{
		time.Second - time.Millisecond: breaker.Success,
		time.Second / 2:                breaker.Failure,
	} {
		synctest.Test(t, func(t *testing.T) {
			g, b := guarded(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s := g.WrapStreamingClient(func(context.Context, connect.Spec) connect.StreamingClientConn {
				return &fakeStream{after: after}
			})(ctx, connect.Spec{Procedure: "/" + service + "/Download", IsClient: true})
			_ = s.Receive(nil)
			if s.Receive(nil) == nil {
				t.Error("no error")
			}
			wantOutcome(t, b, want)
		})
	}
}

// A probe that its caller leaves gives its place back.
func TestAbandonedProbeGivesItsPlaceBack(t *testing.T) {
	srv := serve(t, echo{download: sends(0, nil, true)})
	for _, how := range []string{"cancel", "close"} {
		t.Run(how, func(t *testing.T) {
			g, b := guarded(t)
			b.HalfOpen(breaker.Order{})
			c := dial(srv.Client(), srv.URL, "Download", g)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conn := dial(srv.Client(), srv.URL, "Talk", g).CallBidiStream(ctx)
			if _, err := c.CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("go"))); !errors.Is(err, breaker.ErrOpen) {
				t.Errorf("a second probe got %v, want a rejection", err)
			}
			if how == "cancel" {
				cancel()
			} else {
				_ = conn.CloseRequest()
				_ = conn.CloseResponse()
			}
			eventually(t, "the place is free", func() bool {
				p, err := b.Allow()
				p.Ignore()
				return err == nil
			})
		})
	}
}

// A stream that is rejected makes no request, whatever its caller does with it.
func TestRejectedStreams(t *testing.T) {
	asked := false
	g, b := guarded(t)
	b.ForceOpen(breaker.Order{})
	to := doer(func(*http.Request) (*http.Response, error) {
		asked = true
		return nil, errors.New("asked")
	})
	_, err := dial(to, "http://127.0.0.1:1", "Download", g).CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("go")))
	wantRejection(t, err)
	up := dial(to, "http://127.0.0.1:1", "Upload", g).CallClientStream(t.Context())
	up.RequestHeader().Set("X-Some", "header")
	wantRejection(t, up.Send(wrapperspb.String("a")))
	_, err = up.CloseAndReceive()
	wantRejection(t, err)
	talk := dial(to, "http://127.0.0.1:1", "Talk", g).CallBidiStream(t.Context())
	wantRejection(t, talk.Send(wrapperspb.String("a")))
	_, err = talk.Receive()
	wantRejection(t, err)
	if len(talk.ResponseHeader())+len(talk.ResponseTrailer()) != 0 || talk.CloseRequest() != nil || talk.CloseResponse() != nil {
		t.Error("a rejected stream has headers, or does not close")
	}
	if asked {
		t.Error("a rejected stream made a request")
	}
}

func wantRejection(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("got %v, want a rejection", err)
	}
	wantCode(t, err, connect.CodeUnavailable)
}

// On a server a stream is judged where its handler returns.
func TestServerStreams(t *testing.T) {
	for name, test := range map[string]struct {
		handler func(context.Context, *connect.ServerStream[msg]) error
		want    breaker.Outcome
	}{
		"success": {sends(2, nil, false), breaker.Success},
		"failure": {sends(2, connect.NewError(connect.CodeInternal, nil), false), breaker.Failure},
		"panic":   {func(context.Context, *connect.ServerStream[msg]) error { panic(http.ErrAbortHandler) }, breaker.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(t)
			srv := serve(t, echo{download: test.handler}, connect.WithInterceptors(g))
			read := func() error {
				s, err := dial(srv.Client(), srv.URL, "Download", nil).CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("go")))
				if err != nil {
					return err
				}
				for s.Receive() {
				}
				return errors.Join(s.Err(), s.Close())
			}
			_ = read()
			wantOutcome(t, b, test.want)
			b.ForceOpen(breaker.Order{})
			wantCode(t, read(), connect.CodeUnavailable)
		})
	}
}

// What a handler could not read was its client's doing. What it could not get
// elsewhere, in the same words, was not.
func TestServerThatCannotRead(t *testing.T) {
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(t)
			srv := serve(t, echo{}, connect.WithReadMaxBytes(3), connect.WithInterceptors(g))
			s := dial(srv.Client(), srv.URL, "Talk", nil, opts...).CallBidiStream(t.Context())
			_ = s.Send(wrapperspb.String("hello"))
			_, err := s.Receive()
			wantCode(t, err, connect.CodeResourceExhausted)
			srv.Close()
			wantOutcome(t, b, breaker.Ignored)
		})
	}
	g, b := guarded(t)
	elsewhere := connect.NewError(connect.CodeResourceExhausted, errors.New("message size 5 is larger than configured max 3"))
	srv := serve(t, echo{download: sends(0, elsewhere, false)}, connect.WithInterceptors(g))
	s, err := dial(srv.Client(), srv.URL, "Download", nil).CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("x")))
	if err == nil && s.Receive() {
		t.Fatal("a message came")
	}
	srv.Close()
	wantOutcome(t, b, breaker.Failure)
}
