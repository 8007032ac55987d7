package breakerhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestTripReturnsTheOpenErrorOnDemand(t *testing.T) {
	b := breaker.New("api", breaker.Settings{FailMax: 1}, breaker.WithErrorOnTrip())
	errDown := errors.New("connection refused")
	rt := breakerhttp.NewTransport(failsWith(errDown), breakerhttp.WithBreaker(b))
	if err := get(t, rt); !errors.Is(err, breaker.ErrOpen) || !errors.Is(err, errDown) {
		t.Errorf("the tripping call got %v, want the open error and its own", err)
	}
}

// untouchable fails the test if it is read while the breaker is open. (Another
// library reads 64 MiB of an upload before it asks the breaker.)
type untouchable struct {
	t      *testing.T
	closed int
}

func (u *untouchable) Read([]byte) (int, error) {
	u.t.Error("a rejected request's body was read")
	return 0, io.EOF
}

func (u *untouchable) Close() error { u.closed++; return nil }

func TestOpenTouchesNothing(t *testing.T) {
	b := breaker.New("api", breaker.Settings{ResetTimeout: 42 * time.Second})
	b.Open(breaker.Order{Actor: "ann", Reason: "migration"})
	rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
		t.Error("a rejected request reached the network")
		return nil, io.EOF
	}), breakerhttp.WithBreaker(b))
	upload := &untouchable{t: t}
	req, _ := http.NewRequest(http.MethodPost, "http://api.test", upload)
	_, err := (&http.Client{Transport: rt}).Do(req)

	if !errors.Is(err, breaker.ErrOpen) {
		t.Fatalf("error %v, want one that matches ErrOpen", err)
	}
	var open *breaker.OpenError
	if !errors.As(err, &open) || open.RetryAfter() <= 41*time.Second {
		t.Errorf("the rejection does not say when to retry: %v", err)
	}
	if upload.closed == 0 {
		t.Error("the request's body was not closed")
	}
	for _, want := range []string{"api: circuit breaker is open", "migration", "retry in 42s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestOwnOpenError(t *testing.T) {
	errOwn := errors.New("mine")
	b := breaker.New("api", breaker.Settings{}, breaker.WithOpenError(func(*breaker.OpenError) error { return errOwn }))
	b.ForceOpen(breaker.Order{})
	if err := get(t, breakerhttp.NewTransport(answers(200), breakerhttp.WithBreaker(b))); err != errOwn {
		t.Errorf("error %v, want the one of WithOpenError as it is", err)
	}
}

func TestRetryAfterLengthensTheOpenTime(t *testing.T) {
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, test := range []struct {
		name   string
		header func() string
		max    time.Duration
		want   time.Duration
	}{
		{"none", func() string { return "" }, 0, 10 * time.Second},
		{"seconds", func() string { return "30" }, 0, 30 * time.Second},
		{"a date", func() string { return date(30 * time.Second) }, 0, 30 * time.Second},
		{"shorter", func() string { return "3" }, 0, 10 * time.Second},
		{"far out", func() string { return "86400" }, 0, 100 * time.Second},
		{"beyond the limit", func() string { return "86400" }, time.Minute, time.Minute},
		{"nonsense", func() string { return "soon" }, 0, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("api", breaker.Settings{FailMax: 1, ResetTimeout: 10 * time.Second, ResetMax: test.max})
				rt := breakerhttp.NewTransport(answers(503, "Retry-After", test.header()), breakerhttp.WithBreaker(b))
				if err := get(t, rt); err != nil {
					t.Fatal(err)
				}
				var open *breaker.OpenError
				if err := get(t, rt); !errors.As(err, &open) {
					t.Fatalf("error %v, want a rejection", err)
				}
				if got := open.RetryAfter(); got != test.want {
					t.Errorf("open for %s, want %s", got, test.want)
				}
			})
		})
	}
}

