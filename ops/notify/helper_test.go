package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/notify"
)

const secretURL = "https://hooks.example/services/T0/s3cr3t?token=t0k3n"

// receiver is a webhook without a network.
type receiver struct {
	answer func(n int, r *http.Request) (*http.Response, error) // to the request with this number, from 1; nil: 200

	mu       sync.Mutex // guards the fields below
	requests []request
}

type request struct {
	at   time.Time
	body []byte
	head http.Header
	url  string
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.requests = append(r.requests, request{time.Now(), body, req.Header, req.URL.String()})
	n := len(r.requests)
	r.mu.Unlock()
	if r.answer != nil {
		return r.answer(n, req)
	}
	return status(http.StatusOK), nil
}

func status(code int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: code, Header: http.Header{}, Body: http.NoBody}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// take returns the requests so far, and forgets them.
func (r *receiver) take() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.requests
	r.requests = nil
	return all
}

// notices returns those of all requests so far, in the JSON format.
func (r *receiver) notices(t *testing.T) (all []notify.Notice) {
	t.Helper()
	for _, req := range r.take() {
		var body struct {
			Notices []notify.Notice `json:"notices"`
			Omitted int             `json:"omitted"`
		}
		if err := json.Unmarshal(req.body, &body); err != nil {
			t.Fatalf("%s: %v", req.body, err)
		}
		all = append(all, body.Notices...)
	}
	return all
}

// expect waits for a while and compares the notices with want: "kind text".
// Notices that follow from events come in their order, and those found by a
// look come in between.
func (r *receiver) expect(t *testing.T, after time.Duration, want ...string) {
	t.Helper()
	isLook := func(text string) bool { return strings.HasPrefix(text, string(notify.OverrideLost)) }
	time.Sleep(after)
	synctest.Wait()
	var got []string
	for _, n := range r.notices(t) {
		got = append(got, fmt.Sprintf("%s %s", n.Kind, n.Text))
	}
	slices.SortStableFunc(got, func(a, b string) int {
		switch {
		case isLook(a) == isLook(b):
			return 0
		case isLook(a):
			return 1
		}
		return -1
	})
	if !slices.Equal(got, want) {
		t.Errorf("the notices are\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// start watches a plane of m. Both end with the test.
func start(t *testing.T, m *breaker.Manager, r *receiver, o notify.Options, po ops.Options) *ops.Plane {
	t.Helper()
	po.Service = "shop"
	p := ops.New(m, po)
	o.URL, o.Client = secretURL, &http.Client{Transport: r}
	n, err := notify.Start(p, o)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	t.Cleanup(func() {
		_ = n.Close()
		_ = p.Close()
	})
	return p
}

var errDown = errors.New("connection refused")

func fail(b *breaker.Breaker, times int) {
	for range times {
		_ = b.Do(context.Background(), func(context.Context) error { return errDown })
	}
}

func succeed(b *breaker.Breaker) {
	_ = b.Do(context.Background(), func(context.Context) error { return nil })
}

func order(t *testing.T, p *ops.Plane, o ops.Order) {
	t.Helper()
	o.Actor = "ana"
	if _, err := p.Do(o, ops.Peer{Transport: "program"}); err != nil {
		t.Fatal(err)
	}
}
