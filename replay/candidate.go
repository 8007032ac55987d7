package replay

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// candidate is a breaker that is replayed and measured.
type candidate struct {
	p      *player
	plan   *lanePlan
	assume assumption
	rng    *rand.Rand
	draws  []float64 // those of the recorded open periods, not used yet
	s      breaker.Settings
	base   time.Time
	end    time.Duration // of the recording
	span   time.Duration // that it covers

	m          Metrics
	log        []Move
	episode    int // of plan.episodes: the first that has not ended
	openUntil  time.Duration
	probeEnded time.Duration // the end of the last call that ran while it was not closed
	notClosed  time.Duration // since when it has not been closed; -1: it is
	began      time.Duration // the first of the failures on count; -1: there is none
	tripped    []tripTime
	closed     []time.Duration // when it closed
	costs      []float64       // by episode: of it and of the time around it, see Goal
	around     int             // of costs: the time that it is now
	windowed   bool            // the breaker has a window
	stepBase   time.Duration   // when the steps of a window of time begin
}

// tripTime is a trip and the first failure that led to it.
type tripTime struct{ at, from time.Duration }

func (r *runner) candidate(s breaker.Settings, p *lanePlan, a assumption) *candidate {
	c := &candidate{
		plan: p, assume: a, rng: seed(p.lane.ID), s: s, base: r.t.Base, end: r.t.Ended.Sub(r.t.Base), span: r.t.Ended.Sub(r.t.Began),
		notClosed: -1, began: -1, costs: make([]float64, max(1, len(p.episodes))),
	}
	for _, m := range p.lane.moves {
		if m.Move && m.Transition != nil && m.Transition.To == breaker.Open {
			c.draws = append(c.draws, m.Draw)
		}
	}
	step := p.lane.stepBase
	if step == nil {
		step = new(time.Duration)
	}
	c.windowed = s.FailureRate > 0 || s.SlowRate > 0 || s.BadRate > 0
	c.stepBase = *step
	c.p = newPlayer(r.t.Base, s, step, false)
	c.nextDraw()
	return c
}

// nextDraw sets the random number of the next open period: those that were drawn
// in the recording first.
func (c *candidate) nextDraw() {
	if len(c.draws) > 0 {
		c.p.draw, c.draws = c.draws[0], c.draws[1:]
		return
	}
	c.p.draw = c.rng.Float64()
}

// steps replays a block.
func (c *candidate) steps(b *block) {
	b.look.Do(func() { b.quiet.look(b.steps) })
	for i := 0; i < len(b.steps); i++ {
		if j := int(b.quiet.next[i]); j > i && c.isQuiet() {
			c.quietly(b, i, j)
			if i = j; i == len(b.steps) {
				break
			}
		}
		c.step(&b.steps[i])
		if len(c.p.moved) > 0 {
			c.moved()
		}
	}
}

// step replays a step.
func (c *candidate) step(s *step) {
	switch {
	case s.call.What.Kind() == tape.Rejected:
		c.rejected(s)
	case s.call.What.Has(tape.Beside):
		if s.begin {
			c.p.skip(s.slot) // it asks no breaker
		}
	case s.begin:
		c.p.advance(s.at)
		c.begin(s)
	default:
		c.p.advance(s.at)
		c.ended(s)
	}
}

// begin asks the breaker whether a recorded call may run.
func (c *candidate) begin(s *step) {
	c.m.Demand++
	if c.p.begin(s.slot) {
		c.m.Ran++
		if c.notClosed >= 0 || len(c.p.moved) > 0 {
			c.m.Probes++
		}
		return
	}
	c.m.Rejected++
	c.judge(breaker.Outcome(s.call.What.Outcome()), s.at, 1)
}

// cost adds to the cost of the episode that is nearest in time.
func (c *candidate) cost(at time.Duration, x float64) {
	e := c.plan.episodes
	for c.around+1 < len(e) && at > (e[c.around].endedBy+e[c.around+1].began)/2 {
		c.around++
	}
	c.costs[c.around] += x
}

// ended ends a call that ran.
func (c *candidate) ended(s *step) {
	if k := s.call.What.Kind(); k != tape.Tail && !c.p.runs[s.slot] {
		return
	}
	failed := breaker.Outcome(s.call.What.Outcome()) == breaker.Failure
	if failed {
		c.failed(s.at, &s.call)
	}
	c.p.end(s, 0)
	if c.notClosed >= 0 {
		c.probeEnded = s.at
	}
	if !failed && c.began >= 0 && c.p.b.FailCount() == 0 {
		c.began = -1
	}
}