// Slow is what takes long to the headers; a slow reader is not the server's.
func TestSlowCallsAreMeasuredToTheHeaders(t *testing.T) {
	for _, test := range []struct {
		name       string
		head, body time.Duration
		want       breaker.State
	}{
		{"slow head", 3 * time.Second, 0, breaker.Open},
		{"slow body", 0, time.Hour, breaker.Closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("api", breaker.Settings{SlowCall: 2 * time.Second, SlowRate: 1, MinCalls: 1})
				rt := breakerhttp.NewTransport(tripper(func(req *http.Request) (*http.Response, error) {
					time.Sleep(test.head)
					return answers(200)(req)
				}), breakerhttp.WithBreaker(b))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), "http://api.test"))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.body)
				resp.Body.Close()
				if got := b.State(); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// The head of a good answer passes a probe, however long its body takes. How the
// body ends is judged in the state of then.
func TestHalfOpen(t *testing.T) {
	for _, test := range []struct {
		name string
		resp *http.Response
		want breaker.State // once the head is there
		then breaker.State // once the body is read
	}{
		{"a body", &http.Response{StatusCode: 200, Body: stream(strings.NewReader("x"))}, breaker.Closed, breaker.Closed},
		{"a body that breaks", &http.Response{StatusCode: 200, Body: failingBody{strings.NewReader("x"), io.ErrUnexpectedEOF}}, breaker.Closed, breaker.Open},
		{"no body", &http.Response{StatusCode: 204, Body: http.NoBody}, breaker.Closed, breaker.Closed},
		{"events without end", &http.Response{
			StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}},
			Body: failingBody{strings.NewReader("data"), io.ErrUnexpectedEOF},
		}, breaker.Closed, breaker.Closed},
		{"failed", &http.Response{StatusCode: 502, Body: stream(strings.NewReader("x"))}, breaker.Open, breaker.Open},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := breaker.New("api", breaker.Settings{FailMax: 1})
			b.HalfOpen(breaker.Order{})
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) { return test.resp, nil }), breakerhttp.WithBreaker(b))
			resp, err := rt.RoundTrip(newRequest(t, t.Context(), "http://api.test"))
			if err != nil {
				t.Fatal(err)
			}
			if got := b.State(); got != test.want {
				t.Errorf("after the head %s, want %s", got, test.want)
			}
			io.Copy(io.Discard, resp.Body)
			if got := b.State(); got != test.then {
				t.Errorf("after the body %s, want %s", got, test.then)
			}
		})
	}
}

func TestTransportThatSaysNothing(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	client := &http.Client{Transport: breakerhttp.NewTransport(
		tripper(func(*http.Request) (*http.Response, error) { return nil, nil }), breakerhttp.WithBreaker(b))}
	if _, err := client.Get("http://api.test"); err == nil || b.FailCount() != 0 {
		t.Errorf("error %v, %d failures, want the client's own error and none", err, b.FailCount())
	}
}

func TestRequestsThatGoNowhere(t *testing.T) {
	set := breaker.NewSet[string]("http", breaker.Settings{FailMax: 1}, breaker.SetOptions{})
	rt := breakerhttp.NewTransport(nil, breakerhttp.WithSet(set, breakerhttp.Host))
	for _, req := range []*http.Request{{Header: http.Header{}}, newRequest(t, t.Context(), "http:///path")} {
		if _, err := rt.RoundTrip(req); err == nil || errors.Is(err, breaker.ErrOpen) {
			t.Errorf("error %v, want the transport's own", err)
		}
	}
	if n := len(set.Status()); n != 0 {
		t.Errorf("requests without a host made %d breakers", n)
	}
}

type idleCloser struct {
	tripper
	closed int
}

func (c *idleCloser) CloseIdleConnections() { c.closed++ }

func TestCloseIdleConnections(t *testing.T) {
	base := &idleCloser{tripper: answers(200)}
	(&http.Client{Transport: breakerhttp.NewTransport(base)}).CloseIdleConnections()
	if base.closed != 1 {
		t.Errorf("passed on %d times, want once", base.closed)
	}
	breakerhttp.NewTransport(answers(200)).CloseIdleConnections() // has none
}

