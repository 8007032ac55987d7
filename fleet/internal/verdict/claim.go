package verdict

import (
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Epoch is a moment of the fleet's logical clock; 0 is before the first.
type Epoch uint64

// Claim is what a member says of one of its breakers.
type Claim struct {
	ID    string
	State breaker.State // what its next call meets
	Auto  breaker.State // beneath an override

	// Stamp is the epoch that the evidence is younger than.
	Stamp Epoch
	// Under is the epoch of the verdict that its open period is under; 0: none.
	Under Epoch
	// Tripped: its own rule opened it, and it is under no verdict. Spans then
	// holds what opened it.
	Tripped bool
	// Overruled: a verdict says open, and its own evidence keeps it closed.
	Overruled bool
	// Advised: a verdict says open, and the member only watches (Options.Advise).
	Advised bool

	// Probe is the newest of the fleet's probes that this member was armed for.
	Probe Probe
	// Lease is the time after which a probe that is Running is taken for hung.
	Lease time.Duration

	Spans  [SpanCount]Evidence // none while it is under a verdict
	Demand int                 // calls wanted in the last 16 s, those rejected included
	Rule   Rule

	// Well: none of its calls were bad, and it says no more than how many there
	// were. SlowRule: it would have reported slow ones.
	Well, SlowRule bool
}

// counts reports whether the claim is evidence about this kind of bad calls, if
// younger than since. What went well counts whatever its age: it opens nothing.
func (c *Claim) counts(k Kind, since Epoch) bool {
	if c.Well {
		return k == Failing || c.SlowRule
	}
	return c.Stamp >= since && c.Under == 0 && c.Rule.rate(k) > 0
}

// Result is what became of a probe.
type Result uint8

// The results.
const (
	NoProbe Result = iota
	Running
	Passed
	Failed
)

// Probe is a probe of the fleet: one that its coordinator armed.
type Probe struct {
	Epoch   Epoch
	Attempt int
	Result  Result
}

// Rule is what the member's settings say.
type Rule struct {
	FailureRate float64       // share of failed calls that is too many
	SlowRate    float64       // share of slow calls that is too many; 0: slow calls do not matter
	Every       time.Duration // time until the fleet's first probe
	Backoff     float64       // by which each failed probe multiplies it
	Max         time.Duration // its limit; 0: none
}

func (r *Rule) rate(k Kind) float64 {
	if k == Slow {
		return r.SlowRate
	}
	return r.FailureRate
}

// openTime is the time until the fleet's next probe after so many that failed.
func (r *Rule) openTime(failed int) time.Duration {
	long := float64(r.Every)
	for range min(failed, 64) {
		if r.Backoff <= 1 || r.Max > 0 && long >= float64(r.Max) || long >= float64(maxWait) {
			break
		}
		long *= r.Backoff
	}
	if r.Max > 0 {
		long = min(long, max(float64(r.Max), float64(r.Every)))
	}
	return time.Duration(min(long, float64(maxWait)))
}

// maxWait bounds what is waited for on the word of others (F11).
const maxWait = 24 * time.Hour

// against reports whether the member's own evidence is against the dependency.
func (c *Claim) against(span int, k Kind) bool {
	e := c.Spans[span]
	return c.Tripped && e.bad(k) > 0 || e.over(k, c.Rule.rate(k))
}

// open reports whether the breaker is open under this verdict, so that its next
// call can be the fleet's probe.
func (c *Claim) open(under Epoch) bool {
	return c.Under == under && c.Auto == breaker.Open && c.State != breaker.ForcedOpen
}

// Member is a process, as its newest report shows it.
type Member struct {
	ID    uint64 // drawn when it joined: a process that starts again is another member
	Zone  string
	Clock Epoch // the newest epoch that it has ever heard of
	// Partial: it had more to say than a report holds, so what it does not say of
	// a breaker means nothing.
	Partial bool
	Claims  []Claim
}
