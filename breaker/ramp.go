package breaker

import "time"

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
