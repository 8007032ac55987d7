package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// tripper is a scripted http.RoundTripper.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answers with a status and a body that is not empty.
func answers(status int, header ...string) tripper {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: stream(strings.NewReader("hello"))}, nil
	}
}

func failsWith(err error) tripper {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// stream is a body with no more methods than it needs.
func stream(r io.Reader) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{r, io.NopCloser(nil)}
}

// outcomes counts the outcomes of a breaker.
type outcomes struct {
	mu       sync.Mutex
	good     int
	bad      int
	rejected int
	errs     []error
}

func (o *outcomes) listener() breaker.Listener {
	return breaker.Listener{
		Success:  func(*breaker.Breaker) { o.mu.Lock(); o.good++; o.mu.Unlock() },
		Rejected: func(*breaker.Breaker, error) { o.mu.Lock(); o.rejected++; o.mu.Unlock() },
		Failure: func(_ *breaker.Breaker, err error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.bad++
			o.errs = append(o.errs, err)
		},
	}
}

func (o *outcomes) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%d good, %d bad", o.good, o.bad)
}

func newRequest(t testing.TB, ctx context.Context, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get makes one call to the end of its body.
func get(t testing.TB, rt http.RoundTripper) error {
	t.Helper()
	resp, err := rt.RoundTrip(newRequest(t, context.Background(), "http://api.test/"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func TestOutcomeOfStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		opts   []breakerhttp.Option
		want   string
	}{
		{200, nil, "1 good, 0 bad"},
		{204, nil, "1 good, 0 bad"},
		{301, nil, "1 good, 0 bad"},
		{400, nil, "1 good, 0 bad"},
		{404, nil, "1 good, 0 bad"},
		{408, nil, "1 good, 0 bad"},
		{429, nil, "0 good, 1 bad"},
		{499, nil, "1 good, 0 bad"},
		{500, nil, "0 good, 1 bad"},
		{501, nil, "0 good, 1 bad"},
		{503, nil, "0 good, 1 bad"},
		{599, nil, "0 good, 1 bad"},
		{600, nil, "0 good, 0 bad"},
		{999, nil, "0 good, 0 bad"},
		{404, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{404: breaker.Failure})}, "0 good, 1 bad"},
		{500, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{404: breaker.Failure})}, "0 good, 1 bad"},
		{501, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{501: breaker.Success})}, "1 good, 0 bad"},
		{429, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{429: breaker.Ignored})}, "0 good, 0 bad"},
	} {
		t.Run(fmt.Sprint(test.status, "/", test.want), func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			rt := breakerhttp.NewTransport(answers(test.status), append(test.opts, breakerhttp.WithBreaker(b))...)
			if err := get(t, rt); err != nil {
				t.Fatal(err)
			}
			if got := seen.String(); got != test.want {
				t.Errorf("status %d: %s, want %s", test.status, got, test.want)
			}
		})
	}
}

// The field's adapters let a dead server, a 503 and a 500 pass forever, and
// open when callers cancel.
func TestOutcomeOfErrors(t *testing.T) {
	errGone := errors.New("the user closed the page")
	for _, test := range []struct {
		name string
		ctx  func() (context.Context, context.CancelFunc)
		end  func(context.CancelFunc) error
		want string
	}{
		{"refused", background, func(context.CancelFunc) error { return errors.New("connection refused") }, "0 good, 1 bad"},
		{"cancelled", cancellable, func(cancel context.CancelFunc) error { cancel(); return context.Canceled }, "0 good, 0 bad"},
		{"cancelled, reported otherwise", cancellable, func(cancel context.CancelFunc) error { cancel(); return errors.New("net/http: request canceled") }, "0 good, 0 bad"},
		{"cancelled with a cause", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			return ctx, func() { cancel(errGone) }
		}, func(cancel context.CancelFunc) error { cancel(); return errGone }, "0 good, 0 bad"},
		{"cancelled by another party", background, func(context.CancelFunc) error { return context.Canceled }, "0 good, 1 bad"},
		{"a deadline that had passed", func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
		}, func(context.CancelFunc) error { return context.DeadlineExceeded }, "0 good, 0 bad"},
		{"not this transport's", background, func(context.CancelFunc) error { return http.ErrSkipAltProtocol }, "0 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			ctx, cancel := test.ctx()
			defer cancel()
			var want error
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
				want = test.end(cancel)
				return nil, want
			}), breakerhttp.WithBreaker(b))
			if _, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test")); err != want {
				t.Errorf("error %v, want the transport's own: %v", err, want)
			}
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func background() (context.Context, context.CancelFunc) { return context.Background(), func() {} }
func cancellable() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

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
	errMine := errors.New("mine")
	b := breaker.New("api", breaker.Settings{}, breaker.WithOpenError(func(*breaker.OpenError) error { return errMine }))
	b.ForceOpen(breaker.Order{})
	if err := get(t, breakerhttp.NewTransport(answers(200), breakerhttp.WithBreaker(b))); err != errMine {
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

type failingBody struct {
	io.Reader
	err error
}

func (f failingBody) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}
func (failingBody) Close() error { return nil }

