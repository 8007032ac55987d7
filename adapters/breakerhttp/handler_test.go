package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestOutcomeOfHandlers(t *testing.T) {
	gone := func(w http.ResponseWriter, r *http.Request) { r.Context().Value(cancelKey{}).(context.CancelFunc)() }
	for _, test := range []struct {
		name  string
		serve http.HandlerFunc
		opts  []breakerhttp.Option
		want  string
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request) {}, nil, "1 good, 0 bad"},
		{"written", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }, nil, "1 good, 0 bad"},
		{"404", status(404), nil, "1 good, 0 bad"},
		{"429 is the handler's own", status(429), nil, "1 good, 0 bad"},
		{"500", status(500), nil, "0 good, 1 bad"},
		{"503", status(503), nil, "0 good, 1 bad"},
		{"1xx, then 500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(500) }, nil, "0 good, 1 bad"},
		{"200, then 500", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(500) }, nil, "1 good, 0 bad"},
		{"a table of its own", status(429), []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{429: breaker.Failure})}, "0 good, 1 bad"},
		{"ignored", status(500), []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{500: breaker.Ignored})}, "0 good, 0 bad"},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("bug") }, nil, "0 good, 1 bad"},
		{"abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, "0 good, 1 bad"},
		{"Goexit", func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, nil, "0 good, 1 bad"},
		{"the client is gone, 500", func(w http.ResponseWriter, r *http.Request) { gone(w, r); w.WriteHeader(500) }, nil, "0 good, 0 bad"},
		{"the client is gone, abort", func(w http.ResponseWriter, r *http.Request) { gone(w, r); panic(http.ErrAbortHandler) }, nil, "0 good, 0 bad"},
		{"the client is gone, 200", func(w http.ResponseWriter, r *http.Request) { gone(w, r); w.WriteHeader(200) }, nil, "1 good, 0 bad"},
		{"events, then abort", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: x\n\n")
			panic(http.ErrAbortHandler)
		}, nil, "1 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("page", breaker.Settings{}, breaker.WithListener(seen.listener()))
			h := breakerhttp.NewHandler(test.serve, b, test.opts...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ctx = context.WithValue(ctx, cancelKey{}, cancel)
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recover() }()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
			}()
			<-done
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

type cancelKey struct{}

func TestPanicGoesOn(t *testing.T) {
	h := breakerhttp.NewHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		breaker.New("page", breaker.Settings{}))
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("recovered %v, want the handler's panic as it was", got)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func TestRejectedByTheHandler(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*breaker.Breaker)
		want string
	}{
		{"open", func(b *breaker.Breaker) { b.Open(breaker.Order{}) }, "30"},
		{"forced for a while", func(b *breaker.Breaker) { b.ForceOpen(breaker.Order{For: 90*time.Second + 1}) }, "91"},
		{"forced until released", func(b *breaker.Breaker) { b.ForceOpen(breaker.Order{}) }, "30"},
		{"half-open, probe out", func(b *breaker.Breaker) { b.HalfOpen(breaker.Order{}); b.Allow() }, "30"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("secret-db", breaker.Settings{ResetTimeout: 30 * time.Second})
				h := breakerhttp.NewHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					t.Error("a rejected request reached the handler")
				}), b)
				test.do(b)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if got := w.Header().Get("Retry-After"); w.Code != 503 || got != test.want {
					t.Errorf("%d, Retry-After %q, want 503 and %q", w.Code, got, test.want)
				}
				if strings.Contains(w.Body.String(), "secret-db") {
					t.Errorf("the answer tells a stranger about the inside: %q", w.Body)
				}
			})
		})
	}
}

func TestRejectedInItsOwnWay(t *testing.T) {
	b := breaker.New("page", breaker.Settings{})
	b.Open(breaker.Order{})
	h := breakerhttp.NewHandler(http.NotFoundHandler(), b, breakerhttp.WithRejected(func(w http.ResponseWriter, _ *http.Request, err error) {
		if !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("error %v, want one that matches ErrOpen", err)
		}
		io.WriteString(w, "from the cache")
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || w.Body.String() != "from the cache" {
		t.Errorf("%d %q, want the program's own answer", w.Code, w.Body)
	}
}

func TestRetryAfterOfAHandlerLengthensTheOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("page", breaker.Settings{FailMax: 1, ResetTimeout: 10 * time.Second})
		h := breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "25")
			w.WriteHeader(503)
		}), b)
		for range 2 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if got := w.Header().Get("Retry-After"); got != "25" {
				t.Errorf("Retry-After %q, want 25", got)
			}
		}
	})
}

