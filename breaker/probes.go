package breaker

import "time"

// probes are the permits of a half-open breaker. Each is a lease: one that is
// not settled in time is taken back, so that a probe that hangs, or is lost,
// cannot hold the breaker half-open for ever (I2).
type probes struct {
	out  []lease
	last uint32 // number of the newest lease; 0 is none
}

type lease struct {
	number uint32
	ends   time.Time
}

// take leases a permit if fewer than limit are out (I3). It returns the
// lease's number, or 0.
func (p *probes) take(limit int, now time.Time, timeout time.Duration) (number uint32) {
	live := p.out[:0]
	for _, l := range p.out {
		if now.Before(l.ends) {
			live = append(live, l)
		}
	}
	p.out = live
	if len(live) >= limit {
		return 0
	}
	p.last++
	if p.last == 0 {
		p.last = 1
	}
	p.out = append(p.out, lease{p.last, now.Add(timeout)})
	return p.last
}

// settle ends a lease. It reports false when it has run out, or was settled
// before: then its outcome is no evidence, whether another call has asked for
// its place or not.
func (p *probes) settle(number uint32, now time.Time) bool {
	for i, l := range p.out {
		if l.number == number {
			p.out = append(p.out[:i], p.out[i+1:]...)
			return now.Before(l.ends)
		}
	}
	return false
}

// clear takes all leases back: their generation is over.
func (p *probes) clear() { p.out = p.out[:0] }

// live is the number of leases that have not run out.
func (p *probes) live(now time.Time) (n int) {
	for _, l := range p.out {
		if now.Before(l.ends) {
			n++
		}
	}
	return n
}
