package lab

import (
	"slices"
	"time"
)

// A row is the result of a contender in a scene. Shares are in per cent.
type row struct {
	Calls           int
	Episodes, Found int     // episodes, and how many the breaker opened in
	Delay, DelayMax float64 // s from the begin of an episode to the trip: mean and most
	Failed          float64 // calls that failed in an episode before the trip: mean
	FalseTrips      float64 // a day: outside of the episodes
	RejectedOut     float64 // of the good calls outside episodes, how many were rejected
	RejectedIn      float64 // of the calls in episodes, how many were good and rejected
	Wasted          float64 // of the calls in episodes, how many ran and failed
	Waited          float64 // s that the callers of a call in an episode waited for it: mean
	Probes          float64 // calls let run, for each minute of not being closed
	Recovery        float64 // s from the end of a found episode to closed: mean
}

// grace is how long after an episode a trip still counts as caused by it: calls
// that began in it are in flight.
func (s *scene) grace() time.Duration { return seconds(s.fail + 1) }

// score judges what was noted against the truth.
func (n *notes) score() row {
	r := row{Calls: len(n.s.calls), Episodes: len(n.s.sick)}
	n.calls(&r)
	n.episodes(&r)
	open := time.Duration(0)
	for i, t := range n.trips {
		open += n.closed(i) - t
	}
	if open > 0 {
		r.Probes = float64(n.probes) / open.Minutes()
	}
	return r
}

// closed returns when the breaker closed after its trip i: the end of the
// scene if it did not.
func (n *notes) closed(i int) time.Duration {
	if i < len(n.closes) {
		return n.closes[i]
	}
	return seconds(n.s.span)
}

// calls fills in the shares of calls.
func (n *notes) calls(r *row) {
	var out, in, rejectedOut, rejectedIn, wasted, waited float64
	sick := during(n.s.sick, 1, 0)
	for i, c := range n.s.calls {
		ran := n.ran[i]
		if sick(c.at.Seconds()) == 0 {
			if !c.bad {
				out++
				rejectedOut += one(!ran)
			}
			continue
		}
		in++
		rejectedIn += one(!ran && !c.bad)
		wasted += one(ran && c.bad)
		if ran {
			waited += (c.end - c.at).Seconds()
		}
	}
	r.RejectedOut = 100 * rejectedOut / max(1, out)
	r.RejectedIn = 100 * rejectedIn / max(1, in)
	r.Wasted = 100 * wasted / max(1, in)
	r.Waited = waited / max(1, in)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// episodes fills in what happened in the episodes, and the trips outside.
func (n *notes) episodes(r *row) {
	caused, recovery := 0, 0.0
	var delays []float64
	for _, ep := range n.s.sick {
		end := ep.to + n.s.grace()
		first := time.Duration(-1)
		closed := ep.to // when the last trip that began before the end was over
		for i, t := range n.trips {
			if t >= end {
				break
			}
			if t >= ep.from {
				caused++
			}
			if first < 0 && n.closed(i) > ep.from {
				first = max(t, ep.from) // it may have been open already
			}
			closed = max(closed, n.closed(i))
		}
		if first < 0 {
			continue
		}
		delays = append(delays, (first - ep.from).Seconds())
		r.Failed += float64(n.failures(ep.from, first))
		recovery += (closed - ep.to).Seconds()
	}
	if r.Found = len(delays); r.Found > 0 {
		found := float64(r.Found)
		for _, d := range delays {
			r.Delay += d / found
		}
		r.DelayMax = slices.Max(delays)
		r.Failed /= found
		r.Recovery = recovery / found
	}
	r.FalseTrips = float64(len(n.trips)-caused) / n.s.days()
}

// failures counts the calls that began at from or later and had failed by to.
func (n *notes) failures(from, to time.Duration) (failed int) {
	i, _ := slices.BinarySearchFunc(n.s.calls, from, func(c call, at time.Duration) int { return int(c.at - at) })
	for ; i < len(n.s.calls) && n.s.calls[i].at <= to; i++ {
		if c := n.s.calls[i]; c.bad && n.ran[i] && c.end <= to {
			failed++
		}
	}
	return failed
}
