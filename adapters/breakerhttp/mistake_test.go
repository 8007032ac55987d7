package breakerhttp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// What net/http refuses to send is the program's mistake.
func TestRequestsThatAreNotSent(t *testing.T) {
	small := httptest.NewUnstartedServer(http.NotFoundHandler())
	small.EnableHTTP2, small.Config.MaxHeaderBytes = true, 1000
	small.StartTLS()
	defer small.Close()
	if resp, err := small.Client().Get(small.URL); err == nil { // learns what the server takes
		_ = resp.Body.Close()
	}
	proxy := httptest.NewServer(http.NotFoundHandler())
	defer proxy.Close()
	closed := httptest.NewServer(status(407))
	defer closed.Close()
	behind := func(proxy *httptest.Server) *http.Transport {
		return &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}
	}
	for name, test := range map[string]struct {
		url    string
		change func(*http.Request)
		base   http.RoundTripper
	}{
		"header value":       {change: func(r *http.Request) { r.Header["X-Bad"] = []string{"a\nb"} }},
		"header name":        {change: func(r *http.Request) { r.Header["X Bad"] = []string{"a"} }},
		"header name, empty": {change: func(r *http.Request) { r.Header[""] = []string{"a"} }},
		"no header":          {change: func(r *http.Request) { r.Header = nil }},
		"trailer":            {change: func(r *http.Request) { r.Trailer = http.Header{"X-Bad": {"a\x00"}} }},
		"trailer that is none": {change: func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", stream(strings.NewReader("abc")), -1
			r.Trailer = http.Header{"Content-Length": {"1"}}
		}},
		"method":                       {change: func(r *http.Request) { r.Method = "GE T" }},
		"host":                         {base: behind(proxy), url: "http://api.test", change: func(r *http.Request) { r.Host = "api test" }},
		"host, HTTP/2":                 {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) { r.Host = "api test" }},
		"path, HTTP/2":                 {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) { r.URL.Opaque = "api" }},
		"port":                         {url: "http://127.0.0.1:99999/"},
		"cookie":                       {change: func(r *http.Request) { r.Header["Cookie"] = []string{"a=b\x00"} }},
		"scheme":                       {url: "ftp://127.0.0.1:1/"},
		"no scheme":                    {change: func(r *http.Request) { r.URL.Scheme = "" }},
		"path":                         {change: func(r *http.Request) { r.URL.Opaque = "/a\nb" }},
		"proxy":                        {base: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy for this host") }}},
		"proxy that wants credentials": {base: behind(closed), url: "https://api.test"},
		"no file descriptor": {base: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		}}},
		"trailer that is none, HTTP/2": {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", stream(strings.NewReader("abc")), -1
			r.Trailer = http.Header{"Content-Length": {"1"}}
		}},
		"too many headers, HTTP/2":  {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) { r.Header.Set("X-Big", strings.Repeat("x", 1<<20)) }},
		"upgrade, HTTP/2":           {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }},
		"connection, HTTP/2":        {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) { r.Header.Set("Connection", "upgrade") }},
		"transfer encoding, HTTP/2": {url: small.URL, base: small.Client().Transport, change: func(r *http.Request) { r.Header.Set("Transfer-Encoding", "gzip") }},
	} {
		t.Run(name, func(t *testing.T) {
			if test.url == "" {
				test.url = small.URL
			}
			if test.base == nil {
				test.base = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			}
			b := breaker.New("api", breaker.Settings{FailMax: 1})
			b.HalfOpen(breaker.Order{})
			req := newRequest(t, t.Context(), test.url)
			if test.change != nil {
				test.change(req)
			}
			resp, err := breakerhttp.NewTransport(test.base, breakerhttp.WithBreaker(b)).RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatal("it was sent")
			}
			if b.State() != breaker.HalfOpen {
				t.Errorf("after %v the breaker is %v", err, b.State())
			}
		})
	}
}

// An answer beyond the program's own limit was refused, not failed.
func TestHeadersBeyondALimit(t *testing.T) {
	for name, test := range map[string]struct {
		http2 bool
		limit int64
		want  string
	}{
		"HTTP/1":               {false, 1000, "0 good, 0 bad"},
		"HTTP/1, in the limit": {false, 100000, "1 good, 0 bad"},
		"HTTP/2":               {true, 1000, "0 good, 0 bad"},
		"HTTP/2, in the limit": {true, 100000, "1 good, 0 bad"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for i := range 40 { // HTTP/2 tells one field that is too large by a broken connection
					w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 50))
				}
			}))
			server.EnableHTTP2 = test.http2
			server.StartTLS()
			defer server.Close()
			base := server.Client().Transport.(*http.Transport)
			base.MaxResponseHeaderBytes = test.limit
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			resp, err := breakerhttp.NewTransport(base, breakerhttp.WithBreaker(b)).RoundTrip(newRequest(t, t.Context(), server.URL))
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if got := seen.String(); got != test.want {
				t.Errorf("%v: %s, want %s", err, got, test.want)
			}
		})
	}
}

