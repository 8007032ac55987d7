package ops_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/ops"
)

// A foreign page can make its own name resolve to this host, and is then of
// the same origin. So names that are not the handler's are refused, whatever
// is requested.
func TestForeignHostsAreRefused(t *testing.T) {
	const ok, no = http.StatusOK, http.StatusMisdirectedRequest
	for _, c := range []struct {
		listen string
		hosts  []string
		host   string
		want   int
	}{
		{"127.0.0.1:0", nil, "", ok}, // the address itself
		{"127.0.0.1:0", nil, "localhost:8080", ok},
		{"127.0.0.1:0", nil, "LocalHost", ok},
		{"127.0.0.1:0", nil, "shop.localhost", ok},
		{"127.0.0.1:0", nil, "[::1]:80", ok},
		{"127.0.0.1:0", nil, "10.1.2.3", ok},
		{"127.0.0.1:0", nil, "evil.example", no},
		{"127.0.0.1:0", nil, "evil.example:8080", no},
		{"127.0.0.1:0", nil, "127.0.0.1.evil.example", no},
		{"127.0.0.1:0", nil, "localhost.evil.example", no},
		{"127.0.0.1:0", nil, "evillocalhost", no},
		{"127.0.0.1:0", nil, "ops.example", no},
		{"127.0.0.1:0", []string{"ops.example"}, "ops.example:443", ok},
		{"127.0.0.1:0", []string{"ops.example"}, "OPS.example.", ok},
		{"127.0.0.1:0", []string{"ops.example:443"}, "ops.example", ok},
		{"127.0.0.1:0", []string{"ops.example"}, "www.ops.example", no},
		{"127.0.0.1:0", []string{"ops.example"}, "evil.example", no},
		{"127.0.0.1:0", []string{"ops.example"}, "localhost", ok},
		{"[::1]:0", nil, "evil.example", no},
		{"[::1]:0", nil, "", ok},
		{"0.0.0.0:0", nil, "evil.example", no}, // it still comes in at loopback
	} {
		l, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Logf("SKIP: %s: %v", c.listen, err)
			continue
		}
		srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: planeOf(t, shop(t), ops.Options{Hosts: c.hosts, Authorize: anybody}).Handler()}}
		srv.Start()
		url := strings.Replace(srv.URL, "0.0.0.0", "127.0.0.1", 1)
		for _, path := range []string{"/v1/status", "/", "/metrics", "/v1/orders"} {
			method, body := http.MethodGet, ""
			if path == "/v1/orders" {
				method, body = http.MethodPost, openPayments
			}
			req, _ := http.NewRequest(method, url+path, strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			if req.Host = c.host; c.host != "" {
				req.Header.Set("Origin", "http://"+c.host) // as a page with that name would
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("at %s with %v: %s %s for the host %q: %d, want %d", c.listen, c.hosts, method, path, c.host, resp.StatusCode, c.want)
			}
		}
		srv.Close()
	}
	// Elsewhere the names are not known, so all are accepted unless some are
	// given.
	away := func(o ops.Options, host string) int {
		r := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
		r.Host = host
		w := httptest.NewRecorder()
		planeOf(t, shop(t), o).Handler().ServeHTTP(w, r)
		return w.Code
	}
	if got := away(ops.Options{}, "shop.example"); got != ok {
		t.Errorf("not at loopback, without Hosts: %d", got)
	}
	if got := away(ops.Options{Hosts: []string{"shop.example"}}, "evil.example"); got != no {
		t.Errorf("not at loopback, with Hosts, for another: %d", got)
	}
}
