package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
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

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func countOf(t *testing.T, body []byte) (notices, leftOut int) {
	t.Helper()
	var x struct {
		Notices []notify.Notice `json:"notices"`
		Omitted int             `json:"omitted"`
	}
	if err := json.Unmarshal(body, &x); err != nil {
		t.Fatal(err)
	}
	return len(x.Notices), x.Omitted
}

// Notices that occur together are sent together, and requests keep their
// distance.
func TestBatchesAndPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := breaker.NewManager(breaker.Settings{}), &receiver{}
		p := start(t, m, r, notify.Options{Wait: 2 * time.Second, Every: 10 * time.Second}, ops.Options{})
		began := time.Now()
		for i := range 40 {
			p.Report("", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var at []time.Duration
		var counts []int
		for _, req := range r.take() {
			n, _ := countOf(t, req.body)
			at, counts = append(at, req.at.Sub(began)), append(counts, n)
		}
		if want := []time.Duration{2 * time.Second, 12 * time.Second, 22 * time.Second, 32 * time.Second, 42 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("requests went at %v with %v notices, want at %v", at, counts, want)
		}
		sum := 0
		for _, n := range counts {
			sum += n
		}
		if sum != 40 {
			t.Errorf("%d notices were sent, want 40", sum)
		}
	})
}

// failures collects what Options.Failed is called with.
type failures struct {
	mu  sync.Mutex // guards the field below
	all []string
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprint(err))
}

func (f *failures) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// A request that fails is repeated until it is accepted, at growing intervals.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := breaker.NewManager(breaker.Settings{}), &failures{}
		r := &receiver{answer: func(n int, r *http.Request) (*http.Response, error) {
			switch n {
			case 1:
				return nil, fmt.Errorf("Post %q: dial tcp: connection refused", r.URL)
			case 2:
				return status(503), nil
			case 3:
				return status(429, "Retry-After", "100"), nil
			case 4:
				return status(500, "Retry-After", time.Now().Add(200*time.Second).UTC().Format(http.TimeFormat)), nil
			}
			return status(204), nil
		}}
		p := start(t, m, r, notify.Options{Failed: f.add}, ops.Options{})
		p.Report("", "hello")
		time.Sleep(time.Hour)
		synctest.Wait()
		all := r.take()
		if len(all) != 5 {
			t.Fatalf("%d requests, want 5", len(all))
		}
		for i, least := range []time.Duration{500 * time.Millisecond, time.Second, 100 * time.Second, 199 * time.Second} {
			if d := all[i+1].at.Sub(all[i].at); d < least || d > least+10*time.Second {
				t.Errorf("request %d came %s after the one before, want %s or a little more", i+2, d, least)
			}
			if string(all[i+1].body) != string(all[0].body) {
				t.Errorf("request %d has another body", i+2)
			}
		}
		if got := f.take(); len(got) != 2 || got[0] != `notify: hooks.example: Post "[secret]": dial tcp: connection refused` || got[1] != "<nil>" {
			t.Errorf("Failed received %q", got)
		}
	})
}

// A receiver that is down for hours is tried now and then; of the waiting
// notices, the oldest are dropped and counted.
func TestReceiverThatIsDownForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{})
		up := time.Now().Add(6 * time.Hour)
		r := &receiver{answer: func(int, *http.Request) (*http.Response, error) {
			if time.Now().Before(up) {
				return status(502), nil
			}
			return status(200), nil
		}}
		p := start(t, m, r, notify.Options{}, ops.Options{})
		for i := range 3000 {
			p.Report("", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		all := r.take()
		if len(all) < 50 || len(all) > 200 {
			t.Errorf("%d requests in six hours", len(all))
		}
		n, left := countOf(t, all[len(all)-1].body)
		first, _ := countOf(t, all[0].body)
		if n != 1000 || first+n+left != 3000 {
			t.Errorf("at last %d notices and %d left out, want the newest 1,000; the first request had %d", n, left, first)
		}
	})
}

// What is refused is lost, and does not delay the rest.
func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := breaker.NewManager(breaker.Settings{}), &failures{}
		r := &receiver{answer: func(n int, _ *http.Request) (*http.Response, error) {
			return status([]int{404, 302, 200}[min(n, 3)-1], "Location", "https://elsewhere.example/"), nil
		}}
		p := start(t, m, r, notify.Options{Failed: f.add}, ops.Options{})
		for i := range 3 {
			p.Report("", fmt.Sprint(i))
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if got, want := f.take(), []string{"notify: hooks.example refuses with status 404, and what it was sent is lost", "<nil>"}; !slices.Equal(got, want) {
			t.Errorf("Failed received %q, want %q", got, want)
		}
		if n := len(r.take()); n != 3 {
			t.Errorf("%d requests, want 3: a redirect is not followed", n)
		}
	})
}

