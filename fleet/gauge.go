package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

const drawSteps = 1 << 20

// gauge is one breaker as its member watches it: what it has counted since, and
// what the fleet has to do with it. It belongs to the member's goroutine.
type gauge struct {
	b      *breaker.Breaker
	own    verdict.Own
	local  verdict.Local
	last   breaker.Calls // counts at the last look
	keyed  bool
	active time.Duration // when there was something to say of it
	draw   float64
}

// watch makes a gauge of a breaker. Its counts so far are not evidence,
// except, for a key, the failures that made it known.
func (f *Fleet) watch(b *breaker.Breaker, keyed bool, now time.Duration) *gauge {
	g := &gauge{b: b, keyed: keyed, active: now, draw: float64(f.random(drawSteps)) / drawSteps}
	if keyed {
		b.Peer().Watch(true)
		if n := b.FailCount(); n > 0 && b.State() == breaker.Closed {
			g.own.Add(now, verdict.Evidence{Calls: n, Failures: n})
		}
	}
	return g
}

func (g *gauge) forget() {
	if g.keyed {
		g.b.Peer().Watch(false)
	}
}

// count takes in the calls that ended since the last look.
func (g *gauge) count(now time.Duration, c breaker.Calls) {
	was := g.last
	g.last = c
	ran := int(c.Successes - was.Successes + c.Failures - was.Failures)
	g.own.Window.Want(now, ran+int(c.Rejected-was.Rejected))
	if ran > 0 {
		e := verdict.Evidence{Calls: ran, Failures: int(c.Failures - was.Failures)}
		e.Slow = min(int(c.Slow-was.Slow), ran) // a slow call whose caller gave up is not evidence by itself
		g.own.Add(now, e)
	}
}

// look reads the breaker. concerned says that the fleet has something to say of
// it; of others that are plainly closed there is nothing to read.
func (g *gauge) look(f *Fleet, concerned, fresh bool) {
	if !concerned && g.local.Auto == breaker.Closed && g.b.State() == breaker.Closed && !fresh {
		return
	}
	s := g.b.Status()
	l := verdict.Local{
		State: s.State, Auto: s.Auto, Rule: f.rule(&s.Settings), Lease: s.Settings.ProbeTimeout, Reset: s.Settings.ResetTimeout,
		DueIn: s.UntilHalfOpen, Probing: s.ProbesOut > 0,
	}
	switch {
	case s.Auto == breaker.Closed:
		if g.local.Auto != breaker.Closed {
			l.Passed = passed(g.b)
		}
	case s.Opened == nil: // half-open by order
		l.Cause, l.Opened = breaker.CauseOrder, 1
	default:
		l.Opened, l.Cause, l.OpenFor, l.By = s.Opened.Version, s.Opened.Cause, s.Opened.OpenFor, by(s.Opened)
	}
	g.local = l
}

// by is what a transition was decided by.
func by(t *breaker.Transition) verdict.Evidence {
	e := verdict.Evidence{Calls: t.Counts.Calls, Failures: t.Counts.Failures, Slow: t.Counts.Slow}
	if e.Calls == 0 {
		e = verdict.Evidence{Calls: t.Fails, Failures: t.Fails}
	}
	return e
}

// passed reports whether its probes closed a breaker, and not people.
func passed(b *breaker.Breaker) bool {
	for _, t := range slices.Backward(b.History()) {
		if t.To == breaker.Closed && t.Order != breaker.VerbRelease && t.Cause != breaker.CauseExpired {
			return t.Cause == breaker.CauseProbesPassed
		}
	}
	return false
}

// rule is what a breaker's settings mean to the fleet.
func (f *Fleet) rule(s *breaker.Settings) verdict.Rule {
	r := verdict.Rule{FailureRate: 0.5, SlowRate: max(0, s.SlowRate), Every: f.o.ProbeEvery, Backoff: s.ResetBackoff}
	if s.FailureRate > 0 {
		r.FailureRate = s.FailureRate
	}
	if r.Every == 0 {
		r.Every = max(time.Second, s.ResetTimeout/5)
	}
	if s.ResetMax > 0 {
		r.Max = max(r.Every, s.ResetMax)
	}
	return r
}

// poll finds the breakers that take part, and counts their calls. See turn.
func (f *Fleet) poll(now time.Duration, fresh, beat bool) {
	for name, calls := range f.m.Calls() {
		if !f.o.Only(name) {
			continue
		}
		g := f.gauges[name]
		if g == nil || fresh {
			b, err := f.m.Lookup(name)
			switch {
			case err != nil: // a set, or removed meanwhile
				f.sets[name] = true
				continue
			case g == nil || g.b != b: // or removed, and made again
				g = f.watch(b, false, now)
				g.last = calls
				f.gauges[name] = g
			}
		}
		g.count(now, calls)
	}
	f.pollMoved(now)
	if beat {
		f.omitted = 0
		for name := range f.sets {
			f.pollSet(name, now)
		}
		f.prune(now)
	}
	for _, g := range f.gauges {
		if g.keyed {
			g.count(now, g.b.Peer().Calls())
		}
	}
}