func TestOutcomeOfTheBody(t *testing.T) {
	errReset := errors.New("connection reset by peer")
	readAll := func(b io.ReadCloser, _ context.CancelFunc) { io.Copy(io.Discard, b); b.Close() }
	for _, test := range []struct {
		name string
		end  error // where the body ends
		use  func(io.ReadCloser, context.CancelFunc)
		want string
	}{
		{"read to the end", io.EOF, readAll, "1 good, 0 bad"},
		{"read to the end, never closed", io.EOF, func(b io.ReadCloser, _ context.CancelFunc) { io.ReadAll(b) }, "1 good, 0 bad"},
		{"closed at once", errReset, func(b io.ReadCloser, _ context.CancelFunc) { b.Close() }, "1 good, 0 bad"},
		{"closed halfway", errReset, func(b io.ReadCloser, _ context.CancelFunc) { b.Read(make([]byte, 2)); b.Close() }, "1 good, 0 bad"},
		{"breaks off", errReset, readAll, "0 good, 1 bad"},
		{"breaks off too soon", io.ErrUnexpectedEOF, readAll, "0 good, 1 bad"},
		{"cancelled", context.Canceled, func(b io.ReadCloser, cancel context.CancelFunc) { cancel(); readAll(b, nil) }, "0 good, 0 bad"},
		{"cancelled, reported otherwise", errReset, func(b io.ReadCloser, cancel context.CancelFunc) { cancel(); readAll(b, nil) }, "0 good, 0 bad"},
		{"deadline", context.DeadlineExceeded, readAll, "0 good, 1 bad"},
		{"never touched", errReset, func(io.ReadCloser, context.CancelFunc) {}, "0 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: failingBody{strings.NewReader("hello"), test.end}}, nil
			}), breakerhttp.WithBreaker(b))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			resp, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test"))
			if err != nil {
				t.Fatal(err)
			}
			test.use(resp.Body, cancel)
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
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

// Other libraries do not count panics, and lose probes that panic or exit their
// goroutine.
func TestPanicsAndGoexitAreFailures(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("bug") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			b := breaker.New("api", breaker.Settings{})
			b.HalfOpen(breaker.Order{})
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) { end(); return nil, nil }), breakerhttp.WithBreaker(b))
			var recovered any
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recovered = recover() }()
				get(t, rt)
			}()
			<-done
			if name == "panic" && recovered != "bug" {
				t.Errorf("the caller recovered %v, want its own panic", recovered)
			}
			if got := b.State(); got != breaker.Open {
				t.Errorf("%s, want open", got)
			}
		})
	}
}

func TestTransportThatSaysNothing(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	client := &http.Client{Transport: breakerhttp.NewTransport(
		tripper(func(*http.Request) (*http.Response, error) { return nil, nil }), breakerhttp.WithBreaker(b))}
	if _, err := client.Get("http://api.test"); err == nil || b.FailCount() != 1 {
		t.Errorf("error %v, %d failures, want the client's own error and one failure", err, b.FailCount())
	}
}

