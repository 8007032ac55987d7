package breakerhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

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

// Calls.

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

// A file is uploaded by sendfile, which needs the request's body as it is.
func TestRequestIsHandedOnAsItIs(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "upload"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	req, _ := http.NewRequest(http.MethodPut, "http://api.test", file)
	var got *http.Request
	rt := breakerhttp.NewTransport(tripper(func(r *http.Request) (*http.Response, error) {
		got = r
		return answers(200)(r)
	}))
	if _, err := rt.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if got != req || got.Body != io.ReadCloser(file) {
		t.Error("the transport got another request or body than the caller's")
	}
}
