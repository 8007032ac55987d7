package elasticsearch

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// node is a server that answers as Elasticsearch does.
type node struct {
	*httptest.Server
	status atomic.Int64
	asked  atomic.Int64
}

func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{}
	n.status.Store(http.StatusOK)
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.asked.Add(1)
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/vnd.elasticsearch+json;compatible-with=8")
		status := int(n.status.Load())
		w.WriteHeader(status)
		if status >= 400 {
			fmt.Fprintf(w, `{"error":{"type":"as_asked"},"status":%d}`, status)
			return
		}
		fmt.Fprint(w, `{"took":1,"hits":{"total":{"value":0},"hits":[]}}`)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *node) host() string {
	u, _ := url.Parse(n.URL)
	return u.Host
}

func newSet() *breaker.Set[string] {
	return breaker.NewSet[string]("elasticsearch", breaker.Settings{FailMax: 3, ResetTimeout: 50 * time.Millisecond}, breaker.SetOptions{})
}

// A node that fails opens its own breaker, while the other one answers: the
// client tries again there.
func TestNodeFails(t *testing.T) {
	set := newSet()
	good, bad := newNode(t), newNode(t)
	client, err := NewClient(set, good.URL, bad.URL)
	if err != nil {
		t.Fatal(err)
	}
	set.Breaker(bad.host()).ForceOpen(breaker.Order{})
	for range 10 {
		r, err := client.Search()
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.IsError() {
			t.Error(r)
		}
	}
	if bad.asked.Load() != 0 || good.asked.Load() != 10 || set.Breaker(good.host()).State() != breaker.Closed {
		t.Errorf("the bad node was asked %d times and the good one %d, want 0 and 10", bad.asked.Load(), good.asked.Load())
	}
}

// The breaker of a node that fails opens, and closes when the node works again.
func TestOutage(t *testing.T) {
	set := newSet()
	n := newNode(t)
	client, err := NewClient(set, n.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := set.Breaker(n.host())
	n.status.Store(http.StatusServiceUnavailable)
	for range 3 {
		if r, err := client.Search(); err == nil {
			r.Body.Close()
		}
	}
	if b.State() != breaker.Open || n.asked.Load() != 3 {
		t.Errorf("%s after %d searches, want open after 3", b.State(), n.asked.Load())
	}
	n.status.Store(http.StatusOK)
	for deadline := time.Now().Add(20 * time.Second); b.State() != breaker.Closed; {
		if time.Now().After(deadline) {
			t.Fatal("the breaker does not close")
		}
		if err := b.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, err := client.Search(); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
	}
}

// Elasticsearch's answers to the program are not failures.
func TestAnswers(t *testing.T) {
	set := newSet()
	n := newNode(t)
	client, err := NewClient(set, n.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{400, 401, 403, 404, 409} {
		n.status.Store(int64(status))
		for range 5 {
			if r, err := client.Search(); err != nil || r.StatusCode != status {
				t.Fatalf("got %v and %v, want %d", r, err, status)
			}
		}
	}
	if b := set.Breaker(n.host()); b.State() != breaker.Closed || b.FailCount() != 0 {
		t.Errorf("%s with %d failures, want closed and none", b.State(), b.FailCount())
	}
}

// With every node's breaker open the caller gets the rejection, at once.
func TestRejection(t *testing.T) {
	set := newSet()
	n := newNode(t)
	client, err := NewClient(set, n.URL)
	if err != nil {
		t.Fatal(err)
	}
	set.Breaker(n.host()).ForceOpen(breaker.Order{})
	if _, err := client.Search(); !Unavailable(err) {
		t.Errorf("got %v, want a rejection", err)
	}
	if n.asked.Load() != 0 {
		t.Error("the node was asked")
	}
}