// failed counts a failed call.
func (c *candidate) failed(at time.Duration, call *tape.Call) {
	if c.began < 0 {
		c.began = at
	}
	if !c.ill(at) {
		return
	}
	c.m.Wasted++
	c.cost(at, costFailed)
	if call != nil && call.Began > 0 {
		took := call.Ended - call.Began
		c.m.Waited += took
		c.cost(at, took.Seconds()*costWaited)
	}
	if !c.noticed(c.plan.episodes[c.episode]) {
		c.m.FailedBefore++
	}
}

// noticed reports whether the breaker has opened for an episode that is going on,
// or was open when it began.
func (c *candidate) noticed(e span) bool {
	if n := len(c.tripped); n > 0 {
		return c.tripped[n-1].at >= e.began || c.openAt(e.began)
	}
	return false
}

// ill reports whether the dependency was ill then. Times do not go back.
func (c *candidate) ill(at time.Duration) bool {
	e := c.plan.episodes
	for c.episode < len(e) && e[c.episode].endedBy < at {
		c.episode++
	}
	return c.episode < len(e) && e[c.episode].began <= at
}

// most is how many rejected calls of a tenth of a second are replayed one by one
// under an assumption. Each stands for its share of the rest.
const most = 64

// rejected deals with calls that were rejected in the recording.
func (c *candidate) rejected(s *step) {
	n := uint64(s.call.What.Count())
	c.m.Demand += n
	if c.assume == skipped {
		c.p.advance(s.call.Began)
		if c.s.Ramp > 0 && c.notClosed < 0 && s.call.Began == s.call.Ended {
			c.ramped()
			return
		}
		c.skip(n, s.call.Began)
		return
	}
	a := c.plan.around[s.slot]
	parts := min(n, most)
	gap := (s.call.Ended - s.call.Began) / time.Duration(parts)
	for i := range parts {
		at := s.call.Began + time.Duration(i)*gap + gap/2
		c.p.advance(at)
		share := n/parts + btoi(i < n%parts)
		o := c.assume.outcome(&a, at)
		permit, err := c.p.b.Allow()
		if err != nil {
			c.m.Rejected += share
			c.m.RejectedUnknown += share
			c.judge(o, c.p.now, share)
			continue
		}
		c.m.Unknown += share
		if c.notClosed >= 0 || len(c.p.moved) > 0 {
			c.m.Probes++
		}
		if o == breaker.Failure {
			c.failed(c.p.now, nil)
			_ = permit.Settle(nil, o, errFailed) //nolint:staticcheck // no context: it is not over
		} else {
			permit.Done(nil)
		}
		if len(c.p.moved) > 0 {
			c.moved()
		}
	}
}

// judge counts rejected calls that would have ended with o.
func (c *candidate) judge(o breaker.Outcome, at time.Duration, n uint64) {
	if o != breaker.Success {
		return
	}
	c.cost(at, float64(n)*costRejected)
	switch {
	case c.ill(at):
		c.m.FalseIn += n
	default:
		c.m.FalseOut += n
	}
}

// ramped asks a closed breaker with a ramp about a call that a ramp rejected: in
// a ramp, rejected calls decide which ones are admitted.
func (c *candidate) ramped() {
	permit, err := c.p.b.Allow()
	if err != nil {
		c.m.Rejected++
		c.m.RejectedUnknown++
		return
	}
	permit.Ignore()
	c.skip(1, c.p.now)
}

// skip leaves out calls that were rejected since then: they are neither evidence
// nor probes.
func (c *candidate) skip(n uint64, since time.Duration) {
	var run uint64
	switch {
	case c.notClosed < 0:
		run = n
		if c.p.b.FailCount() > 0 {
			c.m.Deciding += n
		}
	case c.p.now >= c.openUntil && c.free(since):
		// Probes: the rest is rejected while they run.
		run = min(n, uint64(c.s.Probes))
		c.m.Deciding += run
	}
	c.m.Unknown += run
	c.m.Rejected += n - run
	c.m.RejectedUnknown += n - run
}

// free reports whether a breaker whose open time is over would have admitted a
// probe at all times since then.
func (c *candidate) free(since time.Duration) bool {
	if c.p.b.State() != breaker.HalfOpen {
		return true
	}
	return c.p.b.Status().UntilNextProbe == 0 && c.probeEnded < since
}

// outcome is how a call without an outcome is assumed to end.
func (a assumption) outcome(x *around, at time.Duration) breaker.Outcome {
	switch a {
	case allFail:
		return breaker.Failure
	case allSucceed:
		return breaker.Success
	case asBefore:
		return x.before
	case asAfter:
		return x.after
	default:
		if at < (x.beforeAt+x.afterAt)/2 {
			return x.before
		}
		return x.after
	}
}

