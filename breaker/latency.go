package breaker

import (
	"slices"
	"time"
)

// latencyBounds are the longest calls that the buckets of a Latency count. Calls
// that took longer are in one more bucket.
var latencyBounds = [...]time.Duration{
	1 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2 * time.Second, 5 * time.Second,
	10 * time.Second, 20 * time.Second, 50 * time.Second,
}

// Latency counts calls by how long they took, in buckets whose bounds are 1, 2
// and 5 ms, 10, 20 and 50 ms, and so on up to 50 s. A breaker times its calls if
// Settings.SlowCall is set, and while they are recorded. If SlowCall is 200 ms
// or longer, it times them in steps of 10 ms, rounded up. The zero Latency has no
// calls.
type Latency struct {
	buckets [len(latencyBounds) + 1]uint64
}

// Count returns the number of calls.
func (l Latency) Count() (n uint64) {
	for _, b := range l.buckets {
		n += b
	}
	return n
}

// Plus returns the calls of l and of o.
func (l Latency) Plus(o Latency) Latency {
	for i := range l.buckets {
		l.buckets[i] += o.buckets[i]
	}
	return l
}

// Minus returns the calls of l without those of o, which was read earlier.
func (l Latency) Minus(o Latency) Latency {
	for i := range l.buckets {
		l.buckets[i] -= o.buckets[i]
	}
	return l
}

// Within returns the shortest bound within which at least this share of the
// calls ended: Within(0.99) is the 99th percentile, rounded up to a bound. It
// returns false if the share took longer than the largest bound, or if there
// are no calls.
func (l Latency) Within(share float64) (time.Duration, bool) {
	want := share * float64(l.Count())
	var n uint64
	for i, bound := range latencyBounds {
		if n += l.buckets[i]; n > 0 && float64(n) >= want {
			return bound, true
		}
	}
	return 0, false
}

// atMost returns how long a call took at most that took so long by the exact or
// the coarse clock. The steps of the coarse one hide the time up to its next step.
func atMost(took time.Duration, exact bool) time.Duration {
	if exact {
		return took
	}
	return took + fineStep
}

// latencyCount holds the counters behind a Latency: two cells have room for all
// buckets.
type latencyCount [2]striped

// add counts a call that took so long.
func (c *latencyCount) add(took time.Duration) {
	i, _ := slices.BinarySearch(latencyBounds[:], took)
	c[i/windowSteps].add(i % windowSteps)
}

// read adds up the cells.
func (c *latencyCount) read() (l Latency) {
	for i := range c {
		c[i].each(func(x *cell) {
			for j := range x {
				if k := i*windowSteps + j; k < len(l.buckets) {
					l.buckets[k] += x[j].Load()
				}
			}
		})
	}
	return l
}
