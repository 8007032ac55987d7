package verdict

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// This file is how an open scope finds out whether the dependency is back. When
// the open time is over, members are armed: the local breaker of each is let go,
// and its next call is its probe. The first that begins disarms the others (F7).
// It fails: the scope stays open for another, longer time. It passes: the scope
// is cleared, and each member may probe for itself; only that closes its breaker
// (F5). So a lucky probe costs each member one call, and a zone that is still
// broken does not come back by another's luck.

// stepOpen moves an open scope on. voices are those of its members.
func (c *Coordinator) stepOpen(s *Subject, zone string, x *Scope, voices []voice, elapsed time.Duration) (next time.Duration) {
	x.Wait -= elapsed
	x.OpenFor += elapsed
	x.quiet += elapsed
	x.window -= elapsed
	x.Probe.Left -= elapsed

	if c.results(s, zone, x, voices) {
		return c.Beat
	}
	if c.lapsed(s, zone, x, voices, elapsed) {
		return c.Beat
	}
	x.forgetGone(voices)
	if x.Wait > 0 {
		return x.Wait
	}
	x.Wait = 0
	if x.Probe.Member != 0 && x.Probe.Left > 0 {
		return min(c.Beat, x.Probe.Left) // (F7)
	}
	return c.arm(x, voices)
}

// results takes in what became of probes, and reports whether the scope's period
// is over. A result counts only for the epoch and the attempt that armed it (F2),
// and only from a member that was armed (F3).
func (c *Coordinator) results(s *Subject, zone string, x *Scope, voices []voice) (over bool) {
	for _, v := range voices {
		if v.Probe.Epoch != x.Epoch || v.Probe.Attempt != x.Attempt {
			continue
		}
		i := slices.IndexFunc(x.Arms, func(a Arm) bool { return a.Member == v.member })
		if i < 0 || x.Arms[i].Done {
			continue
		}
		switch v.Probe.Result {
		case Running:
			if x.Probe.Member == 0 {
				x.Probe = Known{v.member, min(v.Lease, maxWait)}
				x.disarm(v.member)
			}
		case Failed:
			c.failed(s, zone, x, v.member)
			return true
		case Passed:
			x.Arms[i].Active, x.Arms[i].Done = false, true
			if x.Probe.Member == v.member {
				x.Probe = Known{}
			}
			if x.Passed++; x.Passed >= c.Threshold {
				c.clear(s, zone, x, Cleared, v.member)
				return true
			}
			x.quiet = c.Stagger // the next one need not wait
			c.event(s, zone, x, ProbePassed, v.member)
		}
	}
	return false
}

func (x *Scope) disarm(but uint64) {
	for i := range x.Arms {
		if x.Arms[i].Member != but {
			x.Arms[i].Active = false
		}
	}
}

// failed begins another attempt.
func (c *Coordinator) failed(s *Subject, zone string, x *Scope, by uint64) {
	x.Attempt++
	x.Passed, x.Arms, x.Probe, x.quiet = 0, nil, Known{}, 0
	x.Wait = x.Rule.openTime(x.Attempt)
	c.event(s, zone, x, ProbeFailed, by)
}

// lapsed clears a scope that no member is open under: all were closed by order,
// left, or only watch. Without anyone to probe, the evidence decides.
func (c *Coordinator) lapsed(s *Subject, zone string, x *Scope, voices []voice, elapsed time.Duration) bool {
	for _, v := range voices {
		if v.Auto != breaker.Closed && !v.Advised {
			x.empty = 0
			return false
		}
	}
	if x.empty += elapsed; x.empty < c.Patience() || x.window > 0 {
		return false // members may be on their way
	}
	since := max(x.Since, s.Fleet.Since)
	w := c.tally(voices, since, x.Why.Kind, x.Why.Span)
	if c.guilty(&w.Tally, x.Why.Kind, x.Why.Rate) {
		return false
	}
	c.clear(s, zone, x, Lapsed, 0)
	return true
}

// forgetGone drops members that have left or died, and those whose breaker is
// not open any more for another reason than its probe.
func (x *Scope) forgetGone(voices []voice) {
	of := func(member uint64) *voice {
		for i := range voices {
			if voices[i].member == member {
				return &voices[i]
			}
		}
		return nil
	}
	x.Arms = slices.DeleteFunc(x.Arms, func(a Arm) bool { return of(a.Member) == nil })
	if m := x.Probe.Member; m != 0 {
		if v := of(m); v == nil || v.Probe.Result != Running || v.Probe.Epoch != x.Epoch || v.Probe.Attempt != x.Attempt {
			x.Probe = Known{} // its owner died, or its call was no evidence
		}
	}
}

// arm lets further members probe. One busy member is enough; of many that are
// seldom called so many are armed that together they should soon call. Members
// are armed with pauses, so that word of a probe can get around.
func (c *Coordinator) arm(x *Scope, voices []voice) (next time.Duration) {
	if len(x.active()) > 0 && x.quiet < c.Stagger {
		return c.Stagger - x.quiet
	}
	candidates := make([]voice, 0, len(voices))
	for _, v := range voices {
		if !v.open(x.Epoch) {
			continue
		}
		if i := slices.IndexFunc(x.Arms, func(a Arm) bool { return a.Member == v.member }); i >= 0 && (x.Arms[i].Active || x.Arms[i].Done) {
			continue
		}
		candidates = append(candidates, v)
	}
	// Members take turns, and of each other attempt the busiest comes first, as it
	// will be called soonest. Not of all: if the dependency is back for all but that
	// one, it would fail each attempt, and hold all others open (F3).
	slices.SortFunc(candidates, func(a, b voice) int { return cmp.Compare(a.member, b.member) })
	if n := len(candidates); n > 0 {
		first := x.Attempt / 2 % n
		candidates = slices.Concat(candidates[first:], candidates[:first])
	}
	if x.Attempt%2 == 0 {
		slices.SortStableFunc(candidates, func(a, b voice) int { return cmp.Compare(b.Demand, a.Demand) })
	}
	demand := 0.0
	for _, v := range candidates {
		if len(x.Arms) >= MaxArms {
			break
		}
		x.Arms = slices.DeleteFunc(x.Arms, func(a Arm) bool { return a.Member == v.member })
		x.Arms = append(x.Arms, Arm{Member: v.member, Active: true})
		x.quiet = 0
		if demand += float64(v.Demand) / Spans[1].Seconds(); demand >= c.Demand {
			break
		}
	}
	return c.Stagger
}

// armed reports whether this member's next call is to be the probe.
func (x *Scope) armed(member uint64) bool {
	return slices.ContainsFunc(x.Arms, func(a Arm) bool { return a.Member == member && a.Active })
}

func (x *Scope) active() (out []uint64) {
	for _, a := range x.Arms {
		if a.Active {
			out = append(out, a.Member)
		}
	}
	return out
}
