package breakerconnect_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/switchgear-go/switchgear/adapters/breakerconnect"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestCodes(t *testing.T) {
	failing := map[connect.Code]bool{
		connect.CodeUnavailable: true, connect.CodeDeadlineExceeded: true, connect.CodeInternal: true,
		connect.CodeUnknown: true, connect.CodeResourceExhausted: true, connect.CodeDataLoss: true,
	}
	for name, opts := range protocols {
		for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
			t.Run(name+"/"+code.String(), func(t *testing.T) {
				srv := serve(t, echo{unary: func(context.Context, string) (string, error) {
					return "", connect.NewError(code, errors.New("as asked"))
				}})
				g, b := guarded(t)
				wantCode(t, call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello"), code)
				want := breaker.Success
				switch {
				case failing[code]:
					want = breaker.Failure
				case code == connect.CodeCanceled:
					want = breaker.Ignored
				}
				wantOutcome(t, b, want)
			})
		}
	}
}

func TestUnary(t *testing.T) {
	hangs := echo{unary: func(ctx context.Context, _ string) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}}
	for name, opts := range protocols {
		for _, test := range []struct {
			name string
			want breaker.Outcome
			call func(*testing.T, *breakerconnect.Guard) error
		}{
			{"an answer", breaker.Success, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				if err := call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello"); err != nil {
					t.Error(err)
				}
				return errors.New("none")
			}},
			{"nothing listens", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				return call(t.Context(), dial(http.DefaultClient, "http://127.0.0.1:1", "Unary", g, opts...), "hello")
			}},
			{"a server that resets the connection", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				l := listen(t)
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						_, _ = c.Read(make([]byte, 100))
						_ = c.(*net.TCPConn).SetLinger(0)
						c.Close()
					}
				}()
				return call(t.Context(), dial(http.DefaultClient, "http://"+l.Addr().String(), "Unary", g, opts...), "hello")
			}},
			{"a proxy's 502", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
				return call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello")
			}},
			{"a server that hangs until the caller's deadline", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, hangs)
				return call(within(t, 100*time.Millisecond), dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello")
			}},
			{"a peer that accepts and says nothing", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				return call(within(t, 100*time.Millisecond), dial(http.DefaultClient, "http://"+listen(t).Addr().String(), "Unary", g, opts...), "hello")
			}},
			{"a caller's cancel", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, hangs)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
				return call(ctx, dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello")
			}},
			{"a context that had ended before", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
				defer cancel()
				return call(ctx, dial(http.DefaultClient, "http://127.0.0.1:1", "Unary", g, opts...), "hello")
			}},
			{"a message that is too large", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				return call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, append(opts, connect.WithSendMaxBytes(3))...), "hello")
			}},
			{"a message that cannot be marshalled", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				return call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, opts...), "not UTF-8: \xff")
			}},
			{"an invalid header", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				req := connect.NewRequest(wrapperspb.String("hello"))
				req.Header().Set("X-Line", "a\nb")
				_, err := dial(srv.Client(), srv.URL, "Unary", g, opts...).CallUnary(t.Context(), req)
				return err
			}},
			{"an unsupported scheme", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				return call(t.Context(), dial(http.DefaultClient, "gopher://127.0.0.1:1", "Unary", g, opts...), "hello")
			}},
			{"a message larger than the server's limit", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{}, connect.WithReadMaxBytes(3))
				return call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello")
			}},
			{"a message larger than a limit of grpc-go's", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{unary: func(context.Context, string) (string, error) {
					return "", connect.NewError(connect.CodeResourceExhausted, errors.New("grpc: received message larger than max (5 vs. 3)"))
				}})
				return call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, opts...), "hello")
			}},
			{"a response larger than the client's limit", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				srv := serve(t, echo{})
				return call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, append(opts, connect.WithReadMaxBytes(3))...), "hello")
			}},
			{"a rejection by another breaker below", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				inner := breaker.New("inner", breaker.Settings{})
				inner.ForceOpen(breaker.Order{})
				return call(t.Context(), dial(doer(func(r *http.Request) (*http.Response, error) {
					_, err := inner.AllowContext(r.Context())
					return nil, err
				}), "http://127.0.0.1:1", "Unary", g, opts...), "hello")
			}},
			{"no file descriptor is left", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
				}}}
				return call(t.Context(), dial(c, "http://127.0.0.1:1", "Unary", g, opts...), "hello")
			}},
			{"a header larger than the client's limit", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				big := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Big", strings.Repeat("x", 5000)) }))
				t.Cleanup(big.Close)
				return call(t.Context(), dial(&http.Client{Transport: &http.Transport{MaxResponseHeaderBytes: 1000}}, big.URL, "Unary", g, opts...), "hello")
			}},
			{"a proxy that wants credentials", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				return call(t.Context(), dial(behindClosedProxy(t), "http://api.test", "Unary", g, opts...), "hello")
			}},
			{"a proxy that wants credentials for a tunnel", breaker.Ignored, func(t *testing.T, g *breakerconnect.Guard) error {
				return call(t.Context(), dial(behindClosedProxy(t), "https://api.test", "Unary", g, opts...), "hello")
			}},
			{"a client without traces that finds no server", breaker.Failure, func(t *testing.T, g *breakerconnect.Guard) error {
				return call(t.Context(), dial(doer(func(*http.Request) (*http.Response, error) {
					return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
				}), "http://127.0.0.1:1", "Unary", g, opts...), "hello")
			}},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				g, b := guarded(t)
				if err := test.call(t, g); err == nil {
					t.Error("no error")
				}
				wantOutcome(t, b, test.want)
			})
		}
	}
}

