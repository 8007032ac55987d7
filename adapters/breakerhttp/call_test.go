package breakerhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// The field's adapters let a dead server, a 503 and a 500 pass for ever, and
// open on callers who cancel (field notes 4.11, 4.12).
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
		{"cancelled, told otherwise", cancellable, func(cancel context.CancelFunc) error { cancel(); return errors.New("net/http: request canceled") }, "0 good, 0 bad"},
		{"cancelled with a cause", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			return ctx, func() { cancel(errGone) }
		}, func(cancel context.CancelFunc) error { cancel(); return errGone }, "0 good, 0 bad"},
		{"cancelled by somebody else", background, func(context.CancelFunc) error { return context.Canceled }, "0 good, 1 bad"},
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
		{"cancelled, told otherwise", errReset, func(b io.ReadCloser, cancel context.CancelFunc) { cancel(); readAll(b, nil) }, "0 good, 0 bad"},
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

// A transport that panics, exits the goroutine or returns nothing is a mistake of
// the program: no evidence, and a probe's place is free again.
func TestPanicsAreNoEvidence(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":   func() { panic("bug") },
		"Goexit":  runtime.Goexit,
		"nothing": func() {},
	} {
		t.Run(name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{FailMax: 1}, breaker.WithListener(seen.listener()))
			b.HalfOpen(breaker.Order{})
			rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) { end(); return nil, nil }),
				breakerhttp.WithBreaker(b), breakerhttp.WithErrors(func(error) breaker.Outcome { return breaker.Failure }))
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
			if got := seen.String(); got != "0 good, 0 bad" || b.State() != breaker.HalfOpen {
				t.Errorf("%s, and the breaker is %s; want no evidence, and half-open", got, b.State())
			}
			if _, err := b.Allow(); err != nil {
				t.Errorf("the probe's place is lost: %v", err)
			}
		})
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

