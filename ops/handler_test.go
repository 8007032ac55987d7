package ops_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

func TestHandlerWorksUnderAnyPrefix(t *testing.T) {
	h := planeOf(t, shop(t), ops.Options{Authorize: anybody}).Handler()
	for name, c := range map[string]struct {
		mount  func(*http.ServeMux)
		prefix string
	}{
		"root":         {func(m *http.ServeMux) { m.Handle("/", h) }, ""},
		"prefix":       {func(m *http.ServeMux) { m.Handle("/ops/", h) }, "/ops"},
		"two":          {func(m *http.ServeMux) { m.Handle("/debug/breakers/", h) }, "/debug/breakers"},
		"stripped":     {func(m *http.ServeMux) { m.Handle("/ops/", http.StripPrefix("/ops", h)) }, "/ops"},
		"host":         {func(m *http.ServeMux) { m.Handle("example.com/ops/", h) }, "/ops"},
		"wildcard":     {func(m *http.ServeMux) { m.Handle("/{tenant}/ops/", h) }, "/acme/ops"},
		"like a route": {func(m *http.ServeMux) { m.Handle("/v1/", h) }, "/v1"},
		"so, stripped": {func(m *http.ServeMux) { m.Handle("/v1/", http.StripPrefix("/v1", h)) }, "/v1"},
		"escaped":      {func(m *http.ServeMux) { m.Handle("/{any}/", h) }, "/a%20b"},
		"mux in a mux": {func(m *http.ServeMux) { in := http.NewServeMux(); in.Handle("/x/ops/", h); m.Handle("/x/", in) }, "/x/ops"},
		"stripped, inner": {func(m *http.ServeMux) {
			in := http.NewServeMux()
			in.Handle("/ops/", h)
			m.Handle("/x/", http.StripPrefix("/x", in))
		}, "/x/ops"},
	} {
		mux := http.NewServeMux()
		c.mount(mux)
		if w := get(mux, c.prefix+"/v1/status?id=tenants/c%2Fd"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"tenants/c/d"`) {
			t.Errorf("%s: status = %d %s", name, w.Code, w.Body)
		}
		if w := get(mux, c.prefix+"/"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<html") {
			t.Errorf("%s: page = %d %.60s", name, w.Code, w.Body)
		}
		if w := post(mux, c.prefix+"/v1/orders", openPayments); w.Code != http.StatusOK {
			t.Errorf("%s: order = %d %s", name, w.Code, w.Body)
		}
		if c.prefix == "" || strings.HasPrefix(c.prefix, "/x/") || strings.Contains(c.prefix, "%") {
			continue // the outer mux redirects, not the handler
		}
		w := get(mux, c.prefix)
		if to := w.Header().Get("Location"); w.Code/100 != 3 || to != c.prefix+"/" {
			t.Errorf("%s: without the slash = %d to %q", name, w.Code, to)
		}
	}
}

func TestHandlerIsReadOnlyByItself(t *testing.T) {
	m := shop(t)
	h := planeOf(t, m, ops.Options{}).Handler()
	if w := post(h, "/v1/orders", openPayments); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "read-only") {
		t.Errorf("order = %d %s, want 403", w.Code, w.Body)
	}
	if m.Breaker("payments").State() != breaker.Closed {
		t.Error("the order was carried out")
	}
	if w := get(h, "/v1/process"); !strings.Contains(w.Body.String(), `"read_only":true`) || strings.Contains(w.Body.String(), `"args"`) {
		t.Errorf("process = %s", w.Body)
	}
}

func TestAuthorizeDecides(t *testing.T) {
	m := shop(t)
	path := t.TempDir() + "/audit"
	p := ops.New(m, ops.Options{Audit: path, Authorize: func(r *http.Request, o *ops.Order) error {
		who := r.Header.Get("X-User")
		if who == "" {
			return errors.New("sign in first")
		}
		o.Actor = who
		return nil
	}})
	defer p.Close()
	h := p.Handler()
	if w := post(h, "/v1/orders", openPayments); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "sign in first") {
		t.Errorf("an anonymous order =  %d %s", w.Code, w.Body)
	}
	if w := post(h, "/v1/orders", openPayments, "X-User", "bob"); w.Code != http.StatusOK {
		t.Errorf("bob's order = %d %s", w.Code, w.Body)
	}
	if s := m.Breaker("payments").Status(); s.Transition == nil || s.Transition.Actor != "bob" {
		t.Errorf("why = %+v, want bob, who is signed in, and not ana, who is claimed", s.Transition)
	}
	if report, err := verify(t, path); err != nil || report.Entries != 2 {
		t.Errorf("audit = %+v, %v, want both orders", report, err)
	}
	if text := get(h, "/metrics").Body.String(); !strings.Contains(text, `switchgear_orders_total{verb="open",result="refused"} 1`) {
		t.Errorf("the order that was not allowed is not counted as refused:\n%s", text)
	}
}

func TestOrdersOfOtherOriginsAreRefused(t *testing.T) {
	m := shop(t)
	h := planeOf(t, m, ops.Options{Authorize: anybody}).Handler()
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
	} {
		if w := post(h, "/v1/orders", openPayments, header...); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s, want 403", header, w.Code, w.Body)
		}
	}
	if m.Breaker("payments").State() != breaker.Closed {
		t.Error("an order was carried out")
	}
	if w := post(h, "/v1/orders", openPayments, "Sec-Fetch-Site", "same-origin", "Origin", "http://example.com"); w.Code != http.StatusOK {
		t.Errorf("from our own page: %d %s", w.Code, w.Body)
	}
}

func TestBadOrdersAreRefused(t *testing.T) {
	h := planeOf(t, shop(t), ops.Options{Authorize: anybody}).Handler()
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"half":          {`{"id": "pay`, 400, "order"},
		"two":           {openPayments + openPayments, 400, "one JSON object"},
		"unknown field": {`{"id": "payments", "verb": "open", "actor": "ana", "dryrun": true}`, 400, "dryrun"},
		"field twice":   {`{"id": "payments", "verb": "open", "actor": "ana", "actor": "eve"}`, 400, "actor appears twice, want it once"},
		"in capitals":   {`{"id": "payments", "verb": "open", "actor": "ana", "Actor": "eve"}`, 400, "actor appears twice, want it once"},
		"in a long s":   {`{"id": "payments", "verb": "open", "actor": "ana", "reason": "a", "reaſon": "b"}`, 400, "reason appears twice, want it once"},
		"setting twice": {`{"id": "payments", "verb": "set", "actor": "ana", "settings": {"fail_max": 1, "fail_max": 2}}`, 422, "fail_max appears twice, want it once"},
		"unit missing":  {`{"id": "payments", "verb": "open", "actor": "ana", "for": 60}`, 400, ""},
		"unit wrong":    {`{"id": "payments", "verb": "open", "actor": "ana", "for": "60"}`, 400, "30s"},
		"too large":     {`{"id": "` + strings.Repeat("x", 70_000) + `"}`, 413, "65536"},
		"long id":       {`{"id": "` + strings.Repeat("x", 5000) + `", "verb": "open", "actor": "ana"}`, 400, "4096"},
	} {
		w := post(h, "/v1/orders", c.body)
		var reply struct{ Error *ops.Error }
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != c.status || !strings.Contains(reply.Error.Message, c.says) {
			t.Errorf("%s: %d %s, want %d and %q", name, w.Code, w.Body, c.status, c.says)
		}
	}
	if w := post(h, "/v1/orders", openPayments, "Content-Type", "text/plain"); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d, want 415: a form of another page can send it", w.Code)
	}
}

func TestRatesAreBounded(t *testing.T) {
	h := planeOf(t, shop(t), ops.Options{Authorize: anybody}).Handler()
	codes := map[int]int{}
	for range 100 {
		codes[post(h, "/v1/orders", openPayments).Code]++
	}
	if codes[http.StatusOK] < 50 || codes[http.StatusTooManyRequests] < 30 {
		t.Errorf("100 orders at once: %v, want about 50 done", codes)
	}
	if w := get(h, "/v1/process"); w.Code != http.StatusOK {
		t.Errorf("a look meanwhile: %d", w.Code)
	}
}

// Requests that are refused anyway use no allowance: those of other origins,
// which a foreign page can make any browser send; those for another host;
// orders that are not permitted; and requests that are not ours.
func TestRefusedRequestsUseNoAllowance(t *testing.T) {
	signedIn := func(r *http.Request, _ *ops.Order) error {
		if r.Header.Get("Authorization") == "" {
			return errors.New("sign in first")
		}
		return nil
	}
	for name, junk := range map[string]func(h http.Handler) *httptest.ResponseRecorder{
		"origin": func(h http.Handler) *httptest.ResponseRecorder {
			return post(h, "/v1/orders", openPayments, "Origin", "https://evil.example")
		},
		"not allowed": func(h http.Handler) *httptest.ResponseRecorder { return post(h, "/v1/orders", openPayments) },
		"no JSON":     func(h http.Handler) *httptest.ResponseRecorder { return post(h, "/v1/orders", "{") },
		"media type": func(h http.Handler) *httptest.ResponseRecorder {
			return post(h, "/v1/orders", "x", "Content-Type", "text/plain")
		},
		"no such path": func(h http.Handler) *httptest.ResponseRecorder { return post(h, "/v1/nothing", "x") },
		"no such method": func(h http.Handler) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/v1/status", nil))
			return w
		},
		"host": func(h http.Handler) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Host = "evil.example"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		},
	} {
		h := planeOf(t, shop(t), ops.Options{Authorize: signedIn, Hosts: []string{"example.com"}}).Handler()
		for range 1000 {
			if w := junk(h); w.Code < 400 || w.Code == http.StatusTooManyRequests || w.Code >= 500 {
				t.Fatalf("%s: %d %s, want it refused for what it is", name, w.Code, w.Body)
			}
		}
		for range 20 {
			if w := post(h, "/v1/orders", openPayments, "Authorization", "ana"); w.Code != http.StatusOK {
				t.Errorf("%s: the operator gets %d %s", name, w.Code, w.Body)
				break
			}
		}
		for _, path := range []string{"/metrics", "/v1/status", "/"} {
			if w := get(h, path); w.Code != http.StatusOK {
				t.Errorf("%s: %s gets %d", name, path, w.Code)
			}
		}
	}
}