// behindClosedProxy is a client whose proxy lets nothing through.
func behindClosedProxy(t *testing.T) *http.Client {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	t.Cleanup(proxy.Close)
	return &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}}
}

// Calls without side effects go by GET, with the message in the URL.
func TestUnaryByGet(t *testing.T) {
	idempotent := connect.WithIdempotency(connect.IdempotencyNoSideEffects)
	long := strings.Repeat("x", 1000)
	for _, test := range []struct {
		name, said, url string
		opts            []connect.ClientOption
		say             error
		want            breaker.Outcome
	}{
		{name: "an answer", said: "hello", want: breaker.Success},
		{name: "an error", said: "hello", say: connect.NewError(connect.CodeUnavailable, errors.New("as asked")), want: breaker.Failure},
		{name: "nobody listens", said: "hello", url: "http://127.0.0.1:1", want: breaker.Failure},
		{name: "not marshalled", said: "\xff", want: breaker.Ignored},
		{name: "a URL that is too long", said: long, opts: []connect.ClientOption{connect.WithHTTPGetMaxURLSize(500, false)}, want: breaker.Ignored},
		{name: "a URL that is too long, sent by POST", said: long, opts: []connect.ClientOption{connect.WithHTTPGetMaxURLSize(500, true)}, want: breaker.Success},
		{name: "a cached answer", said: "hello", say: connect.NewNotModifiedError(nil), want: breaker.Success},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := serve(t, echo{unary: func(_ context.Context, said string) (string, error) { return said, test.say }}, idempotent)
			if test.url == "" {
				test.url = srv.URL
			}
			g, b := guarded(t)
			c := dial(srv.Client(), test.url, "Unary", g, append(test.opts, connect.WithHTTPGet(), idempotent)...)
			err := call(t.Context(), c, test.said)
			if test.want == breaker.Ignored && err == nil {
				t.Error("it was sent")
			}
			wantOutcome(t, b, test.want)
		})
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestFailureCodesOfTheProgramsOwn(t *testing.T) {
	srv := serve(t, echo{unary: func(context.Context, string) (string, error) {
		return "", connect.NewError(connect.CodeAborted, nil)
	}})
	g, b := guarded(t, breakerconnect.WithFailureCodes(connect.CodeAborted))
	_ = call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g), "hello")
	wantOutcome(t, b, breaker.Failure)
}

func TestKeys(t *testing.T) {
	srv := serve(t, echo{})
	for name, test := range map[string]struct {
		key  func(breakerconnect.Call) string
		want string
	}{
		"service":   {breakerconnect.ByService, service},
		"procedure": {breakerconnect.ByProcedure, service + "/Unary"},
		"host":      {breakerconnect.ByHost, srv.Listener.Addr().String()},
		"none":      {func(breakerconnect.Call) string { return "" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			set := breaker.NewSet[string]("rpc", breaker.Settings{}, breaker.SetOptions{})
			if test.want != "" {
				set.Breaker(test.want).ForceOpen(breaker.Order{})
			}
			err := call(t.Context(), dial(srv.Client(), srv.URL, "Unary", breakerconnect.New(set, breakerconnect.WithKey(test.key))), "hello")
			if errors.Is(err, breaker.ErrOpen) != (test.want != "") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A rejection says who, why and until when, on both sides of the wire, and a
// server's does not say what its breaker saw.
func TestRejections(t *testing.T) {
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			calls := 0
			set := breaker.NewSet[string]("rpc", breaker.Settings{FailMax: 1, ResetTimeout: time.Hour}, breaker.SetOptions{})
			guard := breakerconnect.New(set)
			srv := serve(t, echo{unary: func(context.Context, string) (string, error) {
				calls++
				return "", connect.NewError(connect.CodeInternal, errors.New("secret"))
			}}, connect.WithInterceptors(guard))
			bare := dial(srv.Client(), srv.URL, "Unary", nil, opts...)
			_ = call(t.Context(), bare, "hello")
			fromServer := call(t.Context(), bare, "hello")
			fromClient := call(t.Context(), dial(srv.Client(), srv.URL, "Unary", guard, opts...), "hello")
			if calls != 1 {
				t.Errorf("%d calls, want the one that failed", calls)
			}
			if !errors.Is(fromClient, breaker.ErrOpen) {
				t.Errorf("got %v, want a rejection", fromClient)
			}
			if got, want := fromServer.Error(), "unavailable: rpc/test.v1.Echo: circuit breaker is open"; got != want {
				t.Errorf("the server says %q, want %q", got, want)
			}
			for _, err := range []error{fromClient, fromServer} {
				wantCode(t, err, connect.CodeUnavailable)
				info, retry := details(t, err)
				if info.GetReason() != breakerconnect.Reason || info.GetDomain() != breakerconnect.Domain ||
					info.GetMetadata()["breaker"] != "rpc/"+service || info.GetMetadata()["state"] != "open" {
					t.Errorf("the details are %v", info)
				}
				if d := retry.GetRetryDelay().AsDuration(); d <= 0 || d > time.Hour {
					t.Errorf("the retry delay is %v, want an hour at most", d)
				}
			}
		})
	}
}

func details(t *testing.T, err error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is not a *connect.Error", err)
	}
	for _, d := range e.Details() {
		v, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		switch v := v.(type) {
		case *errdetails.ErrorInfo:
			info = v
		case *errdetails.RetryInfo:
			retry = v
		}
	}
	return info, retry
}

