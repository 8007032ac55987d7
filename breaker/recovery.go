package breaker

import (
	"slices"
	"time"
)

// This file is how a breaker recovers: the probes while it is half-open, and the
// ramp after it has closed. Breaker.mu guards both.

// probes are the permits of a half-open breaker. Each is a lease: when it runs
// out, its place is free again, so that a probe that hangs or is lost cannot
// keep the breaker half-open forever (I2). The result of a probe counts
// whenever it arrives, as long as the breaker is still in that half-open
// period.
type probes struct {
	out     []lease // leases without a result, oldest first
	last    uint32  // the number of the newest lease; 0 is never used
	expired int     // leases of this period that ran out without a result
}

type lease struct {
	number uint32
	began  time.Time
	ends   time.Time
	over   bool // it ran out: the place is free, but the result still counts
}

// mostLeases bounds the memory for probes that never report. With one probe
// every 30 s it is reached after eight hours; from then on the result of the
// oldest probe no longer counts.
const mostLeases = 1024

// take leases a place, unless Probes leases are running (I3). A lease that has
// run out does not block the next probe (I2).
func (p *probes) take(r *compiled, now time.Time) (number uint32, ok bool) {
	// Count the leases that have run out before the length of the next is
	// chosen.
	p.expire(now)
	if p.live(now) >= r.Probes {
		return 0, false
	}
	// The oldest probe has not reported for hours: give it up.
	if len(p.out) >= mostLeases+r.Probes {
		p.out = slices.Delete(p.out, 0, 1)
	}
	// Numbers are not reused within a period, so that a permit frees only its
	// own place. 0 means "not a probe" in a permit, so it is skipped.
	p.last++
	if p.last == 0 {
		p.last = 1
	}
	// If the dependency hangs, it is not probed at the same pace forever: each
	// lease that ran out lengthens the next one, as failed attempts lengthen the
	// open time.
	d := grown(&r.Settings, r.ProbeTimeout, p.expired)
	p.out = append(p.out, lease{number: p.last, began: now, ends: now.Add(d)})
	return p.last, true
}

// expire marks the leases that have run out, and counts each of them once.
func (p *probes) expire(now time.Time) {
	for i := range p.out {
		if l := &p.out[i]; !l.over && !now.Before(l.ends) {
			l.over = true
			p.expired++
		}
	}
}

// has reports whether the probe with this lease has not ended yet.
func (p *probes) has(number uint32) bool {
	return slices.ContainsFunc(p.out, func(l lease) bool { return l.number == number })
}

// free gives back the place of a probe that has a result or is ignored. It
// returns false if that has been done already, by a copy of the permit.
func (p *probes) free(number uint32) bool {
	i := slices.IndexFunc(p.out, func(l lease) bool { return l.number == number })
	if i < 0 {
		return false
	}
	// Delete keeps the order, since take gives up the oldest probe first.
	p.out = slices.Delete(p.out, i, i+1)
	return true
}

// clear begins a new period, in which no probe is out. last is not reset: a
// permit of an old period must not free a place of the new one (I1).
func (p *probes) clear() { p.out, p.expired = p.out[:0], 0 }

// live returns the number of places that are taken at now (I3).
func (p *probes) live(now time.Time) (n int) {
	for i := range p.out {
		n += btoi(now.Before(p.out[i].ends))
	}
	return n
}

// nextFree returns the time at which a place becomes free even if no probe
// reports; it is now if a place is free already. Update may have left fewer
// places than there are leases.
func (p *probes) nextFree(places int, now time.Time) time.Time {
	var ends []time.Time
	for _, l := range p.out {
		if now.Before(l.ends) {
			ends = append(ends, l.ends)
		}
	}
	if len(ends) < places {
		return now
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends[len(ends)-places]
}

// oldest returns the time at which the first of the probes without a result
// began, or the zero time if there is none. Probes whose lease has run out are
// included.
func (p *probes) oldest() (began time.Time) {
	if len(p.out) > 0 {
		began = p.out[0].began
	}
	return began
}

// ramp admits a share of the calls that grows linearly from none to all.
type ramp struct {
	began  time.Time
	over   time.Duration
	credit float64 // sum of the shares of all calls so far, less the calls admitted
}

// share returns the share of calls to admit at now, up to 1.
func (r *ramp) share(now time.Time) float64 {
	return min(1, float64(now.Sub(r.began))/float64(r.over))
}

// admit reports whether one call may run. It admits a call each time the shares
// add up to one, so that the admitted calls are spread evenly, without chance.
func (r *ramp) admit(now time.Time) bool {
	// A call that is rejected adds its share, too.
	r.credit += r.share(now)
	if r.credit < 1 {
		return false
	}
	r.credit--
	return true
}