func TestBypass(t *testing.T) {
	b := breaker.New("api", breaker.Settings{}, breaker.WithBypassAllowed())
	b.Open(breaker.Order{})
	rt := breakerhttp.NewTransport(answers(200), breakerhttp.WithBreaker(b))
	ctx := breaker.WithBypass(context.Background(), "half-done migration")
	if _, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test")); err != nil {
		t.Errorf("a request that is marked to bypass got %v", err)
	}
}

// The breaker opens on a real server that dies, and closes when it is back.
func TestServerThatComesAndGoes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	serve := func(l net.Listener) *http.Server {
		s := &http.Server{Handler: status(200), ErrorLog: quiet}
		go s.Serve(l)
		return s
	}
	up := serve(l)
	opened := make(chan struct{}, 10)
	b := breaker.New("api", breaker.Settings{FailMax: 3, ResetTimeout: 50 * time.Millisecond}, breaker.WithListener(breaker.Listener{
		StateChange: func(_ *breaker.Breaker, tr breaker.Transition) {
			if tr.To == breaker.Open {
				opened <- struct{}{}
			}
		},
	}))
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: breakerhttp.NewTransport(base, breakerhttp.WithBreaker(b))}
	call := func() error {
		resp, err := client.Get("http://" + address)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	up.Close()
	rejections := 0
	for range 10 {
		if errors.Is(call(), breaker.ErrOpen) {
			rejections++
		}
	}
	if len(opened) == 0 || rejections == 0 {
		t.Fatalf("ten calls to a dead server: %d rejected, %s", rejections, b.State())
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skip("SKIP: needs its port back: ", err)
	}
	up = serve(l)
	defer up.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); b.State() != breaker.Closed; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("still %s ten seconds after the server is back: %v", b.State(), call())
		}
		call()
	}
}

// Many callers, bodies read and closed at once: for the race detector.
func TestManyCallersAtOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "7") {
			w.WriteHeader(503)
		}
		io.WriteString(w, strings.Repeat("x", 10_000))
	}))
	defer s.Close()
	client := s.Client()
	client.Transport = breakerhttp.NewTransport(client.Transport, breakerhttp.WithBreaker(
		breaker.New("api", breaker.Settings{FailMax: 3, ResetTimeout: time.Millisecond, SlowCall: time.Second, SlowRate: .5})))
	var ran atomic.Int32
	done := make(chan struct{})
	for g := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 50 {
				resp, err := client.Get(fmt.Sprintf("%s/%d%d", s.URL, g, i))
				if err != nil {
					continue
				}
				ran.Add(1)
				closed := make(chan struct{})
				go func() { io.Copy(io.Discard, resp.Body); close(closed) }()
				resp.Body.Close()
				<-closed
			}
		}()
	}
	for range 8 {
		<-done
	}
	if ran.Load() == 0 {
		t.Error("nothing ran")
	}
}

// A file is uploaded by sendfile, and what is in memory goes out with the head: both
// need the request's body as it is. net/http also looks at what is in memory when
// the announced length is wrong.
func TestRequestIsHandedOnAsItIs(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "upload"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, body := range map[string]io.Reader{
		"file": file, "bytes": bytes.NewReader([]byte("abc")), "buffer": bytes.NewBufferString("abc"), "string": strings.NewReader("abc"),
	} {
		for _, length := range []int64{-1, 0, 2, 3, 4} {
			req, _ := http.NewRequest(http.MethodPut, "http://api.test", body)
			req.ContentLength = length
			want := req.Body
			var got *http.Request
			rt := breakerhttp.NewTransport(tripper(func(r *http.Request) (*http.Response, error) {
				got = r
				return answers(200)(r)
			}))
			if _, err := rt.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			if got != req || got.Body != want {
				t.Errorf("%s, announced as %d: the transport got another request or body than the caller's", name, length)
			}
		}
	}
}