func TestOneBreakerForEachHost(t *testing.T) {
	set := breaker.NewSet[string]("http", breaker.Settings{FailMax: 1}, breaker.SetOptions{})
	rt := breakerhttp.NewTransport(tripper(func(req *http.Request) (*http.Response, error) {
		if strings.HasPrefix(req.URL.Host, "down") {
			return nil, io.EOF
		}
		return answers(200)(req)
	}), breakerhttp.WithSet(set, breakerhttp.Host))
	for _, test := range []struct {
		url  string
		open bool
	}{
		{"http://down.test/a", false},
		{"http://down.test/b", true},
		{"http://DOWN.test:80/", true},
		{"https://down.test/", false}, // another port, another server
		{"https://down.test:443/", true},
		{"http://up.test/", false},
		{"http://up.test/", false},
	} {
		_, err := rt.RoundTrip(newRequest(t, t.Context(), test.url))
		if got := errors.Is(err, breaker.ErrOpen); got != test.open {
			t.Errorf("%s: rejected %t, want %t (%v)", test.url, got, test.open, err)
		}
	}
	var ids []string
	for _, s := range set.Status() {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	if want := []string{"http/down.test:443", "http/down.test:80", "http/up.test:80"}; !slices.Equal(ids, want) {
		t.Errorf("keys %q, want %q", ids, want)
	}
}

func TestHost(t *testing.T) {
	for url, want := range map[string]string{
		"http://example.com/":          "example.com:80",
		"https://Example.COM/":         "example.com:443",
		"HTTPS://example.com":          "example.com:443",
		"http://example.com:8080/x":    "example.com:8080",
		"http://example.com:":          "example.com:80",
		"http://user:pw@example.com/":  "example.com:80",
		"http://[2001:DB8::1]/":        "[2001:db8::1]:80",
		"https://[2001:db8::1]:8443/":  "[2001:db8::1]:8443",
		"/relative":                    "",
		"mailto:somebody@example.test": "",
	} {
		req := newRequest(t, t.Context(), url)
		if got := breakerhttp.Host(req); got != want {
			t.Errorf("Host(%s) is %q, want %q", url, got, want)
		}
	}
	if got := breakerhttp.Host(&http.Request{}); got != "" {
		t.Errorf("Host without a URL is %q, want none", got)
	}
}

func TestBreakerByFunction(t *testing.T) {
	writes := breaker.New("writes", breaker.Settings{})
	writes.ForceOpen(breaker.Order{})
	rt := breakerhttp.NewTransport(answers(200), breakerhttp.WithBreakerFunc(func(req *http.Request) *breaker.Breaker {
		if req.Method == http.MethodGet {
			return nil
		}
		return writes
	}))
	if err := get(t, rt); err != nil {
		t.Errorf("an unguarded request got %v", err)
	}
	req := newRequest(t, t.Context(), "http://api.test")
	req.Method = http.MethodPost
	if _, err := rt.RoundTrip(req); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a guarded request got %v, want a rejection", err)
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

func TestOptionsThatMakeNoSense(t *testing.T) {
	ok := http.NotFoundHandler()
	b := breaker.New("api", breaker.Settings{})
	for name, f := range map[string]func(){
		"no breaker": func() { breakerhttp.WithBreaker(nil) },
		"a status that is none": func() {
			breakerhttp.NewTransport(nil, breakerhttp.WithStatus(map[int]breaker.Outcome{5000: breaker.Failure}))
		},
		"rejected on a transport": func() {
			breakerhttp.NewTransport(nil, breakerhttp.WithRejected(func(http.ResponseWriter, *http.Request, error) {}))
		},
		"two breakers on a handler": func() { breakerhttp.NewHandler(ok, b, breakerhttp.WithBreaker(b)) },
		"a handler without one":     func() { breakerhttp.NewHandler(ok, nil) },
		"no handler":                func() { breakerhttp.NewHandler(nil, b) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p, _ := recover().(string); !strings.HasPrefix(p, "breakerhttp: ") {
					t.Errorf("panic %q, want one line that begins with the package", p)
				}
			}()
			f()
		})
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

func TestBodyKeepsItsMethods(t *testing.T) {
	for _, test := range []struct {
		name             string
		body             io.ReadCloser
		writerTo, writer bool
	}{
		{"plain", stream(strings.NewReader("x")), false, false},
		{"WriterTo", io.NopCloser(strings.NewReader("x")), true, false},
		{"a connection", struct {
			io.ReadCloser
			io.Writer
		}{stream(strings.NewReader("x")), io.Discard}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: test.body}, nil
			}), breakerhttp.WithBreaker(b))
			resp, err := rt.RoundTrip(newRequest(t, t.Context(), "http://api.test"))
			if err != nil {
				t.Fatal(err)
			}
			_, writerTo := resp.Body.(io.WriterTo)
			_, writer := resp.Body.(io.Writer)
			if writerTo != test.writerTo || writer != test.writer {
				t.Errorf("WriterTo %t, Writer %t, want %t, %t", writerTo, writer, test.writerTo, test.writer)
			}
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "x" {
				t.Errorf("body %q, %v", got, err)
			}
			if got := seen.String(); got != "1 good, 0 bad" {
				t.Error(got)
			}
		})
	}
}

func TestWriterTo(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	b.HalfOpen(breaker.Order{})
	rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("hello"))}, nil
	}), breakerhttp.WithBreaker(b))
	var got strings.Builder
	resp, err := rt.RoundTrip(newRequest(t, t.Context(), "http://api.test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&got, resp.Body); err != nil || got.String() != "hello" {
		t.Errorf("copied %q, %v", got.String(), err)
	}
	if got := b.State(); got != breaker.Closed {
		t.Errorf("%s after the whole body, want closed", got)
	}
}
