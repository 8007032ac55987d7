package breakerhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// Traps of other circuit breakers that are about HTTP, each with what was seen
// there. Those about calls in general are in package breaker; see
// docs/traps.md.

// gobreaker's example for HTTP looks at the error alone, so 500s are
// successes. 12: failsafehttp's default, "50 x 503: state=closed".
func TestTrap_ServerErrorsAreSuccesses(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 429} {
		b := breaker.New("api", breaker.Settings{})
		rt := breakerhttp.NewTransport(answers(status), breakerhttp.WithBreaker(b))
		for range 50 {
			_ = get(t, rt)
		}
		if got := b.State(); got != breaker.Open {
			t.Errorf("after 50 answers of %d it is %s", status, got)
		}
	}
}

// resty counts transport errors in half-open alone: "50 connection-refused
// errors with threshold 3: open=false".
func TestTrap_ADownServerNeverOpens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close() // from here on connections are refused
	b := breaker.New("api", breaker.Settings{FailMax: 3})
	rt := breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(b))
	for range 3 {
		if resp, err := rt.RoundTrip(newRequest(t, t.Context(), url)); err == nil {
			resp.Body.Close()
			t.Fatal("the server is still there")
		}
	}
	if got := b.State(); got != breaker.Open {
		t.Errorf("after 3 refused connections it is %s", got)
	}
}

// failsafehttp, "3 user-cancelled requests to a healthy server: open".
func TestTrap_CancelledRequestsOpen(t *testing.T) {
	b := breaker.New("api", breaker.Settings{FailMax: 3})
	rt := breakerhttp.NewTransport(tripper(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}), breakerhttp.WithBreaker(b))
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := rt.RoundTrip(newRequest(t, ctx, "http://api.test"))
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if s := b.Status(); s.State != breaker.Closed || s.FailCount != 0 {
		t.Errorf("after 10 cancelled requests: %s, %d failures", s.State, s.FailCount)
	}
}

// failsafehttp's server handler never sees the status: "50 x 500 with
// HandleIf(>=500): executions=3 failures=0 closed".
func TestTrap_TheServerHandlerNeverOpens(t *testing.T) {
	b := breaker.New("api", breaker.Settings{FailMax: 3, ResetTimeout: 42 * time.Second})
	h := breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}), b)
	codes := map[int]int{}
	for range 50 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		codes[w.Code]++
	}
	if codes[500] != 3 || codes[503] != 47 {
		t.Errorf("answers by status: %v, want 3 of 500, then 47 of 503", codes)
	}
}

// failsafehttp reads the whole body before it asks the breaker: "breaker
// OPEN, 64MiB streaming upload: body bytes read into memory: 64 MiB".
func TestTrap_ARejectedUploadIsReadFirst(t *testing.T) {
	b := breaker.New("api", breaker.Settings{})
	b.Open(breaker.Order{})
	rt := breakerhttp.NewTransport(tripper(func(*http.Request) (*http.Response, error) {
		t.Error("a rejected request reached the network")
		return nil, io.EOF
	}), breakerhttp.WithBreaker(b))
	upload := &untouchable{t: t}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://api.test", upload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.RoundTrip(req); !errors.Is(err, breaker.ErrOpen) || upload.closed == 0 {
		t.Errorf("got %v, the upload was closed %d times", err, upload.closed)
	}
}