// A valid request that fails is not excused for what it looks like.
func TestOddRequestsThatFail(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	base := &http.Transport{}
	base.RegisterProtocol("s3", failsWith(errors.New("no bucket")))
	rt := breakerhttp.NewTransport(base, breakerhttp.WithBreaker(b))
	for i, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("X-Tab", "a\tb") },
		func(r *http.Request) { r.Header.Set("X-Odd", "ключ") },
		func(r *http.Request) { r.Header["x-lower!#"] = []string{""} },
		func(r *http.Request) { r.Header.Set("Connection", "upgrade"); r.Header.Set("Upgrade", "websocket") },
		func(r *http.Request) { r.URL.Scheme = "s3" },
	} {
		req := newRequest(t, t.Context(), "http://127.0.0.1:1/")
		change(req)
		if _, err := rt.RoundTrip(req); err == nil {
			t.Fatal("no answer")
		}
		if got := b.FailCount(); got != i+1 && b.State() == breaker.Closed {
			t.Errorf("request %d: %d failures are on record", i, got)
		}
	}
}

func TestWithErrors(t *testing.T) {
	noHost := &net.DNSError{Err: "no such host", Name: "api.test", IsNotFound: true}
	judge := func(err error) breaker.Outcome {
		var dns *net.DNSError
		switch {
		case errors.As(err, &dns) && dns.IsNotFound:
			return breaker.Ignored
		case errors.Is(err, errCause):
			return breaker.Success
		}
		return breaker.Failure
	}
	for _, test := range []struct {
		base http.RoundTripper
		want string
	}{
		{failsWith(noHost), "0 good, 0 bad"},
		{failsWith(errCause), "1 good, 0 bad"},
		{failsWith(errors.New("refused")), "0 good, 1 bad"},
		{tripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: failingBody{strings.NewReader(""), errCause}}, nil
		}), "1 good, 0 bad"},
		{tripper(func(*http.Request) (*http.Response, error) { return nil, nil }), "0 good, 0 bad"},
		{answers(500), "0 good, 1 bad"},
	} {
		var seen outcomes
		b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
		_ = get2(breakerhttp.NewTransport(test.base, breakerhttp.WithBreaker(b), breakerhttp.WithErrors(judge)))
		if got := seen.String(); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

// get2 is get for a transport that may give neither an answer nor an error.
func get2(rt http.RoundTripper) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://api.test/", nil)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil || resp == nil {
		return err
	}
	_, err = resp.Body.Read(make([]byte, 1))
	_ = resp.Body.Close()
	return err
}

func TestErrorHandler(t *testing.T) {
	forced := breaker.New("up", breaker.Settings{ResetTimeout: 20e9})
	forced.ForceOpen(breaker.Order{Reason: "secret"})
	open := breaker.New("up", breaker.Settings{ResetTimeout: 30e9})
	open.Open(breaker.Order{Reason: "secret"})
	own := breaker.New("up", breaker.Settings{}, breaker.WithOpenError(func(e *breaker.OpenError) error { return breaker.ErrOpen }))
	own.Open(breaker.Order{})
	rejects := func(b *breaker.Breaker) error {
		_, err := breakerhttp.NewTransport(answers(200), breakerhttp.WithBreaker(b)).RoundTrip(newRequest(t, t.Context(), "http://api.test"))
		return &url.Error{Op: "Get", URL: "http://api.test", Err: err} // as a client wraps it
	}
	teapot := func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusTeapot) }
	for name, test := range map[string]struct {
		err   error
		next  func(http.ResponseWriter, *http.Request, error)
		code  int
		after string
	}{
		"open":        {rejects(open), teapot, 503, "30"},
		"forced open": {rejects(forced), nil, 503, "20"},
		"own error":   {rejects(own), nil, 503, "1"},
		"next":        {errors.New("refused"), teapot, 418, ""},
		"no next":     {errors.New("refused"), nil, 502, ""},
	} {
		w := httptest.NewRecorder()
		breakerhttp.ErrorHandler(test.next)(w, httptest.NewRequest("GET", "/", nil), test.err)
		if w.Code != test.code || w.Header().Get("Retry-After") != test.after || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d, Retry-After %q, %q; want %d, %q", name, w.Code, w.Header().Get("Retry-After"), w.Body, test.code, test.after)
		}
	}
}
