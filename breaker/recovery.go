package breaker

import (
	"slices"
	"time"
)

// This file is how a breaker comes back: the probes of a half-open one, and the
// ramp after it has closed.

// probes are the permits of a half-open breaker. Each is a lease: when its time
// is over its place is free, so that a probe that hangs, or is lost, cannot hold
// the breaker half-open for ever (I2). The probe's result counts whenever it
// comes, as long as the breaker is still half-open.
type probes struct {
	out     []lease
	last    uint32 // number of the newest lease; 0 is none
	expired int    // leases of this period that ran out without a result
}

type lease struct {
	number uint32
	began  time.Time
	ends   time.Time
	over   bool // it ran out: the place is free, the result still counts
}

// mostLeases bounds what is kept of probes that never report. At one each 30 s
// it is reached after eight hours; the result of the oldest then counts no more.
const mostLeases = 1024

// take leases a place if fewer than Probes are out (I3).
func (p *probes) take(r *compiled, now time.Time) (number uint32, ok bool) {
	p.expire(now)
	if p.live(now) >= r.Probes {
		return 0, false
	}
	if len(p.out) >= mostLeases+r.Probes {
		p.out = slices.Delete(p.out, 0, 1)
	}
	p.last++
	if p.last == 0 {
		p.last = 1
	}
	// A dependency that hangs is not probed at one pace for ever: each lease
	// that ran out makes the next one longer, as failed attempts do to the open
	// time.
	d := grown(&r.Settings, r.ProbeTimeout, p.expired)
	p.out = append(p.out, lease{number: p.last, began: now, ends: now.Add(d)})
	return p.last, true
}

// expire notes which leases have run out.
func (p *probes) expire(now time.Time) {
	for i := range p.out {
		if l := &p.out[i]; !l.over && !now.Before(l.ends) {
			l.over = true
			p.expired++
		}
	}
}

// has reports whether the probe of this lease is still out.
func (p *probes) has(number uint32) bool {
	return slices.ContainsFunc(p.out, func(l lease) bool { return l.number == number })
}

// free gives back the place of a probe that has a result, or was ignored. It
// reports false for one that has been freed already: a copy of its permit.
func (p *probes) free(number uint32) bool {
	i := slices.IndexFunc(p.out, func(l lease) bool { return l.number == number })
	if i < 0 {
		return false
	}
	p.out = slices.Delete(p.out, i, i+1)
	return true
}

// clear begins a period: whatever is out belongs to another one. Numbers go on,
// so that such a permit frees no place of the new period.
func (p *probes) clear() { p.out, p.expired = p.out[:0], 0 }

// live is the number of places that are taken.
func (p *probes) live(now time.Time) (n int) {
	for i := range p.out {
		n += btoi(now.Before(p.out[i].ends))
	}
	return n
}

// nextFree is when a place becomes free, by itself; now if one is.
func (p *probes) nextFree(places int, now time.Time) (at time.Time) {
	if p.live(now) < places {
		return now
	}
	for i := range p.out {
		if ends := p.out[i].ends; now.Before(ends) && (at.IsZero() || ends.Before(at)) {
			at = ends
		}
	}
	return at
}

// oldest is when the first of the probes that are out began; zero: none is. One
// whose lease has run out still counts.
func (p *probes) oldest() (began time.Time) {
	for i := range p.out {
		if b := p.out[i].began; began.IsZero() || b.Before(began) {
			began = b
		}
	}
	return began
}

// ramp admits a share of the calls that grows evenly from none to all.
type ramp struct {
	began  time.Time
	over   time.Duration
	credit float64 // what is owed to calls: a call is admitted for each whole 1
}

func (r *ramp) share(now time.Time) float64 {
	return min(1, float64(now.Sub(r.began))/float64(r.over))
}

// admit reports whether one call may pass, spreading the admitted ones evenly
// instead of by chance.
func (r *ramp) admit(now time.Time) bool {
	r.credit += r.share(now)
	if r.credit < 1 {
		return false
	}
	r.credit--
	return true
}