// A deadline that passes between two reads of the answer is the reader's doing.
// One that passes while the body keeps a reader waiting is not.
func TestDeadlineOfAReader(t *testing.T) {
	for name, test := range map[string]struct {
		reader time.Duration // what it does between two Reads
		hangs  bool          // the rest of the body does not come
		want   string
	}{
		"in time":          {0, false, "1 good, 0 bad"},
		"the reader waits": {time.Hour, false, "0 good, 0 bad"},
		"the body waits":   {0, true, "0 good, 1 bad"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen outcomes
				b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
				rt := breakerhttp.NewTransport(tripper(func(r *http.Request) (*http.Response, error) {
					rest := readFunc(func() error {
						if test.hangs {
							<-r.Context().Done()
						}
						if err := r.Context().Err(); err != nil {
							return err
						}
						return io.EOF
					})
					return &http.Response{StatusCode: 200, Body: stream(io.MultiReader(strings.NewReader("hello"), rest))}, nil
				}), breakerhttp.WithBreaker(b))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				resp, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test"))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = resp.Body.Read(make([]byte, 10))
				time.Sleep(test.reader)
				_, _ = io.Copy(io.Discard, resp.Body)
				if got := seen.String(); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// A situation is a piece of net/http's behaviour. It says what its client saw,
// and must see the same with the breaker as without it.
type situation struct {
	name  string
	http2 bool
	serve http.HandlerFunc
	call  func(t *testing.T, s *server, c *http.Client) string
	want  string // the outcomes that the breaker counts
}

var errCause = errors.New("the user closed the page")

func TestClientSituations(t *testing.T) {
	hello := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }
	for _, test := range []situation{
		{"get", false, hello, fetch("GET", ""), "1 good, 0 bad"},
		{"get over HTTP/2", true, hello, fetch("GET", ""), "1 good, 0 bad"},
		{"head", false, hello, fetch("HEAD", ""), "1 good, 0 bad"},
		{"post", false, echo, fetch("POST", "some text"), "1 good, 0 bad"},
		{"post over HTTP/2", true, echo, fetch("POST", "some text"), "1 good, 0 bad"},
		{"no content", false, status(204), fetch("GET", ""), "1 good, 0 bad"},
		{"not modified", false, status(304), fetch("GET", ""), "1 good, 0 bad"},
		{"not found", false, status(404), fetch("GET", ""), "1 good, 0 bad"},
		{"server error", false, status(500), fetch("GET", ""), "0 good, 1 bad"},
		{"server error over HTTP/2", true, status(503), fetch("GET", ""), "0 good, 1 bad"},
		{"content length and header", false, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header()["X-Two"] = []string{"a", "b"}
			hello(w, r)
		}, fetch("GET", ""), "1 good, 0 bad"},
		{"an upload of unknown length", false, echo, streamUp, "1 good, 0 bad"},
		{"an upload of unknown length over HTTP/2", true, echo, streamUp, "1 good, 0 bad"},
		{"an answer that streams", false, drip, readDrip, "1 good, 0 bad"},
		{"an answer that streams over HTTP/2", true, drip, readDrip, "1 good, 0 bad"},
		{"both ways at once over HTTP/2", true, pingPong, duplex, "1 good, 0 bad"},
		{"trailers", false, trailers, readTrailers, "1 good, 0 bad"},
		{"trailers over HTTP/2", true, trailers, readTrailers, "1 good, 0 bad"},
		{"100-continue", false, echo, expectContinue, "1 good, 0 bad"},
		{"100-continue, refused", false, status(417), expectContinue, "1 good, 0 bad"},
		{"early hints", false, earlyHints, readHints, "1 good, 0 bad"},
		{"gzip", false, zipped, fetch("GET", ""), "1 good, 0 bad"},
		{"gzip that breaks", false, brokenZip, fetch("GET", ""), "0 good, 1 bad"},
		{"redirects", false, redirects, fetch("GET", ""), "3 good, 0 bad"},
		{"redirects that repeat the body", false, redirects307, fetch("POST", "again and again"), "2 good, 0 bad"},
		{"redirects without end", false, loop, fetch("GET", ""), "10 good, 0 bad"},
		{"an upgrade", false, upgrade, useUpgrade, "1 good, 0 bad"},
		{"connection refused", false, hello, refused, "0 good, 1 bad"},
		{"no such host name", false, hello, badTLS, "0 good, 1 bad"},
		{"the server dies before the head", false, dies(""), fetch("GET", ""), "0 good, 1 bad"},
		{"the server dies in the head", false, dies("HTTP/1.1 200 OK\r\nContent-Le"), fetch("GET", ""), "0 good, 1 bad"},
		{"the server dies in the body", false, dies("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of"), fetch("GET", ""), "0 good, 1 bad"},
		{"the server dies in a chunk", false, dies("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf of"), fetch("GET", ""), "0 good, 1 bad"},
		{"the handler aborts in the body over HTTP/2", true, aborts, fetch("GET", ""), "0 good, 1 bad"},
		{"nonsense", false, dies("SMTP 220 hello\r\n\r\n"), fetch("GET", ""), "0 good, 1 bad"},
		{"cancelled before the head", false, hang, cancelBeforeHead, "0 good, 0 bad"},
		{"cancelled before the head over HTTP/2", true, hang, cancelBeforeHead, "0 good, 0 bad"},
		{"cancelled in the body", false, drip, cancelInBody, "0 good, 0 bad"},
		{"cancelled in the body over HTTP/2", true, drip, cancelInBody, "0 good, 0 bad"},
		{"cancelled the old way", false, hang, cancelOld, "0 good, 0 bad"},
		{"deadline before the head", false, hang, deadline(hang), "0 good, 1 bad"},
		{"deadline in the body", false, drip, deadline(drip), "0 good, 1 bad"},
		{"the client's timeout before the head", false, hang, timeout, "0 good, 1 bad"},
		{"the client's timeout before the head over HTTP/2", true, hang, timeout, "0 good, 1 bad"},
		{"the client's timeout in the body", false, drip, timeout, "0 good, 1 bad"},
		{"closed in the body", false, drip, closeInBody, "1 good, 0 bad"},
		{"closed in the body over HTTP/2", true, drip, closeInBody, "1 good, 0 bad"},
		{"behind a reverse proxy", false, echo, proxied, "1 good, 0 bad"},
		{"a request to nowhere", false, hello, func(t *testing.T, s *server, c *http.Client) string {
			return describe(c.Get("http:///path"))
		}, "0 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bare, _ := play(t, test, false)
			guarded, received := play(t, test, true)
			if guarded != bare {
				t.Errorf("guarded: %s\nbare:    %s", guarded, bare)
			}
			if got := received.String(); got != test.want {
				t.Errorf("the breaker was given %s, want %s; %q", got, test.want, received.errs)
			}
		})
	}
}

// play runs a situation on a server of its own.
func play(t *testing.T, test situation, guard bool) (transcript string, received *outcomes) {
	s := &server{seen: make(chan string, 100)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		test.serve(w, r.WithContext(context.WithValue(r.Context(), serverKey{}, s)))
	}))
	s.Config.ErrorLog = quiet
	s.EnableHTTP2 = test.http2
	if test.http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	defer s.CloseClientConnections()
	received = &outcomes{}
	base := s.transport()
	base.ExpectContinueTimeout = 10 * time.Second
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: base}
	if guard {
		b := breaker.New("api", breaker.Settings{FailMax: -1}, breaker.WithListener(received.listener()))
		client.Transport = breakerhttp.NewTransport(base, breakerhttp.WithBreaker(b))
	}
	transcript = test.call(t, s, client)
	for _, secret := range []string{s.URL, strings.TrimPrefix(s.URL, "http://"), strings.TrimPrefix(s.URL, "https://")} {
		transcript = strings.ReplaceAll(transcript, secret, "SERVER")
	}
	return transcript, received
}

