package ops

import "github.com/switchgear-go/switchgear/breaker"

// Latency is how long the calls of a breaker, or of all keys of a set, took over
// the last five minutes, where the breaker times them. P50, P90 and P99 are
// within what time half of the calls, nine in ten, and 99 in 100 ended. They are
// rounded up to 1, 2 or 5 ms, 10, 20 or 50 ms, and so on; 0 stands for more than
// 50 s.
type Latency struct {
	Calls uint64   `json:"calls"`
	P50   Duration `json:"p50"`
	P90   Duration `json:"p90"`
	P99   Duration `json:"p99"`
}

// latencyOf returns nil if no call was timed.
func latencyOf(l breaker.Latency) *Latency {
	n := l.Count()
	if n == 0 {
		return nil
	}
	within := func(share float64) Duration {
		d, _ := l.Within(share)
		return Duration(d)
	}
	return &Latency{Calls: n, P50: within(0.5), P90: within(0.9), P99: within(0.99)}
}

// latency returns that of a name.
func (p *plots) latency(name string) *Latency {
	all := p.of([]string{name})
	return all[0].Latency
}
