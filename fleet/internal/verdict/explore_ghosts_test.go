package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// ghosts are what really happened, which no process knows: the invariants are
// checked against them.
type ghosts struct {
	broken string // the first invariant that does not hold
	over   uint64 // a bit for each epoch: its verdict was cleared, or taken in by the fleet's
}

// past is when things happened that a coordinator, or who heard it, knows of, by
// scope: the fleet, zone a, zone b.
type past struct {
	tenure        int    // when the coordinator began
	born, cleared [3]int // the verdicts that are open were decided, and the newest cleared
}

func scopeIndex(zone string) int { return slices.Index([]string{"", "a", "b"}, zone) }

// ghost is what really happened in one process.
type ghost struct {
	alone     time.Duration // when it would probe without a fleet
	lastBad   int           // its newest call that failed
	closedAt  int
	good, bad time.Duration // its newest bursts of this stretch of closed
	armed     lot           // that it was let go for
	probe     lot           // that is out
	result    lot           // the newest that ended
	ended     uint64        // number of its newest report then
	made      int           // when the digest was made that it heard last
	past      past
}

// lot is one probe of one verdict.
type lot struct {
	Probe
	born int
}

func (w *world) fail(format string, args ...any) {
	if w.ghosts.broken == "" {
		w.ghosts.broken = fmt.Sprintf(format, args...)
	}
}

func (g *ghost) closed(w *world) { g.closedAt, g.alone, g.good, g.bad = w.seq, 0, 0, 0 }

func (g *ghost) called(w *world, bad bool) {
	if bad {
		g.bad, g.lastBad = w.now, w.seq
	} else {
		g.good = w.now
	}
}

func (g *ghost) endedProbe(m *process, bad bool) {
	if g.probe.Epoch != 0 && g.probe == g.armed {
		g.result, g.ended = g.probe, m.told
		if g.result.Result = Passed; bad {
			g.result.Result = Failed
		}
	}
	g.armed, g.probe = lot{}, lot{}
}

// evidence is the newest bad call that a report may count: after the last clearing
// that the member has heard of (F2).
func (m *process) evidence(zone string) int {
	if m.ghost.lastBad > max(m.ghost.past.cleared[0], m.ghost.past.cleared[scopeIndex(zone)]) {
		return m.ghost.lastBad
	}
	return 0
}

// checkHeard: a member takes in a digest.
func (w *world) checkHeard(i int, d *digest, was *Ear) {
	g := &w.members[i].ghost
	if was.At == 0 || w.now-was.At > params().Patience() {
		return
	}
	if d.past.tenure < g.past.tenure {
		w.fail("F8: believed a coordinator whose lease has passed, %s after it heard the one that followed", w.now-was.At)
	}
	if d.past.tenure == g.past.tenure && d.made <= g.made {
		w.fail("F8: counts a digest as heard that is not newer")
	}
}

// checkObeys: a member opens for a verdict.
func (w *world) checkObeys(i int, act *Action) {
	m := &w.members[i]
	long := Spans[act.Scope.Why.Span] * 7 / 8 // whatever the step under way
	if g := &m.ghost; g.good != 0 && w.now-g.good <= long && (g.bad == 0 || w.now-g.bad > long) {
		w.fail("F4: opened against its own evidence, twenty calls without a failure")
	}
	// A digest that was made before it closed, and comes after, is on its way no
	// longer than a message is.
	if born := m.ghost.past.born[scopeIndex(act.Zone)]; m.ghost.closedAt > born && m.ghost.made > m.ghost.closedAt {
		w.fail("F2: opened by the verdict of epoch %d, which is older than its stretch of closed", act.Scope.Epoch)
	}
}

// checkLetGo: a member's next call may probe at once.
func (w *world) checkLetGo(i int, under Epoch, v *View) {
	if x, _ := v.Scope(); x != nil {
		if !x.armed(w.members[i].id) {
			w.fail("F7: let go without being armed")
		}
	} else if under < 64 && w.ghosts.over>>under&1 == 0 {
		w.fail("F12: let go although the verdict of epoch %d was never cleared", under)
	}
}

