//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package fifo

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// BenchmarkOrder sends orders through the pipe while 100 calls hang, and
// reports the median and the worst time. -benchtime 1000x sends a thousand.
func BenchmarkOrder(b *testing.B) {
	m, c := serve(b, "foo")
	release := hangCalls(b, m.Breaker("foo"), 100)
	defer release()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		verb := breaker.VerbForceOpen
		if i%2 == 1 {
			verb = breaker.VerbClose
		}
		from := time.Now()
		if _, err := c.Send(b.Context(), "foo", breaker.Order{Verb: verb}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(from))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "worst-µs")
}

// BenchmarkStatus asks for the table of 10,000 breakers.
func BenchmarkStatus(b *testing.B) {
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = tempPath("b")[2:]
	}
	_, c := serve(b, ids...)
	for b.Loop() {
		if _, err := c.Status(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle reports the CPU time that a process with an open pipe uses in
// ten seconds without any writer. -benchtime 1x does it once.
func BenchmarkIdle(b *testing.B) {
	m, c := breaker.NewManager(breaker.Settings{}), Client{Input: b.TempDir() + "/in", Output: b.TempDir() + "/out"}
	mustStart(b, m, c)
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for b.Loop() {
		put(b, c.Input, "status\n")
		eventually(b, "the reply", func() bool { _, err := os.Stat(c.Output); return err == nil })
		before := cpu()
		<-time.After(10 * time.Second)
		b.ReportMetric(float64((cpu()-before).Microseconds())/10, "cpu-µs/s")
	}
}
