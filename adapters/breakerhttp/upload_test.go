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
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// unreadable is a body that fails after some text.
func unreadable(err error) io.Reader {
	return io.MultiReader(strings.NewReader("abc"), failingBody{strings.NewReader(""), err})
}

// slowBody goes on after its caller's time is over.
func slowBody(t *testing.T) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "abc")
		time.Sleep(300 * time.Millisecond)
		_ = w.Close()
	}()
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// endless has something to say all the time.
func endless(t *testing.T) io.Reader {
	r, w := io.Pipe()
	go func() {
		for {
			if _, err := io.WriteString(w, "abc"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() { _ = r.Close() })
	return r
}

type badClose struct{ io.Reader }

func (badClose) Close() error { return errors.New("the temporary file is gone") }

// vanish ends the call without an answer.
func vanish(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
		return
	}
	panic(http.ErrAbortHandler) // over HTTP/2
}

// What becomes of a request's body is its caller's doing.
func TestUploads(t *testing.T) {
	errDisk := errors.New("disk gone")
	const none, fails = "0 good, 0 bad", "0 good, 1 bad"
	readAll := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	closedFile := func(t *testing.T) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "upload"))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		return f
	}
	for name, test := range map[string]struct {
		serve   http.HandlerFunc
		body    func(*testing.T) io.Reader
		change  func(*http.Request)
		timeout time.Duration
		want    string
		or      string // where the server may answer first, or HTTP/2 does not mind
	}{
		"cannot be read":    {body: func(*testing.T) io.Reader { return unreadable(errDisk) }, want: none},
		"its source is cut": {body: func(*testing.T) io.Reader { return unreadable(io.ErrUnexpectedEOF) }, want: none},
		"too big": {body: func(*testing.T) io.Reader {
			return http.MaxBytesReader(nil, io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 1000)))), 10)
		}, want: none},
		"encoder fails": {body: func(*testing.T) io.Reader {
			r, w := io.Pipe()
			go func() { _, _ = io.WriteString(w, "abc"); _ = w.CloseWithError(errors.New("encoder failed")) }()
			return r
		}, want: none},
		"file is closed":   {body: func(t *testing.T) io.Reader { return closedFile(t) }, want: none},
		"cannot be closed": {body: func(*testing.T) io.Reader { return badClose{strings.NewReader("abc")} }, want: none, or: "1 good, 0 bad"},
		"shorter than announced": {
			body:   func(*testing.T) io.Reader { return io.MultiReader(strings.NewReader("abc")) },
			change: func(r *http.Request) { r.ContentLength = 10 }, want: none, or: "1 good, 0 bad",
		},
		"longer than announced": {
			body:   func(*testing.T) io.Reader { return io.MultiReader(strings.NewReader("abcdefgh")) },
			change: func(r *http.Request) { r.ContentLength = 2 }, want: none, or: "1 good, 0 bad",
		},
		"in memory, not as announced": {
			body:   func(*testing.T) io.Reader { return strings.NewReader("abc") },
			change: func(r *http.Request) { r.ContentLength = 10 }, want: none, or: "1 good, 0 bad",
		},
		"in memory, longer than announced": {
			body:   func(*testing.T) io.Reader { return strings.NewReader("abcdefgh") },
			change: func(r *http.Request) { r.ContentLength = 2 }, want: none, or: "1 good, 0 bad",
		},
		"announced, but not there": {
			body:   func(*testing.T) io.Reader { return nil },
			change: func(r *http.Request) { r.ContentLength = 10 }, want: none, or: "1 good, 0 bad",
		},
		"caller keeps us waiting":       {body: slowBody, timeout: 100 * time.Millisecond, want: none},
		"server keeps us waiting":       {serve: hang, body: func(*testing.T) io.Reader { return strings.NewReader("abc") }, timeout: 50 * time.Millisecond, want: fails},
		"server keeps a stream waiting": {serve: hang, body: func(*testing.T) io.Reader { return io.MultiReader(strings.NewReader("abc")) }, timeout: 50 * time.Millisecond, want: fails},
		"server dies":                   {serve: vanish, body: endless, want: fails},
		"is fine":                       {body: func(*testing.T) io.Reader { return io.MultiReader(strings.NewReader("abc")) }, want: "1 good, 0 bad"},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", name, http2), func(t *testing.T) {
				if test.serve == nil {
					test.serve = readAll
				}
				s := httptest.NewUnstartedServer(test.serve)
				s.Config.ErrorLog = quiet
				if s.EnableHTTP2 = http2; http2 {
					s.StartTLS()
				} else {
					s.Start()
				}
				defer s.Close()
				defer s.CloseClientConnections()
				if test.timeout > 0 && test.want == none { // not for the connection, which is made here
					resp, err := s.Client().Post(s.URL, "text/plain", nil)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
				}
				var seen outcomes
				b := breaker.New("up", breaker.Settings{}, breaker.WithListener(seen.listener()))
				for _, state := range []breaker.State{breaker.Closed, breaker.HalfOpen} {
					if state == breaker.HalfOpen {
						b.HalfOpen(breaker.Order{})
					}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					if test.timeout > 0 {
						ctx, cancel = context.WithTimeout(t.Context(), test.timeout)
						defer cancel()
					}
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, test.body(t))
					if err != nil {
						t.Fatal(err)
					}
					if test.change != nil {
						test.change(req)
					}
					rt := breakerhttp.NewTransport(s.Client().Transport, breakerhttp.WithBreaker(b))
					resp, err := rt.RoundTrip(req)
					if err == nil {
						if !http2 && resp.Request != req {
							t.Error("the answer is not to the caller's request")
						}
						_, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
					got := seen.String()
					switch {
					case got == test.or && test.or != "", state == breaker.Closed && got == test.want:
					case state == breaker.Closed:
						t.Errorf("%s after %v, want %s", got, err, test.want)
					case test.or != "": // the probe may have been answered as well
					case test.want == none && b.State() != breaker.HalfOpen:
						t.Errorf("a probe that ended with %v left the breaker %v, want half-open", err, b.State())
					case test.want == fails && b.State() != breaker.Open:
						t.Errorf("a probe that ended with %v left the breaker %v, want open", err, b.State())
					}
				}
			})
		}
	}
}

