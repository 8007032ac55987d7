package breakerhttp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// A call that waits for one of the program's own connections asks no server. A
// call that waits for a connection to be made does.
func TestMaxConnsPerHost(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/long" {
			begun <- struct{}{}
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	hangs := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, test := range map[string]struct {
		limit int
		dial  func(context.Context, string, string) (net.Conn, error)
		first string // another call before
		want  string
	}{
		"waits for a connection of its own":         {1, nil, "/long", "0 good, 0 bad"},
		"has another":                               {2, nil, "/long", "1 good, 0 bad"},
		"waits for a dial":                          {1, hangs, "", "0 good, 1 bad"},
		"waits for a dial after a call that ended":  {1, hangs, "/", "0 good, 1 bad"},
		"waits for a dial after a call that failed": {1, hangs, "/fails", "0 good, 1 bad"},
		"waits for a dial, without a limit":         {0, hangs, "", "0 good, 1 bad"},
	} {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{MaxConnsPerHost: test.limit}
			defer base.CloseIdleConnections()
			var seen outcomes
			b := breaker.New("up", breaker.Settings{})
			rt := breakerhttp.NewTransport(base, breakerhttp.WithBreaker(b))
			ask := func(path string, d time.Duration) (io.ReadCloser, error) {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				t.Cleanup(cancel)
				resp, err := rt.RoundTrip(newRequest(t, ctx, s.URL+path))
				if err != nil {
					return nil, err
				}
				return resp.Body, nil
			}
			if test.first != "" {
				body, err := ask(test.first, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				defer body.Close()
				if test.first == "/long" {
					<-begun
				} else {
					_, _ = io.Copy(io.Discard, body)
				}
				base.CloseIdleConnections()
			}
			base.DialContext = test.dial
			defer b.AddListener(seen.listener())()
			if body, err := ask("/", 200*time.Millisecond); err == nil {
				_, _ = io.Copy(io.Discard, body)
			}
			if got := seen.String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