// checkReaction: after any step of a member.
func (w *world) checkReaction(i int, act *Action, v *View) {
	m := &w.members[i]
	x, zone := v.Scope()
	if m.state == breaker.Open && x != nil && x.armed(m.id) && m.own.Probe == (Probe{Epoch: x.Epoch, Attempt: x.Attempt}) {
		// Its next call is due, whether it was let go or is held no longer.
		m.ghost.armed = lot{m.own.Probe, m.ghost.past.born[scopeIndex(zone)]}
	}
	switch {
	case !v.Heard && m.own.Under != 0:
		w.fail("F6: alone, and under the verdict of epoch %d", m.own.Under)
	case x != nil && m.state == breaker.Open && m.cause != breaker.CauseOrder && act.Open == 0 && m.own.Under != x.Epoch:
		w.fail("F7: open beside the verdict of epoch %d, and did not join", x.Epoch)
	case m.state == breaker.Open && m.due > max(m.ghost.alone, m.ear.At+params().Patience()):
		w.fail("F6: held for %s, %s after it heard the fleet", m.due-w.now, w.now-m.ear.At)
	}
}

// checkCount: a coordinator has added up.
func (w *world) checkCount(o, was *office, voices []*report) {
	for i := range o.k.Events {
		e := &o.k.Events[i]
		scope := scopeIndex(e.Zone)
		switch e.What {
		case Opened:
			o.past.born[scope] = w.seq
			pods := map[int]bool{}
			for _, r := range voices {
				if (e.Zone == "" || r.zone == e.Zone) && r.bad > max(o.past.cleared[0], o.past.cleared[scope]) {
					pods[r.pod] = true
				}
			}
			if len(pods) < 2 {
				w.fail("F2, F3: %q opened by the evidence of %d processes since its clearing", e.Zone, len(pods))
			}
		case ProbeFailed:
			w.checkResult(e, Probe{Epoch: e.Scope.Epoch, Attempt: e.Scope.Attempt - 1, Result: Failed}, o.past.born[scope])
		case Cleared, Lapsed:
			if old := scopes(was.k.Subjects[subject])[e.Zone]; e.By != 0 && old != nil {
				w.checkResult(e, Probe{Epoch: old.Epoch, Attempt: old.Attempt, Result: Passed}, o.past.born[scope])
			}
			o.past.cleared[scope] = w.seq
		}
	}
	s := o.k.Subjects[subject]
	for zone, old := range scopes(was.k.Subjects[subject]) {
		if !old.Open {
			continue
		}
		x := scopes(s)[zone]
		if x == nil {
			w.fail("F12: the verdict of %q is forgotten", zone)
			continue
		}
		if zone != "" && x.Open && s.Fleet.Open {
			w.fail("the verdict of zone %q lives beside the fleet's", zone)
		}
		if x.Open && x.Epoch == old.Epoch && x.Attempt == old.Attempt {
			w.checkProbes(zone, x, old, voices)
		}
	}
}

// checkResult: a result is that of a probe that this member was let go for.
func (w *world) checkResult(e *Event, p Probe, born int) {
	for i := range w.members {
		if m := &w.members[i]; m.id == e.By && m.ghost.result != (lot{p, born}) {
			w.fail("F2: the result of the probe of epoch %d, attempt %d, is not one of it", p.Epoch, p.Attempt)
		}
	}
}

// checkProbes: an attempt goes on.
func (w *world) checkProbes(zone string, x, old *Scope, voices []*report) {
	known := false
	for _, r := range voices {
		if zone != "" && r.zone != zone {
			continue
		}
		armed := slices.ContainsFunc(old.Arms, func(a Arm) bool { return a.Member == r.id && !a.Done })
		if r.claim.Probe == (Probe{Epoch: x.Epoch, Attempt: x.Attempt, Result: Running}) {
			known = known || x.Probe.Member == r.id && x.Probe.Left > 0
			if armed && x.Probe.Member == 0 && old.Probe.Member == 0 {
				w.fail("F7: a probe runs, and the coordinator does not know")
			}
		}
		m := &w.members[r.pod]
		res := m.ghost.result.Probe
		ended := res.Result
		if res.Result = NoProbe; armed && m.id == r.id && ended != NoProbe && res == r.knew && r.knew == (Probe{Epoch: x.Epoch, Attempt: x.Attempt}) && r.seq > m.ghost.ended {
			w.fail("F7: member %d told that its probe ended, and the verdict of epoch %d goes on", r.id, x.Epoch)
		}
	}
	if known && len(x.active()) > 1 {
		w.fail("F7: %d members are armed while a probe is known to run", len(x.active()))
	}
}

// published: what was counted is known from now on.
func (g *ghosts) published(o *office) {
	for zone, old := range scopes(o.was.Subjects[subject]) {
		if x := scopes(o.k.Subjects[subject])[zone]; old.Open && old.Epoch < 64 && (x == nil || x.Epoch != old.Epoch) {
			g.over |= 1 << old.Epoch
		}
	}
}