// An error of the program's own that connect knows stays as it is.
func TestRejectionOfTheProgramsOwn(t *testing.T) {
	set := breaker.NewSet[string]("rpc", breaker.Settings{}, breaker.SetOptions{},
		breaker.WithOpenError(func(o *breaker.OpenError) error { return connect.NewError(connect.CodeAborted, o) }))
	set.Breaker(service).ForceOpen(breaker.Order{})
	err := call(t.Context(), dial(http.DefaultClient, "http://127.0.0.1:1", "Unary", breakerconnect.New(set)), "hello")
	wantCode(t, err, connect.CodeAborted)
}

// RetryInfo in a failure's details is when the breaker asks again.
func TestRetryInfo(t *testing.T) {
	srv := serve(t, echo{unary: func(context.Context, string) (string, error) {
		e := connect.NewError(connect.CodeUnavailable, errors.New("busy"))
		d, err := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(5 * time.Minute)})
		if err != nil {
			return "", err
		}
		e.AddDetail(d)
		return "", e
	}})
	set := breaker.NewSet[string]("rpc", breaker.Settings{FailMax: 1, ResetTimeout: time.Minute}, breaker.SetOptions{})
	_ = call(t.Context(), dial(srv.Client(), srv.URL, "Unary", breakerconnect.New(set)), "hello")
	_, err := set.Breaker(service).Allow()
	var open *breaker.OpenError
	if !errors.As(err, &open) || open.RetryAfter() < 4*time.Minute {
		t.Errorf("got %v, want five minutes", err)
	}
}

// A handler that panics is a failure; a codec or an interceptor of the client's
// that does is not.
func TestPanics(t *testing.T) {
	g, b := guarded(t)
	srv := serve(t, echo{unary: func(context.Context, string) (string, error) { panic(http.ErrAbortHandler) }}, connect.WithInterceptors(g))
	_ = call(t.Context(), dial(srv.Client(), srv.URL, "Unary", nil), "hello")
	wantOutcome(t, b, breaker.Failure)

	panics := doer(func(*http.Request) (*http.Response, error) { panic("mine") })
	for name, run := range map[string]func(*breakerconnect.Guard){
		"a client": func(g *breakerconnect.Guard) {
			_ = call(t.Context(), dial(panics, "http://127.0.0.1:1", "Unary", g), "hello")
		},
		"a codec": func(g *breakerconnect.Guard) {
			_ = call(t.Context(), dial(srv.Client(), srv.URL, "Unary", g, connect.WithCodec(badCodec{})), "hello")
		},
		"a codec of a stream": func(g *breakerconnect.Guard) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := dial(srv.Client(), srv.URL, "Talk", g, connect.WithCodec(badCodec{})).CallBidiStream(ctx)
			_ = s.Send(wrapperspb.String("hello"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(t)
			b.HalfOpen(breaker.Order{})
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic did not go on")
					}
				}()
				run(g)
			}()
			// A stream gives its place back when its context ends.
			eventually(t, "no probe is out", func() bool { return b.Status().ProbesOut == 0 })
			if s := b.Status(); s.State != breaker.HalfOpen || s.ProbesOut != 0 {
				t.Errorf("the breaker is %s with %d probes out, want half-open and none", s.State, s.ProbesOut)
			}
		})
	}
}

// badCodec panics.
type badCodec struct{}

func (badCodec) Name() string                { return "proto" }
func (badCodec) Marshal(any) ([]byte, error) { panic("mine") }
func (badCodec) Unmarshal([]byte, any) error { panic("mine") }

// On a server, what follows a client's cancel is not evidence.
func TestServerAfterTheClientsCancel(t *testing.T) {
	for name, end := range map[string]func() error{
		"an error": func() error { return errors.New("broken off") },
		"a panic":  func() error { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			g, b := guarded(t)
			began, ended := make(chan bool), make(chan bool)
			srv := serve(t, echo{unary: func(ctx context.Context, _ string) (string, error) {
				close(began)
				<-ctx.Done()
				defer close(ended)
				return "", end()
			}}, connect.WithInterceptors(g))
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-began; cancel() }()
			_ = call(ctx, dial(srv.Client(), srv.URL, "Unary", nil), "hello")
			<-ended
			srv.Close() // waits for the handler, and what is around it
			wantOutcome(t, b, breaker.Ignored)
		})
	}
}