// A client that queries too often can still be scraped, follow the events and
// give orders, and so on in turn.
func TestKindsOfRequestsDoNotStarveEachOther(t *testing.T) {
	ask := map[string]func(h http.Handler) int{
		"look":   func(h http.Handler) int { return get(h, "/v1/process").Code },
		"scrape": func(h http.Handler) int { return get(h, "/metrics").Code },
		"order":  func(h http.Handler) int { return post(h, "/v1/orders", openPayments).Code },
		"follow": func(h http.Handler) int {
			gone, cancel := context.WithCancel(ctx)
			cancel()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/events", nil).WithContext(gone))
			return w.Code
		},
	}
	for greedy := range ask {
		h := planeOf(t, shop(t), ops.Options{Authorize: anybody}).Handler()
		codes := map[int]int{}
		for range 1000 {
			codes[ask[greedy](h)]++
		}
		if codes[http.StatusTooManyRequests] == 0 {
			t.Errorf("1,000 at once to %s: %v, want some refused", greedy, codes)
		}
		for other := range ask {
			if code := ask[other](h); other != greedy && code != http.StatusOK {
				t.Errorf("after too many to %s, one to %s gets %d", greedy, other, code)
			}
		}
	}
}

func TestPagesAreLockedDown(t *testing.T) {
	h := planeOf(t, shop(t), ops.Options{}).Handler()
	for _, target := range []string{"/", "/app.js", "/style.css", "/v1/status", "/nowhere"} {
		header := get(h, target).Header()
		csp := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", target, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || header.Get("X-Frame-Options") != "DENY" || header.Get("X-Content-Type-Options") != "nosniff" || target != "/nowhere" && header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", target, header)
		}
	}
}

