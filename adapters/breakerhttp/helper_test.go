package breakerhttp_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // tests that are parallel wait; a flag of the command line replaces it
	os.Exit(m.Run())
}

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

// outcomes counts what a breaker was told.
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

type server struct {
	*httptest.Server
	seen chan string // what the handler has to say
}

// transport is a fresh one, with HTTP/2 or without.
func (s *server) transport() *http.Transport {
	return s.Client().Transport.(*http.Transport).Clone()
}

type serverKey struct{}

// say adds to the transcript from within a handler.
func say(r *http.Request, format string, args ...any) {
	r.Context().Value(serverKey{}).(*server).seen <- fmt.Sprintf(format, args...)
}

// describe is all that a client can see of an answer.
func describe(resp *http.Response, err error) string {
	if err != nil {
		return "error: " + flat(err)
	}
	body, readErr := io.ReadAll(resp.Body)
	closeErr := resp.Body.Close()
	resp.Header.Del("Date")
	return fmt.Sprintf("%s %s length=%d encoding=%v uncompressed=%t close=%t header=%v body=%q read=%v close=%v trailer=%v",
		resp.Proto, resp.Status, resp.ContentLength, resp.TransferEncoding, resp.Uncompressed, resp.Close,
		resp.Header, body, flat(readErr), closeErr, resp.Trailer)
}

// flat is an error's text, without the port numbers that differ.
func flat(err error) string {
	if err == nil {
		return "<nil>"
	}
	var ne net.Error
	timeout := errors.As(err, &ne) && ne.Timeout()
	text := err.Error()
	if timeout && errors.Is(err, context.DeadlineExceeded) {
		// With a transport of another type than its own, the client ends a request
		// whose time is over in two ways at once, with two texts.
		text = "out of time"
	}
	for _, ports := range []string{"->", "read tcp ", "write tcp "} {
		if i := strings.Index(text, ports); i >= 0 {
			text = text[:i] + text[strings.LastIndex(text, ":"):]
		}
	}
	return fmt.Sprintf("%s (timeout %t, cancelled %t, deadline %t)", text, timeout,
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded))
}

// Handlers.

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %v: %s", r.Method, r.URL, err, body)
}

// drip sends a line and waits for the client to go.
func drip(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "first\n")
	http.NewResponseController(w).Flush()
	if r.URL.Path == "/end" {
		io.WriteString(w, "last\n")
		return
	}
	<-r.Context().Done()
}

func hang(w http.ResponseWriter, r *http.Request) {
	say(r, "reached")
	<-r.Context().Done()
}

func pingPong(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).Flush()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		fmt.Fprintf(w, "%s back\n", lines.Text())
		http.NewResponseController(w).Flush()
	}
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	io.WriteString(w, "body")
	w.Header().Set("X-Sum", "42")
	w.Header().Set(http.TrailerPrefix+"X-Late", "43")
}

func earlyHints(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	io.WriteString(w, "page")
}

func zipped(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, strings.Repeat("zip ", 100))
	z.Close()
}

func brokenZip(w http.ResponseWriter, r *http.Request) {
	var all bytes.Buffer
	z := gzip.NewWriter(&all)
	io.WriteString(z, strings.Repeat("zip ", 100))
	z.Close()
	w.Header().Set("Content-Encoding", "gzip")
	w.Write(all.Bytes()[:all.Len()-6])
}

func redirects(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		http.Redirect(w, r, "/two", http.StatusFound)
	case "/two":
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "two"})
		http.Redirect(w, r, "/three", http.StatusMovedPermanently)
	default:
		fmt.Fprint(w, r.Method, r.Referer())
	}
}

func redirects307(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		io.Copy(io.Discard, r.Body)
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		return
	}
	echo(w, r)
}

func loop(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }

func upgrade(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "chat")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	line, _ := rw.ReadString('\n')
	fmt.Fprintf(conn, "you said %s", line)
}

// dies writes some bytes and closes the connection.
func dies(after string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(conn, after)
			conn.Close()
		}
	}
}

func aborts(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "half of")
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// quiet is for servers whose handlers panic on purpose.
var quiet = log.New(io.Discard, "", 0)