// A body that is sent a second time is watched the second time too.
func TestSecondUpload(t *testing.T) {
	b := breaker.New("up", breaker.Settings{FailMax: 1})
	rt := breakerhttp.NewTransport(tripper(func(r *http.Request) (*http.Response, error) {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		_, err = io.ReadAll(body)
		return nil, err
	}), breakerhttp.WithBreaker(b))
	for name, again := range map[string]func() (io.ReadCloser, error){
		"cannot be read":   func() (io.ReadCloser, error) { return io.NopCloser(unreadable(io.ErrUnexpectedEOF)), nil },
		"cannot be opened": func() (io.ReadCloser, error) { return nil, os.ErrNotExist },
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test", io.MultiReader(strings.NewReader("abc")))
		req.GetBody = again
		if _, err := rt.RoundTrip(req); err == nil {
			t.Errorf("%s: no error came", name)
		}
		if b.State() != breaker.Closed {
			t.Fatalf("%s: the breaker is %v", name, b.State())
		}
	}
}

// Clients of a proxy cannot open the breaker of its upstream.
func TestProxiedUploads(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer up.Close()
	to, _ := url.Parse(up.URL)
	b := breaker.New("up", breaker.Settings{FailMax: 1})
	done := make(chan error, 1)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = breakerhttp.NewTransport(&http.Transport{}, breakerhttp.WithBreaker(b))
	proxy.ErrorHandler = breakerhttp.ErrorHandler(func(w http.ResponseWriter, _ *http.Request, err error) {
		done <- err
		w.WriteHeader(http.StatusBadGateway)
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 10)
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()

	t.Run("too big", func(t *testing.T) {
		resp, err := http.Post(front.URL, "text/plain", io.MultiReader(bytes.NewReader(make([]byte, 1000))))
		if err == nil {
			_ = resp.Body.Close()
		}
		var tooBig *http.MaxBytesError
		if err := <-done; !errors.As(err, &tooBig) || b.State() != breaker.Closed {
			t.Errorf("got %v, and the breaker is %v", err, b.State())
		}
	})
	t.Run("client that hangs up", func(t *testing.T) {
		conn, err := net.Dial("tcp", front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
		_ = conn.Close()
		if err := <-done; b.State() != breaker.Closed {
			t.Errorf("after %v the breaker is %v", err, b.State())
		}
	})
}

// Nor does a client that sends half a body and no more, until the upstream no
// longer waits for it.
func TestStalledUploads(t *testing.T) {
	type test struct {
		name  string
		serve func(w http.ResponseWriter, err error)
		http2 bool
	}
	fails := func(w http.ResponseWriter, _ error) { w.WriteHeader(http.StatusInternalServerError) }
	hangsUp := func(w http.ResponseWriter, _ error) { vanish(w, nil) }
	for _, test := range []test{{"fails", fails, false}, {"fails", fails, true}, {"hangs up", hangsUp, false}, {"hangs up", hangsUp, true}} {
		t.Run(fmt.Sprintf("%s, HTTP/2 %v", test.name, test.http2), func(t *testing.T) {
			t.Parallel()
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
				_, err := io.Copy(io.Discard, r.Body)
				test.serve(w, err)
			}))
			s.Config.ErrorLog, s.EnableHTTP2 = quiet, test.http2
			if s.StartTLS(); !test.http2 {
				s.Client().Transport.(*http.Transport).ForceAttemptHTTP2 = false
			}
			defer s.Close()
			b := breaker.New("up", breaker.Settings{FailMax: 1})
			b.HalfOpen(breaker.Order{})
			body, half := io.Pipe()
			defer half.Close()
			go func() {
				_, _ = io.WriteString(half, "abc")
				time.Sleep(2500 * time.Millisecond)
				_, _ = io.WriteString(half, "def") // net/http waits for this, over HTTP/1
			}()
			rt := breakerhttp.NewTransport(s.Client().Transport, breakerhttp.WithBreaker(b))
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, body)
			resp, err := rt.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if b.State() != breaker.HalfOpen {
				t.Errorf("after %v the breaker is %v", err, b.State())
			}
		})
	}
}

