//go:build unix

package ops_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

// Orders on the socket while a hundred calls hang.
func TestOrdersBySocketAreQuick(t *testing.T) {
	m := shop(t)
	_, c := listen(t, m)
	b := m.Breaker("payments")
	hang := make(chan struct{})
	var began, over sync.WaitGroup
	for range 100 {
		began.Add(1)
		over.Go(func() {
			_ = b.Do(ctx, func(context.Context) error {
				began.Done()
				<-hang
				return nil
			})
		})
	}
	began.Wait()
	times := make([]time.Duration, 1000)
	for i := range times {
		start := time.Now()
		verb := []breaker.Verb{breaker.VerbOpen, breaker.VerbClose}[i%2]
		if _, err := c.Order(ctx, ops.Order{ID: "payments", Verb: verb, Actor: "ana"}); err != nil {
			t.Fatal(err)
		}
		times[i] = time.Since(start)
	}
	close(hang)
	over.Wait()
	slices.Sort(times)
	t.Logf("1,000 orders by socket beside 100 calls that hang: median %s, 99 %% %s, worst %s", times[500], times[990], times[999])
	if times[500] > 20*time.Millisecond {
		t.Errorf("the median is %s, want at most 20ms", times[500])
	}
}

// The status of 100,000 breakers over the socket, streamed; of fewer under the
// race detector, because otherwise that would be measured.
func TestStatusOfVeryMany(t *testing.T) {
	m := breaker.NewManager(breaker.Settings{})
	set, err := breaker.CreateSet[int](m, "tenants", breaker.Settings{}, breaker.SetOptions{MaxKeys: veryMany})
	if err != nil {
		t.Fatal(err)
	}
	for i := range veryMany {
		set.Breaker(i)
	}
	s, c := listen(t, m)
	plain := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.Path())
	}}}
	defer plain.CloseIdleConnections()
	start := time.Now()
	resp, err := plain.Get("http://socket/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	raw := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	all, err := c.Status(ctx, ops.StatusQuery{})
	if err != nil || len(all) != veryMany {
		t.Fatal(len(all), err)
	}
	decoded := time.Since(start)
	start = time.Now()
	o, err := c.Overview(ctx)
	if err != nil || len(o.Sets) != 1 || o.Sets[0].Keys != veryMany {
		t.Fatal(o, err)
	}
	folded := time.Since(start)
	start = time.Now()
	if p, err := c.Process(ctx); err != nil || p.Breakers != veryMany {
		t.Fatal(p, err)
	}
	t.Logf("status of %d: %d bytes (%d each) in %s, decoded by the client in %s; the overview in %s, the process in %s", veryMany, n, n/veryMany,
		raw.Round(time.Millisecond), decoded.Round(time.Millisecond), folded.Round(time.Millisecond), time.Since(start).Round(time.Microsecond))
}