func fetch(method, body string) func(*testing.T, *server, *http.Client) string {
	return func(t *testing.T, s *server, c *http.Client) string {
		var r io.Reader
		if body != "" {
			r = strings.NewReader(body)
		}
		req, err := http.NewRequest("GET", s.URL, r)
		if err != nil {
			t.Fatal(err)
		}
		req.Method = method
		return describe(c.Do(req))
	}
}

func streamUp(t *testing.T, s *server, c *http.Client) string {
	r, w := io.Pipe()
	go func() {
		for i := range 3 {
			fmt.Fprintf(w, "part %d;", i)
		}
		w.Close()
	}()
	return describe(c.Post(s.URL, "text/plain", r))
}

func readDrip(t *testing.T, s *server, c *http.Client) string {
	return describe(c.Get(s.URL + "/end"))
}

func duplex(t *testing.T, s *server, c *http.Client) string {
	r, w := io.Pipe()
	resp, err := c.Post(s.URL, "text/plain", r)
	if err != nil {
		return describe(nil, err)
	}
	lines := bufio.NewReader(resp.Body)
	said := ""
	for _, word := range []string{"ping", "pong"} {
		fmt.Fprintln(w, word)
		line, err := lines.ReadString('\n')
		said += fmt.Sprint(line, err)
	}
	w.Close()
	return said + describe(resp, nil)
}

func readTrailers(t *testing.T, s *server, c *http.Client) string {
	resp, err := c.Get(s.URL)
	if err != nil {
		return describe(nil, err)
	}
	return fmt.Sprint(resp.Trailer) + describe(resp, nil)
}

func expectContinue(t *testing.T, s *server, c *http.Client) string {
	said := ""
	upload := &noted{Reader: strings.NewReader("body"), said: &said}
	req, _ := http.NewRequest("POST", s.URL, upload)
	req.Header.Set("Expect", "100-continue")
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got100Continue: func() { said += "continue;" },
	}))
	said += describe(c.Do(req))
	return said
}

// noted notes the first time that it is read.
type noted struct {
	io.Reader
	said *string
	done bool
}

func (n *noted) Read(p []byte) (int, error) {
	if !n.done {
		n.done = true
		*n.said += "body;"
	}
	return n.Reader.Read(p)
}

func readHints(t *testing.T, s *server, c *http.Client) string {
	said := ""
	req, _ := http.NewRequest("GET", s.URL, nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error { said += fmt.Sprint(code, header); return nil },
	}))
	return describe(c.Do(req)) + said
}

func useUpgrade(t *testing.T, s *server, c *http.Client) string {
	req, _ := http.NewRequest("GET", s.URL, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "chat")
	resp, err := c.Do(req)
	if err != nil {
		return describe(nil, err)
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return "the body of a 101 cannot be written to"
	}
	fmt.Fprintln(conn, "hello")
	return describe(resp, nil)
}

func refused(t *testing.T, s *server, c *http.Client) string {
	s.Close()
	return describe(c.Get(s.URL))
}

func badTLS(t *testing.T, s *server, c *http.Client) string {
	return describe(c.Get(strings.Replace(s.URL, "http:", "https:", 1)))
}

func cancelBeforeHead(t *testing.T, s *server, c *http.Client) string {
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-s.seen
		cancel(errCause)
	}()
	resp, err := c.Do(newRequest(t, ctx, s.URL))
	return describe(resp, err) + fmt.Sprint(errors.Is(err, errCause))
}

func cancelInBody(t *testing.T, s *server, c *http.Client) string {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	resp, err := c.Do(newRequest(t, ctx, s.URL))
	if err != nil {
		return describe(nil, err)
	}
	resp.Body.Read(make([]byte, 6))
	cancel(errCause)
	return describe(resp, nil)
}

func cancelOld(t *testing.T, s *server, c *http.Client) string {
	req := newRequest(t, t.Context(), s.URL)
	stop := make(chan struct{})
	req.Cancel = stop //nolint:staticcheck // the old way is what is tested
	go func() {
		<-s.seen
		close(stop)
	}()
	return describe(c.Do(req))
}

func deadline(http.HandlerFunc) func(*testing.T, *server, *http.Client) string {
	return func(t *testing.T, s *server, c *http.Client) string {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return describe(c.Do(newRequest(t, ctx, s.URL)))
	}
}

func timeout(t *testing.T, s *server, c *http.Client) string {
	c.Timeout = 100 * time.Millisecond
	return describe(c.Get(s.URL))
}

func closeInBody(t *testing.T, s *server, c *http.Client) string {
	resp, err := c.Get(s.URL)
	if err != nil {
		return describe(nil, err)
	}
	n, err := resp.Body.Read(make([]byte, 6))
	return fmt.Sprint(n, err, resp.Body.Close()) + describe(resp, nil)
}

func proxied(t *testing.T, s *server, c *http.Client) string {
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: c.Transport,
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	return describe(front.Client().Post(front.URL, "text/plain", strings.NewReader("through")))
}