// What an upload that waits excuses: only what happens before the answer begins,
// and only if it has waited for most of the call.
func TestUploadsThatWait(t *testing.T) {
	refused := errors.New("connection reset by peer")
	for name, test := range map[string]struct {
		waits time.Duration // before the body's second half
		after time.Duration // until the server's end
		head  bool          // an answer has begun
		want  string
	}{
		"waits for most of the call": {waits: time.Hour, after: 30 * time.Second, want: "0 good, 0 bad"},
		"waits a little":             {waits: time.Hour, after: 900 * time.Millisecond, want: "0 good, 1 bad"},
		"goes on":                    {waits: 25 * time.Second, after: 30 * time.Second, want: "0 good, 1 bad"},
		"both sides wait":            {waits: time.Hour, after: 30 * time.Second, head: true, want: "0 good, 1 bad"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen outcomes
				b := breaker.New("up", breaker.Settings{}, breaker.WithListener(seen.listener()))
				rt := breakerhttp.NewTransport(tripper(func(r *http.Request) (*http.Response, error) {
					go func() { _, _ = io.Copy(io.Discard, r.Body) }()
					breaks := func() error { time.Sleep(test.after); _ = r.Body.Close(); return refused }
					if test.head {
						return &http.Response{StatusCode: 200, Body: stream(readFunc(breaks))}, nil
					}
					return nil, breaks()
				}), breakerhttp.WithBreaker(b))
				body, half := io.Pipe()
				done := make(chan struct{})
				defer func() { <-done }()
				go func() {
					defer close(done)
					_, _ = io.WriteString(half, "abc")
					time.Sleep(test.waits)
					_, _ = io.WriteString(half, "def")
					time.Sleep(time.Hour)
					_ = half.Close()
				}()
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test", body)
				if resp, err := rt.RoundTrip(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				if got := seen.String(); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// readFunc is a reader that fails.
type readFunc func() error

func (f readFunc) Read([]byte) (int, error) { return 0, f() }

// A handler that fails because its client's request could not be read has met
// no failure of what is behind it.
func TestUploadsToAHandler(t *testing.T) {
	b := breaker.New("page", breaker.Settings{FailMax: 1})
	ended := make(chan error, 1)
	h := breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		ended <- err
	}), b)
	s := httptest.NewServer(h)
	defer s.Close()
	for name, request := range map[string]string{
		"hangs up":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"broken chunks": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nabc",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request)
		_ = conn.Close()
		if err := <-ended; err == nil {
			t.Errorf("%s: the handler read it all", name)
		}
		s.CloseClientConnections()
		if b.State() != breaker.Closed {
			t.Errorf("%s: the breaker is %v", name, b.State())
		}
	}
}