func TestSlowHandlersAreMeasuredToTheHead(t *testing.T) {
	for name, test := range map[string]struct {
		before, after time.Duration
		want          breaker.State
	}{
		"slow to answer": {3 * time.Second, 0, breaker.Open},
		"long answer":    {0, time.Hour, breaker.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New("page", breaker.Settings{SlowCall: 2 * time.Second, SlowRate: 1, MinCalls: 1})
				h := breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(test.before)
					io.WriteString(w, "x")
					time.Sleep(test.after)
				}), b)
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				if got := b.State(); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// What a handler finds in its http.ResponseWriter is what the server put
// there.
func TestWriterKeepsItsInterfaces(t *testing.T) {
	interfaces := func(w http.ResponseWriter) string {
		_, flusher := w.(http.Flusher)
		_, flushError := w.(interface{ FlushError() error })
		_, hijacker := w.(http.Hijacker)
		_, pusher := w.(http.Pusher)
		_, readerFrom := w.(io.ReaderFrom)
		_, stringWriter := w.(io.StringWriter)
		c := http.NewResponseController(w)
		return fmt.Sprint("flusher ", flusher, ", flushError ", flushError, ", hijacker ", hijacker, ", pusher ", pusher,
			", readerFrom ", readerFrom, ", stringWriter ", stringWriter,
			", deadlines ", c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}),
			", duplex ", c.EnableFullDuplex(), ", flush ", c.Flush())
	}
	for _, http2 := range []bool{false, true} {
		var got []string
		for _, guard := range []bool{false, true} {
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { got = append(got, interfaces(w)) })
			if guard {
				h = breakerhttp.NewHandler(h, breaker.New("page", breaker.Settings{}))
			}
			s := httptest.NewUnstartedServer(h)
			s.EnableHTTP2 = http2
			s.StartTLS()
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			s.Close()
		}
		if got[0] != got[1] {
			t.Errorf("HTTP/2 %t\nbare:    %s\nguarded: %s", http2, got[0], got[1])
		}
	}
	bare := struct{ http.ResponseWriter }{httptest.NewRecorder()}
	breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := w.(http.Flusher); ok {
			t.Error("a writer that cannot flush says that it can")
		}
	}), breaker.New("page", breaker.Settings{})).ServeHTTP(bare, httptest.NewRequest("GET", "/", nil))
}

func TestHandlersBehaveAsWithoutUs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(strings.Repeat("file ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		http2 bool
		serve http.HandlerFunc
		call  func(*testing.T, *server, *http.Client) string
		want  string
	}{
		{"echo", false, echo, fetch("POST", "x"), "1 good, 0 bad"},
		{"echo over HTTP/2", true, echo, fetch("POST", "x"), "1 good, 0 bad"},
		{"a file", false, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }, fetch("GET", ""), "1 good, 0 bad"},
		{"a copied file", false, func(w http.ResponseWriter, r *http.Request) {
			f, _ := os.Open(path)
			defer f.Close()
			io.Copy(w, f)
		}, fetch("GET", ""), "1 good, 0 bad"},
		{"trailers", false, trailers, readTrailers, "1 good, 0 bad"},
		{"trailers over HTTP/2", true, trailers, readTrailers, "1 good, 0 bad"},
		{"early hints", false, earlyHints, readHints, "1 good, 0 bad"},
		{"streams", false, drip, readDrip, "1 good, 0 bad"},
		{"both ways over HTTP/2", true, pingPong, duplex, "1 good, 0 bad"},
		{"upgrade", false, upgrade, useUpgrade, "1 good, 0 bad"},
		{"a hijacked connection, no head", false, dies("HTTP/1.1 204 No Content\r\n\r\n"), fetch("GET", ""), "1 good, 0 bad"},
		{"abort", false, aborts, fetch("GET", ""), "0 good, 1 bad"},
		{"abort over HTTP/2", true, aborts, fetch("GET", ""), "0 good, 1 bad"},
		{"100-continue", false, echo, expectContinue, "1 good, 0 bad"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen outcomes
			b := breaker.New("page", breaker.Settings{FailMax: -1}, breaker.WithListener(seen.listener()))
			bare, _ := play(t, situation{http2: test.http2, serve: test.serve, call: test.call}, false)
			guarded, _ := play(t, situation{
				http2: test.http2, serve: breakerhttp.NewHandler(test.serve, b).ServeHTTP, call: test.call,
			}, false)
			if bare != guarded {
				t.Errorf("guarded: %.500s\nbare:    %.500s", guarded, bare)
			}
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// A client that hangs up on a real server must not open its breaker.
func TestClientsThatHangUp(t *testing.T) {
	var seen outcomes
	b := breaker.New("page", breaker.Settings{FailMax: 1}, breaker.WithListener(seen.listener()))
	ended := make(chan struct{})
	h := breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		http.Error(w, r.Context().Err().Error(), http.StatusInternalServerError)
	}), b)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		close(ended)
	}))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	conn.Close()
	<-ended
	if got := seen.String(); got != "0 good, 0 bad" || b.State() != breaker.Closed {
		t.Errorf("%s and %s after a client hung up, want no evidence", got, b.State())
	}
}
