package breakerhttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

func TestOutcomeOfStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		opts   []breakerhttp.Option
		want   string
	}{
		{200, nil, "1 good, 0 bad"},
		{204, nil, "1 good, 0 bad"},
		{301, nil, "1 good, 0 bad"},
		{400, nil, "1 good, 0 bad"},
		{404, nil, "1 good, 0 bad"},
		{407, nil, "0 good, 0 bad"}, // a proxy's
		{408, nil, "1 good, 0 bad"},
		{429, nil, "0 good, 1 bad"},
		{499, nil, "1 good, 0 bad"},
		{500, nil, "0 good, 1 bad"},
		{501, nil, "0 good, 1 bad"},
		{503, nil, "0 good, 1 bad"},
		{599, nil, "0 good, 1 bad"},
		{600, nil, "0 good, 0 bad"},
		{999, nil, "0 good, 0 bad"},
		{404, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{404: breaker.Failure})}, "0 good, 1 bad"},
		{500, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{404: breaker.Failure})}, "0 good, 1 bad"},
		{501, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{501: breaker.Success})}, "1 good, 0 bad"},
		{429, []breakerhttp.Option{breakerhttp.WithStatus(map[int]breaker.Outcome{429: breaker.Ignored})}, "0 good, 0 bad"},
	} {
		t.Run(fmt.Sprint(test.status, "/", test.want), func(t *testing.T) {
			var seen outcomes
			b := breaker.New("api", breaker.Settings{}, breaker.WithListener(seen.listener()))
			rt := breakerhttp.NewTransport(answers(test.status), append(test.opts, breakerhttp.WithBreaker(b))...)
			if err := get(t, rt); err != nil {
				t.Fatal(err)
			}
			if got := seen.String(); got != test.want {
				t.Errorf("status %d: %s, want %s", test.status, got, test.want)
			}
		})
	}
}

func TestOneBreakerForEachHost(t *testing.T) {
	set := breaker.NewSet[string]("http", breaker.Settings{FailMax: 1}, breaker.SetOptions{})
	rt := breakerhttp.NewTransport(tripper(func(req *http.Request) (*http.Response, error) {
		if strings.HasPrefix(req.URL.Host, "down") {
			return nil, io.EOF
		}
		return answers(200)(req)
	}), breakerhttp.WithSet(set, breakerhttp.Host))
	for _, test := range []struct {
		url  string
		open bool
	}{
		{"http://down.test/a", false},
		{"http://down.test/b", true},
		{"http://DOWN.test:80/", true},
		{"https://down.test/", false}, // another port, another server
		{"https://down.test:443/", true},
		{"http://up.test/", false},
		{"http://up.test/", false},
	} {
		_, err := rt.RoundTrip(newRequest(t, t.Context(), test.url))
		if got := errors.Is(err, breaker.ErrOpen); got != test.open {
			t.Errorf("%s: rejected %t, want %t (%v)", test.url, got, test.open, err)
		}
	}
	var ids []string
	for _, s := range set.Status() {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	if want := []string{"http/down.test:443", "http/down.test:80", "http/up.test:80"}; !slices.Equal(ids, want) {
		t.Errorf("keys %q, want %q", ids, want)
	}
}

func TestHost(t *testing.T) {
	for url, want := range map[string]string{
		"http://example.com/":          "example.com:80",
		"https://Example.COM/":         "example.com:443",
		"HTTPS://example.com":          "example.com:443",
		"http://example.com:8080/x":    "example.com:8080",
		"http://example.com:":          "example.com:80",
		"http://user:pw@example.com/":  "example.com:80",
		"http://[2001:DB8::1]/":        "[2001:db8::1]:80",
		"https://[2001:db8::1]:8443/":  "[2001:db8::1]:8443",
		"/relative":                    "",
		"mailto:somebody@example.test": "",
	} {
		req := newRequest(t, t.Context(), url)
		if got := breakerhttp.Host(req); got != want {
			t.Errorf("Host(%s) is %q, want %q", url, got, want)
		}
	}
	if got := breakerhttp.Host(&http.Request{}); got != "" {
		t.Errorf("Host without a URL is %q, want none", got)
	}
}

func TestBreakerByFunction(t *testing.T) {
	writes := breaker.New("writes", breaker.Settings{})
	writes.ForceOpen(breaker.Order{})
	rt := breakerhttp.NewTransport(answers(200), breakerhttp.WithBreakerFunc(func(req *http.Request) *breaker.Breaker {
		if req.Method == http.MethodGet {
			return nil
		}
		return writes
	}))
	if err := get(t, rt); err != nil {
		t.Errorf("an unguarded request got %v", err)
	}
	req := newRequest(t, t.Context(), "http://api.test")
	req.Method = http.MethodPost
	if _, err := rt.RoundTrip(req); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("a guarded request got %v, want a rejection", err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	ok := http.NotFoundHandler()
	b := breaker.New("api", breaker.Settings{})
	for name, f := range map[string]func(){
		"no breaker": func() { breakerhttp.WithBreaker(nil) },
		"a status that is none": func() {
			breakerhttp.NewTransport(nil, breakerhttp.WithStatus(map[int]breaker.Outcome{5000: breaker.Failure}))
		},
		"rejected on a transport": func() {
			breakerhttp.NewTransport(nil, breakerhttp.WithRejected(func(http.ResponseWriter, *http.Request, error) {}))
		},
		"two breakers on a handler": func() { breakerhttp.NewHandler(ok, b, breakerhttp.WithBreaker(b)) },
		"a handler without one":     func() { breakerhttp.NewHandler(ok, nil) },
		"no handler":                func() { breakerhttp.NewHandler(nil, b) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p, _ := recover().(string); !strings.HasPrefix(p, "breakerhttp: ") {
					t.Errorf("panic %q, want one line that begins with the package", p)
				}
			}()
			f()
		})
	}
}
