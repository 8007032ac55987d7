package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// A client whose calls are guarded, with a breaker for each host.
func Example() {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer down.Close()

	client := &http.Client{Transport: breakerhttp.NewTransport(nil)}
	for range 6 {
		resp, err := client.Get(down.URL)
		if errors.Is(err, breaker.ErrOpen) {
			fmt.Println("not sent")
			continue
		}
		fmt.Println(resp.Status)
		resp.Body.Close()
	}
	// Output:
	// 503 Service Unavailable
	// 503 Service Unavailable
	// 503 Service Unavailable
	// 503 Service Unavailable
	// 503 Service Unavailable
	// not sent
}

// The breakers of a manager are those that an operator sees.
func ExampleWithSet() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 3})
	hosts := breaker.SetOf[string](manager, "http")
	client := &http.Client{Transport: breakerhttp.NewTransport(nil, breakerhttp.WithSet(hosts, breakerhttp.Host))}

	for range 3 {
		_, _ = client.Get("http://127.0.0.1:1/") // nothing listens there
	}
	for _, s := range manager.Status() {
		fmt.Println(s.ID, s.State)
	}
	// Output:
	// http/127.0.0.1:1 open
}

// A missing page that should be there is a failure, too many requests are not.
func ExampleWithStatus() {
	api := breaker.New("api", breaker.Settings{})
	transport := breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(api), breakerhttp.WithStatus(map[int]breaker.Outcome{
		http.StatusNotFound:        breaker.Failure,
		http.StatusTooManyRequests: breaker.Ignored,
	}))
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	resp, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(api.FailCount())
	// Output: 1
}

// A server that stops answering for a while when it cannot.
func ExampleNewHandler() {
	search := breaker.New("search", breaker.Settings{FailMax: 2, ResetTimeout: 30 * time.Second})
	handler := breakerhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the index is gone", http.StatusInternalServerError)
	}), search)

	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/search", nil))
		fmt.Printf("%d, retry after %q\n", w.Code, w.Header().Get("Retry-After"))
	}
	// Output:
	// 500, retry after ""
	// 500, retry after ""
	// 503, retry after "30"
}

// Waiting as long as the rejection says.
func ExampleTransport() {
	api := breaker.New("api", breaker.Settings{ResetTimeout: 30 * time.Second})
	api.Open(breaker.Order{Actor: "ann", Reason: "they are migrating"})
	client := &http.Client{Transport: breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(api))}

	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://api.test/", nil)
	_, err := client.Do(req)
	var open *breaker.OpenError
	if errors.As(err, &open) {
		fmt.Println("try again in", open.RetryAfter().Round(time.Second))
	}
	// Output: try again in 30s
}

// Names that cannot be resolved say nothing about the hosts.
func ExampleWithErrors() {
	api := breaker.New("api", breaker.Settings{})
	transport := breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(api), breakerhttp.WithErrors(func(err error) breaker.Outcome {
		var dns *net.DNSError
		if errors.As(err, &dns) {
			return breaker.Ignored
		}
		return breaker.Failure
	}))
	client := &http.Client{Transport: transport}
	_, _ = client.Get("http://no-such-host.invalid/")
	_, _ = client.Get("http://127.0.0.1:1/") // nothing listens there
	fmt.Println(api.FailCount())
	// Output: 1
}

// A proxy that tells its clients when to come back, instead of answering 502.
func ExampleErrorHandler() {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer up.Close()
	upstream, _ := url.Parse(up.URL)

	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.Transport = breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(
		breaker.New("up", breaker.Settings{FailMax: 2, ResetTimeout: 30 * time.Second})))
	proxy.ErrorHandler = breakerhttp.ErrorHandler(nil)

	for range 3 {
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Printf("%d, retry after %q\n", w.Code, w.Header().Get("Retry-After"))
	}
	// Output:
	// 500, retry after ""
	// 500, retry after ""
	// 503, retry after "30"
}