// Close sends what waits, and gives up on a receiver that hangs.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, hangs := range []bool{false, true} {
			m := breaker.NewManager(breaker.Settings{})
			p := ops.New(m, ops.Options{})
			r := &receiver{}
			if hangs {
				r.answer = func(_ int, r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
			}
			n, err := notify.Start(p, notify.Options{URL: secretURL, Client: &http.Client{Transport: r}, Wait: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			fail(m.Breaker("payments"), 5)
			fail(m.Breaker("search"), 5)
			synctest.Wait()
			began := time.Now()
			err = n.Close()
			took := time.Since(began)
			switch {
			case !hangs && (err != nil || took != 0 || len(r.notices(t)) != 2):
				t.Errorf("Close took %s: %v", took, err)
			case hangs && (err == nil || took != 5*time.Second || err.Error() != "notify: hooks.example: closed before 2 notices were delivered"):
				t.Errorf("Close of one that hangs took %s: %v", took, err)
			}
			if err := n.Close(); err != nil {
				t.Errorf("the second Close: %v", err)
			}
			n.Watch(&address{})() // does nothing
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A receiver that hangs delays no breaker and no order.
func TestReceiverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := breaker.NewManager(breaker.Settings{FailMax: 1})
		r := &receiver{answer: func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		p := start(t, m, r, notify.Options{}, ops.Options{})
		began := time.Now()
		for i := range 5000 {
			fail(m.Breaker(fmt.Sprint("b", i)), 1)
		}
		order(t, p, ops.Order{ID: "b1", Verb: breaker.VerbClose})
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}

// A real server, a plane and a header.
func TestRealServer(t *testing.T) {
	got := make(chan request, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{body: body, head: r.Header, url: r.URL.String()}
		w.WriteHeader(http.StatusAccepted)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	m := breaker.NewManager(breaker.Settings{})
	p := ops.New(m, ops.Options{Service: "shop"})
	defer p.Close()
	n, err := notify.Start(p, notify.Options{
		URL: server.URL + "/hook?x=1", Client: server.Client(), Wait: time.Millisecond,
		Header: http.Header{"authorization": {"Bearer t0k3n"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	fail(m.Breaker("payments"), 5)
	req := <-got
	if req.url != "/hook?x=1" || req.head.Get("Content-Type") != "application/json" || req.head.Get("Authorization") != "Bearer t0k3n" || !strings.Contains(string(req.body), "payments opened: 5 failures in a row") {
		t.Errorf("the request is %+v: %s", req, req.body)
	}
	if err := n.Send(t.Context(), notify.Notice{Kind: notify.Report, Text: "a test"}); err != nil {
		t.Error(err)
	}
	if req = <-got; !strings.Contains(string(req.body), "a test") {
		t.Errorf("the test is %s", req.body)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	server.Close()
	gone, err := notify.New(notify.Options{URL: server.URL + "/s3cr3t"})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if err := gone.Send(t.Context(), notify.Notice{}); err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("sending to a server that is gone: %v", err)
	}
}

// Secrets appear in no error and no text of the options.
func TestSecrets(t *testing.T) {
	secrets := []string{"s3cr3t", "t0k3n", "p4ss", "k3y", "b34rer"}
	o := notify.Options{URL: "https://u:p4ss@hooks.example/s3cr3t%20x?token=t0k3n", Format: notify.PagerDuty, Key: "k3y", Header: http.Header{"Authorization": {"b34rer"}}}
	var texts []string
	for _, text := range []string{
		"https://u:p4ss@hooks.example/s3cr3t%20x?token=t0k3n", "/s3cr3t%20x?token=t0k3n", "/s3cr3t x", "token=t0k3n", "u:p4ss", "b34rer", "k3y",
	} {
		o.Client = &http.Client{Transport: &receiver{answer: func(int, *http.Request) (*http.Response, error) { return nil, errors.New("proxy says: " + text) }}}
		n, err := notify.New(o)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, n.Send(t.Context(), notify.Notice{Kind: notify.Opened}).Error(), fmt.Sprintf("%v %+v %#v %s %#v", o, o, o, n, n))
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, wrong := range []notify.Options{
		{URL: "hooks.example/s3cr3t"},
		{URL: "ftp://hooks.example/s3cr3t"},
		{URL: "https://hooks.example/s3cr3t%zz"},
		{URL: ":s3cr3t"},
		{URL: "https://[s3cr3t"},
		{},
		{URL: secretURL, Format: "teams"},
		{Format: notify.PagerDuty},
		{URL: secretURL, Wait: -1},
		{URL: secretURL, FlapsPerHour: -1},
		{URL: secretURL, Kinds: []notify.Kind{"x"}},
	} {
		_, err := notify.New(wrong)
		if err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: %v, want an error that says what would be right", wrong, err)
			continue
		}
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s is in %q", s, text)
			}
		}
	}
}