// rejections is what follows for all replays of a breaker in which no call without
// an outcome runs, under each assumption about those that are rejected: the good
// ones among them and their cost.
type rejections struct{ assumed [assumptions]*candidate }

func newRejections(p *lanePlan) *rejections {
	r := &rejections{}
	for a := allFail; a < assumptions; a++ {
		r.assumed[a] = &candidate{plan: p, costs: make([]float64, max(1, len(p.episodes)))}
	}
	return r
}

func (r *rejections) steps(b *block) {
	for i := range b.steps {
		s := &b.steps[i]
		if s.call.What.Kind() != tape.Rejected {
			continue
		}
		at := (s.call.Began + s.call.Ended) / 2
		for a := allFail; a < assumptions; a++ {
			c := r.assumed[a]
			c.judge(a.outcome(&c.plan.around[s.slot], at), at, uint64(s.call.What.Count()))
		}
	}
}

// of returns the metrics and costs of a candidate under an assumption.
func (r *rejections) of(c *candidate, a assumption) (*Metrics, []float64) {
	m, costs := c.m, slices.Clone(c.costs)
	m.FalseIn += r.assumed[a].m.FalseIn
	m.FalseOut += r.assumed[a].m.FalseOut
	for i, x := range r.assumed[a].costs {
		costs[i] += x
	}
	return &m, costs
}

// moved takes note of the breaker's transitions.
func (c *candidate) moved() {
	for _, t := range c.p.moved {
		at := t.At.Sub(c.base)
		c.log = append(c.log, Move{t.At, t.From, t.To})
		switch t.To {
		case breaker.Open:
			c.openUntil = at + t.OpenFor
			c.nextDraw()
			if t.From != breaker.Closed {
				break
			}
			c.m.Trips++
			from := at
			if c.began >= 0 {
				from = c.began
			}
			if t.Window > 0 {
				from = min(from, at-t.Window)
			}
			c.tripped = append(c.tripped, tripTime{at, from})
			c.notClosed = at
		case breaker.Closed:
			if c.notClosed >= 0 {
				c.m.NotClosed += at - c.notClosed
			}
			c.notClosed, c.began = -1, -1
			c.closed = append(c.closed, at)
		}
	}
	c.p.moved = c.p.moved[:0]
}

// finish measures what needs all of the recording.
func (c *candidate) finish() {
	if c.notClosed >= 0 {
		c.m.NotClosed += c.end - c.notClosed
	}
	c.m.Span, c.m.Blind = c.span, c.plan.blind
	for _, t := range c.tripped {
		if !slices.ContainsFunc(c.plan.episodes, func(e span) bool { return e.overlaps(t.from, t.at+c.s.Window) }) {
			c.m.FalseTrips++
		}
	}
	c.m.Episodes = len(c.plan.episodes)
	for i, e := range c.plan.episodes {
		at, ok := c.detected(e)
		if !ok {
			c.m.Missed++
			continue
		}
		c.m.Delays = append(c.m.Delays, max(0, at-e.began))
		// Closed again after the episode, and before the next one.
		until := c.end
		if i+1 < len(c.plan.episodes) {
			until = c.plan.episodes[i+1].began
		}
		closed, ok := until, false
		for _, t := range c.closed {
			if t >= e.ended && t <= until {
				closed, ok = t, true
				break
			}
		}
		if ok || c.openAt(e.ended) {
			c.m.Recoveries = append(c.m.Recoveries, closed-e.ended)
		} else {
			c.m.Recoveries = append(c.m.Recoveries, 0)
		}
	}
	slices.Sort(c.m.Delays)
	slices.Sort(c.m.Recoveries)
}

// detected returns when the breaker opened for an episode: 0 if it was open
// already.
func (c *candidate) detected(e span) (at time.Duration, ok bool) {
	if c.openAt(e.began) {
		return e.began, true
	}
	for _, t := range c.tripped {
		if t.at >= e.began && t.at <= e.endedBy+c.s.Window {
			return t.at, true
		}
	}
	return 0, false
}

// openAt reports whether the breaker was not closed then.
func (c *candidate) openAt(at time.Duration) bool {
	n, _ := slices.BinarySearchFunc(c.tripped, at, func(t tripTime, at time.Duration) int { return int(t.at - at) })
	k, _ := slices.BinarySearch(c.closed, at)
	return n > k
}

func btoi(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
