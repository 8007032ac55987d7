package ops_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/ops"
)

// A client that reads a large answer slowly holds at most one page of it,
// whatever the number of breakers, and the number of such pages is limited.
func TestSlowReadersHoldLittle(t *testing.T) {
	long(t)
	m, _ := tenants(t, 20_000)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	srv := httptest.NewServer(p.Handler())
	defer srv.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const readers = 60
	var first [readers]byte
	for i := range readers {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /v1/status?full=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if i < 4 { // these are being served, and the others wait for them
			if _, err := io.ReadFull(c, first[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-time.After(2 * time.Second) // otherwise they would all have been served
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 40<<20 {
		t.Errorf("%d readers that read nothing hold %d MiB", readers, grown>>20)
	}
}

// A client that takes longer than half a minute to read an answer is cut off,
// and gives its place back.
func TestSlowReaderIsCutOff(t *testing.T) {
	for _, target := range []string{"/v1/status?full=1", "/v1/overview", "/metrics", "/v1/explain?id=tenants/t000000", "/v1/history?id=tenants/t000000", "/v1/plots?name=tenants", "/v1/orders"} {
		synctest.Test(t, func(t *testing.T) {
			m, _ := tenants(t, 100)
			p := ops.New(m, ops.Options{})
			defer p.Close()
			client, stop := dialInMemory(p.Handler())
			defer stop()
			fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
			if _, err := io.ReadFull(client, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(29 * time.Second)
			if n := p.Answers(); n != 1 {
				t.Fatalf("%s: %d answers under way, want 1", target, n)
			}
			time.Sleep(2 * time.Second)
			if n := p.Answers(); n != 0 {
				t.Errorf("%s: %d answers under way after 31s, want none", target, n)
			}
			if _, err := io.Copy(io.Discard, client); err != nil {
				t.Errorf("%s: the connection: %v, want it closed", target, err)
			}
		})
	}
}

// A connection serves the next request as if the previous one had had no time
// limit.
func TestConnectionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ops.New(shop(t), ops.Options{Authorize: anybody})
		defer p.Close()
		client, stop := dialInMemory(p.Handler())
		defer stop()
		in := bufio.NewReader(client)
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/v1/status", ""}, {"POST", "/v1/orders", openPayments}, {"HEAD", "/v1/overview", ""}, {"GET", "/v1/process", ""},
		} {
			req, _ := http.NewRequest(c.method, "http://x"+c.path, strings.NewReader(c.body))
			req.Header.Set("Content-Type", "application/json")
			if err := req.Write(client); err != nil {
				t.Fatal(c, err)
			}
			resp, err := http.ReadResponse(in, req)
			if err != nil {
				t.Fatal(c, err)
			}
			if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %d %s, %v", c.method, c.path, resp.StatusCode, text, err)
			}
			time.Sleep(time.Hour)
		}
	})
}
