// Profile loads a guarded HTTP client on loopback for some seconds, with CPU
// profiling on, and says what share of the CPU time the breaker took.
//
//	cd bench && GOWORK=off go run ./profile
//
// The server is a separate process, so that its work does not make the
// breaker's share look small. It takes a port of the loopback interface, and
// ends with the client.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// target is the most that the breaker may take of the client's CPU time.
const target = 0.005

func main() {
	serve := flag.Bool("serve", false, "be the server (the program starts itself so)")
	seconds := flag.Int("seconds", 10, "how long to load it under each rule, at most 60")
	file := flag.String("o", "guarded-http.prof", "where to leave the profile")
	flag.Parse()
	if *serve {
		runServer()
		return
	}
	if err := run(time.Duration(min(*seconds, 60))*time.Second, *file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runServer answers on loopback until standard input ends.
func runServer() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	body := []byte(strings.Repeat("x", 256))
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startServer starts this program again, as the server, and returns its
// address and how to stop it.
func startServer() (addr string, stop func(), err error) {
	cmd := exec.Command(os.Args[0], "-serve")
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _, _ = in.Close(), cmd.Wait() }
	addr, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, err
	}
	return strings.TrimSpace(addr), stop, nil
}

// run profiles the load and prints what the breaker took of it, once for each
// rule.
func run(length time.Duration, file string) error {
	addr, stop, err := startServer()
	if err != nil {
		return err
	}
	defer stop()
	var worst, surely float64
	for _, r := range []struct {
		name     string
		settings breaker.Settings
	}{
		{"consecutive failures", breaker.Settings{}},
		{"consecutive failures, failure rate and slow calls in 10 s", breaker.Settings{FailureRate: 0.5, SlowCall: time.Second, SlowRate: 0.5}},
	} {
		var profiled bytes.Buffer
		if err := pprof.StartCPUProfile(&profiled); err != nil {
			return err
		}
		calls, err := load("http://"+addr, breaker.New("loopback", r.settings), length)
		pprof.StopCPUProfile()
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, profiled.Bytes(), 0o644); err != nil {
			return err
		}
		u, err := usageOf(profiled.Bytes())
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d calls in %s, %.1f us of CPU each\n", r.name, calls, length, float64(u.total.Microseconds())/float64(calls))
		fmt.Printf("  the breaker, and what it calls: %.2f %% ± %.2f %% of CPU (%s of %s; %.2f %% in its own instructions)\n",
			100*u.share(), 100*u.deviation(), u.breaker, u.total, 100*float64(u.flat)/float64(u.total))
		worst, surely = max(worst, u.share()), max(surely, u.share()-2*u.deviation())
	}
	verdict := "reached"
	switch {
	case surely >= target:
		verdict = "NOT REACHED"
	case worst >= target:
		verdict = "not decided: above it by less than two standard deviations; -seconds 60 says more"
	}
	fmt.Printf("target: below %.1f %%: %s\n", 100*target, verdict)
	return nil
}

// load keeps four workers for each processor busy with guarded requests.
func load(url string, b *breaker.Breaker, length time.Duration) (calls int64, err error) {
	workers := 4 * runtime.GOMAXPROCS(0)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				// The request has no deadline: the last ones end by
				// themselves instead of as failures.
				err := b.Do(context.Background(), func(ctx context.Context) error { return get(ctx, client, url) })
				if err != nil {
					failed.Add(1)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		return 0, fmt.Errorf("%d workers met an error", n)
	}
	return done.Load(), nil
}

// get is the guarded function. It is not inlined, so that the profile separates it
// from the breaker that calls it.
//
//go:noinline
func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode >= 500 {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return err
}