// sse reads one event of a stream: its id, kind and data.
func sse(t *testing.T, r *bufio.Reader) (id, kind, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			return id, kind, value
		}
	}
}

func stream(t *testing.T, url, last string) *bufio.Reader {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/events", nil)
	req.Header.Set("Last-Event-ID", last)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type is %q", got)
	}
	r := bufio.NewReader(resp.Body)
	if first, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(first, "retry:") {
		t.Fatal(first, err)
	}
	return r
}

func TestEventsResumeAndReportGaps(t *testing.T) {
	m := shop(t)
	p := ops.New(m, ops.Options{})
	defer p.Close()
	srv := httptest.NewServer(p.Handler())
	t.Cleanup(srv.Close) // after the streams are closed
	r := stream(t, srv.URL, "")
	m.Breaker("payments").Open(breaker.Order{})
	id, kind, data := sse(t, r)
	if kind != "transition" || !strings.Contains(data, `"payments"`) {
		t.Errorf("event %s %s %s", id, kind, data)
	}
	m.Breaker("search").Open(breaker.Order{})
	if _, _, data := sse(t, stream(t, srv.URL, id)); !strings.Contains(data, `"search"`) {
		t.Errorf("after coming back: %s", data)
	}
	for range 3000 { // more than are kept
		m.Breaker("search").Close(breaker.Order{})
	}
	r = stream(t, srv.URL, id)
	if _, kind, data := sse(t, r); kind != "gap" || !strings.Contains(data, `"missed":953`) {
		t.Errorf("after too long: %s %s, want a gap of 953", kind, data)
	}
	if _, kind, _ := sse(t, r); kind != "transition" {
		t.Errorf("after the gap: %s", kind)
	}
}