// step lets each breaker take a step with what the fleet says, and gathers what
// there is to report.
func (f *Fleet) step(now time.Duration, fresh bool) summary {
	t := summary{omitted: f.omitted}
	v := f.view(now)
	var well []wire.Well
	asked := map[uint64]bool{}
	for id, g := range f.gauges {
		v.Subject, v.Draw = nil, g.draw
		if f.digest != nil {
			v.Subject = f.digest.Subjects[id]
		}
		g.look(f, v.Subject != nil, fresh || g.local.Rule.FailureRate == 0)
		f.act(g, g.own.Step(&f.params, now, &g.local, &v), now, &v)
		c := g.own.Claim(id, now, &g.local)
		switch {
		case !c.Quiet():
			g.active = now
			t.claims = append(t.claims, c)
		case c.Spans[verdict.SpanCount-1].Calls > 0:
			w := f.well(&c)
			well = append(well, w)
			if v.Subject != nil {
				g.active, asked[w.Hash] = now, true
			}
		}
	}
	if t.partial = len(well) > wire.MaxWell; t.partial {
		// Those first that the fleet asks for, then always the same ones.
		slices.SortFunc(well, func(a, b wire.Well) int {
			if asked[a.Hash] != asked[b.Hash] {
				if asked[a.Hash] {
					return -1
				}
				return 1
			}
			return cmp.Compare(a.Hash, b.Hash)
		})
	}
	t.well = well[:min(len(well), wire.MaxWell)]
	slices.SortFunc(t.claims, func(a, b verdict.Claim) int {
		return cmp.Or(-cmp.Compare(weight(&a), weight(&b)), cmp.Compare(a.ID, b.ID))
	})
	return t
}

// well returns the short form of a claim whose calls went well.
func (f *Fleet) well(c *verdict.Claim) wire.Well {
	w := wire.Well{Hash: wire.Hash(c.ID), SlowRule: c.Rule.SlowRate > 0}
	for i, e := range c.Spans {
		w.Calls[i] = e.Capped(f.params.MaxCalls).Calls
	}
	return w
}

// weight says which claims are reported first.
func weight(c *verdict.Claim) int {
	w := c.Spans[0].Failures + c.Spans[0].Slow
	if c.Auto != breaker.Closed || c.State != breaker.Closed {
		w += 1 << 30
	}
	return w
}

// summary is what the next report says about the breakers of this process.
type summary struct {
	claims  []verdict.Claim
	well    []wire.Well
	omitted int  // there was more to complain of
	partial bool // more calls went well than well has room for
}

// act does to a breaker what the member has decided.
func (f *Fleet) act(g *gauge, a verdict.Action, now time.Duration, v *verdict.View) {
	switch {
	case a.Scope != nil:
		f.open(g, &a, now, v)
	case a.Holding:
		// On condition of the version that was judged: in between, the breaker
		// may have moved.
		s := g.b.Status()
		if s.Auto == breaker.Open && s.Opened != nil && s.Opened.Version == g.local.Opened {
			g.b.Peer().Hold(s.Version, a.Hold)
		}
	}
}

func (f *Fleet) open(g *gauge, a *verdict.Action, now time.Duration, v *verdict.View) {
	w := &a.Scope.Why
	peers := breaker.Peers{
		Scope: "the fleet", Epoch: uint64(a.Scope.Epoch), Span: verdict.Spans[w.Span], Slow: w.Kind == verdict.Slow,
		Against: w.Tally.Against, Reporting: w.Tally.Reporting, Own: counts(g.own.Window.Sums(now)[w.Span]),
	}
	if a.Zone != "" {
		peers.Scope = "zone " + a.Zone
	}
	s := g.b.Status()
	if s.Auto != breaker.Closed {
		return // it has moved by itself
	}
	r, err := g.b.Peer().Open(s.Version, a.Open, peers, counts(w.Tally.Evidence))
	if err != nil || r.Version == r.From {
		g.own.HeldBack(&f.params, now)
		return
	}
	g.own.Obeyed(a.Scope.Epoch)
	f.opened.Add(1)
	// It is held from now on.
	g.look(f, true, true)
	f.act(g, g.own.Step(&f.params, now, &g.local, v), now, v)
}

func counts(e verdict.Evidence) breaker.Counts {
	return breaker.Counts{Calls: e.Calls, Failures: e.Failures, Slow: e.Slow}
}
