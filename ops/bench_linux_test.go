package ops_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

const manyKeys = 50_000

// playManyKeys is a process with a set of many keys, served on a socket and a
// URL.
func playManyKeys() {
	m := breaker.NewManager(breaker.Settings{})
	set, err := breaker.CreateSet[int](m, "tenants", breaker.Settings{}, breaker.SetOptions{MaxKeys: manyKeys})
	if err == nil {
		for i := range manyKeys {
			set.Breaker(i)
		}
		p := ops.New(m, ops.Options{})
		var s *ops.Server
		if s, err = p.Listen(); err == nil {
			var l net.Listener
			if l, err = net.Listen("tcp", "0.0.0.0:0"); err == nil {
				fmt.Println(s.Path(), l.Addr().(*net.TCPAddr).Port)
				err = http.Serve(l, p.Handler())
			}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// An order on the socket while 64 readers, each from a different address or on
// the socket as well, read the status of 50,000 keys page by page, as fast as
// they get it. The server is a separate process.
func BenchmarkOrderBesideReaders(b *testing.B) {
	c := child(b, "many keys", "SWITCHGEAR_RUNTIME_DIR="+b.TempDir())
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	line, _ := bufio.NewReader(out).ReadString('\n')
	socket, port, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok {
		b.Fatal(line)
	}
	client, err := ops.NewClient(socket)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for _, by := range []string{"nobody", "http", "socket"} {
		b.Run("readers="+by, func(b *testing.B) {
			ctx, stop := context.WithCancel(b.Context())
			var readers sync.WaitGroup
			var pages, bytes, refused atomic.Int64
			for i := range 64 {
				if by == "nobody" {
					break
				}
				readers.Go(func() {
					d := net.Dialer{}
					base, network, address := "http://127.0.0.1:"+port, "tcp", "127.0.0.1:"+port
					if by == "socket" {
						base, network, address = "http://socket", "unix", socket
					} else {
						d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}
					}
					h := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
						return d.DialContext(ctx, network, address)
					}}}
					defer h.CloseIdleConnections()
					for ctx.Err() == nil {
						req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/status", nil)
						if err != nil {
							b.Error(err)
							return
						}
						resp, err := h.Do(req)
						if err != nil {
							continue
						}
						n, _ := io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						if resp.StatusCode != http.StatusOK {
							refused.Add(1)
							continue
						}
						pages.Add(1)
						bytes.Add(n)
					}
				})
			}
			time.Sleep(500 * time.Millisecond) // until all of them read
			var times []time.Duration
			began := time.Now()
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				verb := []breaker.Verb{breaker.VerbOpen, breaker.VerbClose}[i%2]
				if _, err := client.Order(ctx, ops.Order{ID: "tenants/7", Verb: verb, Actor: "ana"}); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			took := time.Since(began).Seconds()
			stop()
			readers.Wait()
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "worst-ms")
			b.ReportMetric(float64(pages.Load())/took, "pages/s")
			b.ReportMetric(float64(refused.Load())/took, "refused/s")
			b.ReportMetric(float64(bytes.Load())/took/1e6, "MB/s")
		})
	}
}

// An order on the socket while a hundred calls of its breaker hang.
func BenchmarkOrderBesideHangingCalls(b *testing.B) {
	m := shop(b)
	_, c := listen(b, m)
	payments := m.Breaker("payments")
	hang := make(chan struct{})
	var began, over sync.WaitGroup
	for range 100 {
		began.Add(1)
		over.Go(func() {
			_ = payments.Do(ctx, func(context.Context) error {
				began.Done()
				<-hang
				return nil
			})
		})
	}
	began.Wait()
	times := make([]time.Duration, 0, b.N)
	for b.Loop() {
		verb := []breaker.Verb{breaker.VerbOpen, breaker.VerbClose}[len(times)%2]
		start := time.Now()
		if _, err := c.Order(ctx, ops.Order{ID: "payments", Verb: verb, Actor: "ana"}); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	close(hang)
	over.Wait()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns/op")
}

// The status, the overview and the process of 100,000 keys, over the socket.
func BenchmarkStatusOfManyKeys(b *testing.B) {
	const keys = 100_000
	m := breaker.NewManager(breaker.Settings{})
	set, err := breaker.CreateSet[int](m, "tenants", breaker.Settings{}, breaker.SetOptions{MaxKeys: keys})
	if err != nil {
		b.Fatal(err)
	}
	for i := range keys {
		set.Breaker(i)
	}
	_, c := listen(b, m)
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			if all, err := c.Status(ctx, ops.StatusQuery{}); err != nil || len(all) != keys {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("overview", func(b *testing.B) {
		for b.Loop() {
			if o, err := c.Overview(ctx); err != nil || len(o.Sets) != 1 || o.Sets[0].Keys != keys {
				b.Fatal(o, err)
			}
		}
	})
	b.Run("process", func(b *testing.B) {
		for b.Loop() {
			if p, err := c.Process(ctx); err != nil || p.Breakers != keys {
				b.Fatal(p, err)
			}
		}
	})
}