// A reader that takes nothing delays no breaker, takes no memory, and is
// dropped. In a bubble time passes only when everything waits, so an order that
// waits for the reader takes time, or never ends if it holds a lock.
func TestSlowReaderDelaysNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		p := ops.New(m, ops.Options{})
		defer p.Close()
		followInMemory(t, p.Handler(), "")
		began := time.Now()
		for range 5000 { // more than are kept
			m.Breaker("payments").Open(breaker.Order{})
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("5,000 orders took %s beside a reader that reads nothing", took)
		}
		if _, kind, _ := sse(t, followInMemory(t, p.Handler(), p.EventID(1))); kind != "gap" {
			t.Errorf("another reader got %s, want a gap", kind)
		}
	})
}

// However many clients follow the events over HTTP, or read their answers
// slowly, the owner of the socket is served.
func TestHTTPReadersUseNoAllowanceOfTheSocket(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	set := breaker.SetOf[int](m, "tenants")
	for i := range 5000 {
		set.Breaker(i)
	}
	p := ops.New(m, ops.Options{RuntimeDir: t.TempDir()})
	defer p.Close()
	s, err := p.Listen()
	if err != nil {
		t.Skip(err)
	}
	defer s.Close()
	srv := httptest.NewServer(p.Handler())
	t.Cleanup(srv.Close) // after the streams are closed
	for range 64 {
		stream(t, srv.URL, "")
	}
	for range 100 { // they read nothing
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /v1/status?full=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	c, err := ops.NewClient(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	soon, cancel := context.WithTimeout(ctx, time.Minute) // the machine may be busy
	defer cancel()
	before := p.Process().Event
	set.Breaker(1).Open(breaker.Order{})
	for _, err := range c.Events(soon, before) {
		if err != nil {
			t.Errorf("the owner's events: %v", err)
		}
		break
	}
	if all, err := c.Status(soon, ops.StatusQuery{}); err != nil || len(all) != 5000 {
		t.Errorf("the owner's status: %d breakers, %v", len(all), err)
	}
	if _, err := c.Order(soon, ops.Order{ID: "tenants/7", Verb: breaker.VerbOpen, Actor: "ana"}); err != nil {
		t.Errorf("the owner's order: %v", err)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	p := ops.New(shop(t), ops.Options{})
	defer p.Close()
	srv := httptest.NewServer(p.Handler())
	t.Cleanup(srv.Close) // after the streams are closed
	for range 64 {
		stream(t, srv.URL, "")
	}
	resp, err := http.Get(srv.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the 65th reader got %s", resp.Status)
	}
}

func TestCloseEndsStreams(t *testing.T) {
	p := ops.New(shop(t), ops.Options{})
	srv := httptest.NewServer(p.Handler())
	t.Cleanup(srv.Close) // after the streams are closed
	r := stream(t, srv.URL, "")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

// pipes is a listener whose connections are in memory, for a synctest bubble.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l pipes) Close() error   { close(l); return nil }
func (l pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dialInMemory serves h over such a connection, until stop is called.
func dialInMemory(h http.Handler) (client net.Conn, stop func()) {
	l := make(pipes)
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	client, server := net.Pipe()
	l <- server
	return client, func() {
		client.Close()
		srv.Close()
	}
}

// followInMemory returns a reader of the events of h after the one with this
// id, which has read only the beginning of the answer.
func followInMemory(t *testing.T, h http.Handler, after string) *bufio.Reader {
	t.Helper()
	client, stop := dialInMemory(h)
	t.Cleanup(stop)
	fmt.Fprintf(client, "GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n", after)
	r := bufio.NewReader(client)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "retry") {
			return r
		}
	}
}

func TestReaderThatTakesNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shop(t)
		p := ops.New(m, ops.Options{})
		defer p.Close()
		followInMemory(t, p.Handler(), "")
		time.Sleep(4 * time.Second)
		if n := p.Streams(); n != 1 {
			t.Fatalf("%d readers, want 1", n)
		}
		time.Sleep(time.Minute) // it reads nothing, not even keep-alives
		if n := p.Streams(); n != 0 {
			t.Errorf("%d readers, want none: it took nothing for a minute", n)
		}
	})
}
