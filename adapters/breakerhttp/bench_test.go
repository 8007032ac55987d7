package breakerhttp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkTransport compares calls with and without the breaker: to a server
// on the loopback, and to a transport that does nothing, which leaves the
// breaker's own cost.
func BenchmarkTransport(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer server.Close()
	instant := tripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: empty{}}, nil
	})
	open := breaker.New("open", breaker.Settings{})
	open.Open(breaker.Order{})
	host := func(base http.RoundTripper) http.RoundTripper { return breakerhttp.NewTransport(base) }
	one := func(base http.RoundTripper) http.RoundTripper {
		return breakerhttp.NewTransport(base, breakerhttp.WithBreaker(breaker.New("api", breaker.Settings{})))
	}
	for _, bench := range []struct {
		name  string
		base  http.RoundTripper
		guard func(http.RoundTripper) http.RoundTripper
	}{
		{"loopback/bare", server.Client().Transport, nil},
		{"loopback/guarded", server.Client().Transport, host},
		{"instant/bare", instant, nil},
		{"instant/one breaker", instant, one},
		{"instant/one per host", instant, host},
		{"open", instant, func(base http.RoundTripper) http.RoundTripper {
			return breakerhttp.NewTransport(base, breakerhttp.WithBreaker(open))
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			rt := bench.base
			if bench.guard != nil {
				rt = bench.guard(rt)
			}
			req := newRequest(b, b.Context(), server.URL)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := rt.RoundTrip(req)
				if err != nil {
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }
func (empty) Close() error             { return nil }

func BenchmarkHandler(b *testing.B) {
	nop := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	for name, h := range map[string]http.Handler{
		"bare":    nop,
		"guarded": breakerhttp.NewHandler(nop, breaker.New("page", breaker.Settings{})),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			w := discard{}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

type discard struct{}

func (discard) Header() http.Header         { return nil }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
func (discard) Flush()                      {}
