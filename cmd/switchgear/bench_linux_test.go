package main_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// How long a command takes on a host with 13 processes, while all of them
// answer and while one of them is stopped.
func BenchmarkThirteenProcesses(b *testing.B) {
	h := newHost(b)
	var shops []*shop
	for i := range 13 {
		shops = append(shops, h.shop(fmt.Sprintf("service-%d", i)))
	}
	one := fmt.Sprint(shops[1].PID)
	for _, stopped := range []bool{false, true} {
		if stopped {
			if err := syscall.Kill(shops[0].PID, syscall.SIGSTOP); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range []struct {
			name  string
			words []string
		}{
			{"version", args("--version")}, // the start of the program alone
			{"ps", args("ps")},
			{"status", args("status")},
			{"explain", args("explain", "payments")},
			{"status-p", args("status", "-p", one)},
			{"close-p", args("close", "payments", "-p", one)},
			{"close-all", args("close", "payments", "--yes", "13")},
		} {
			b.Run(fmt.Sprintf("stopped=%t/%s", stopped, c.name), func(b *testing.B) {
				var times []time.Duration
				for b.Loop() {
					began := time.Now()
					h.run(c.words...)
					times = append(times, time.Since(began))
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "worst-ms")
			})
		}
	}
}
