package replay

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// Candidate is settings to try.
type Candidate struct {
	Name string
	// Settings returns what a breaker has in place of the settings it was
	// recorded under.
	Settings func(id string, recorded breaker.Settings) breaker.Settings
}

// With returns a candidate that gives all breakers the settings s.
func With(name string, s breaker.Settings) Candidate {
	return Candidate{name, func(string, breaker.Settings) breaker.Settings { return s }}
}

// Patch returns a candidate that changes some settings of each breaker, in the
// notation of breaker.Settings.Set.
func Patch(name string, changes map[string]string) (Candidate, error) {
	var probe breaker.Settings
	for k, v := range changes {
		if err := probe.Set(k, v); err != nil {
			return Candidate{}, err
		}
	}
	return Candidate{name, func(_ string, s breaker.Settings) breaker.Settings {
		for k, v := range changes {
			_ = s.Set(k, v) // it has been tried above
		}
		return s
	}}, nil
}

// AsRecorded is the candidate with the settings that were in effect. A change of
// settings during the recording is not followed.
var AsRecorded = Candidate{"as recorded", func(_ string, s breaker.Settings) breaker.Settings { return s }}

// RunOptions say how to measure.
type RunOptions struct {
	// Sick is the share of failing calls from which on a dependency is ill, in
	// (0, 1). Default 0.2.
	Sick float64
	// Breakers, when set, says which breakers to replay. Default: all.
	Breakers func(id string) bool
	// Progress, when set, is called with the share of the work that is done, by
	// one goroutine at a time.
	Progress func(done float64)
}

// Result is what a candidate would have done.
type Result struct {
	Name     string    `json:"name"`
	Metrics  Metrics   `json:"metrics"`
	Figures  []Figure  `json:"figures"`
	Coverage float64   `json:"coverage"`
	Warning  string    `json:"warning,omitempty"` // if the recording cannot answer for these settings
	Breakers []Outcome `json:"-"`
}

// Outcome is what a candidate would have done with one breaker.
type Outcome struct {
	ID       string
	Settings breaker.Settings
	Metrics  Metrics
	Moves    []Move
}

// Move is a transition of a replayed breaker.
type Move struct {
	At   time.Time
	From breaker.State
	To   breaker.State
}

// Report is the answer of Run.
type Report struct {
	Results  []Result  `json:"results"`
	Episodes []Episode `json:"episodes"`
	Notes    []string  `json:"notes,omitempty"` // what a reader should know about all of it
}

// Run replays the trace under each candidate's settings, on all cores. The
// results do not depend on how many candidates there are. The error is that of
// ctx, or matches breaker.ErrSettings.
func Run(ctx context.Context, t *Trace, o RunOptions, candidates ...Candidate) (*Report, error) {
	r, err := newRunner(t, o)
	if err != nil {
		return nil, err
	}
	outcomes, err := r.run(ctx, candidates)
	if err != nil {
		return nil, err
	}
	rep := &Report{Episodes: r.list, Notes: r.notes()}
	for i, c := range candidates {
		rep.Results = append(rep.Results, newResult(c.Name, outcomes[i]))
	}
	return rep, nil
}

// lanePlan is what is the same for all candidates.
type lanePlan struct {
	lane     *Lane
	walk     *walk
	episodes []span
	blind    time.Duration
	around   map[int32]around // by index of a record of rejected calls
}

// around is the outcomes that are known before and after rejected calls.
type around struct {
	before, after     breaker.Outcome
	beforeAt, afterAt time.Duration
}

type runner struct {
	t     *Trace
	o     RunOptions
	lanes []*lanePlan
	list  []Episode
	sick  float64
}

func newRunner(t *Trace, o RunOptions) (*runner, error) {
	r := &runner{t: t, o: o, sick: o.Sick}
	if r.sick == 0 {
		r.sick = defaultSick
	}
	if !(r.sick > 0 && r.sick < 1) {
		return nil, fmt.Errorf("replay: Sick is %v, want a share in (0, 1)", r.sick)
	}
	for _, l := range t.Breakers {
		if o.Breakers != nil && !o.Breakers(l.ID) {
			continue
		}
		p := &lanePlan{lane: l, walk: newWalk(l), around: map[int32]around{}}
		var list []Episode
		p.episodes, list = l.episodes(t, r.sick)
		r.list = append(r.list, list...)
		p.look()
		r.lanes = append(r.lanes, p)
	}
	return r, nil
}

// look finds out what is known around rejected calls.
func (p *lanePlan) look() {
	calls := p.lane.calls
	last := around{before: breaker.Success}
	var waiting []int32
	for i := range calls {
		c := &calls[i]
		if c.What.Kind() == tape.Rejected {
			waiting = append(waiting, int32(i))
			continue
		}
		if !known(c) {
			continue
		}
		if len(waiting) > 0 {
			p.blind += c.Ended - max(last.beforeAt, calls[waiting[0]].Began)
		}
		now := breaker.Outcome(c.What.Outcome())
		for _, w := range waiting {
			p.around[w] = around{last.before, now, last.beforeAt, c.Ended}
		}
		waiting = waiting[:0]
		last.before, last.beforeAt = now, c.Ended
	}
	for _, w := range waiting {
		p.around[w] = around{last.before, last.before, last.beforeAt, calls[w].Ended}
	}
	if len(waiting) > 0 {
		p.blind += calls[waiting[len(waiting)-1]].Ended - max(last.beforeAt, calls[waiting[0]].Began)
	}
}

// notes are what a reader should know about every result.
func (r *runner) notes() (out []string) {
	out = append(out, r.t.Notes...)
	if r.t.Lost > 0 {
		out = append(out, fmt.Sprintf("%d calls are missing in the recording", r.t.Lost))
	}
	sensitive := 0
	for _, e := range r.list {
		if e.LoadSensitive {
			sensitive++
		}
	}
	if sensitive > 0 {
		out = append(out, fmt.Sprintf("%d of %d episodes are load-sensitive: failures or latency rose with the calls in flight. There, only what comes before the first trip can be relied on, because rejecting calls may have helped the dependency", sensitive, len(r.list)))
	}
	return out
}

// assumption is what a replay takes for the outcome of a call that has none.
type assumption uint8

const (
	skipped assumption = iota // it does not run: neither evidence nor a probe
	allFail
	allSucceed
	asBefore
	asAfter
	halfWay
	assumptions
)

// laneOutcome is the outcome of a breaker, and its metrics under assumptions.
type laneOutcome struct {
	Outcome
	filled [assumptions]*Metrics
	costs  [assumptions][]float64 // by episode; skipped: without an assumption
}

// run replays every breaker under every candidate.
func (r *runner) run(ctx context.Context, candidates []Candidate) ([][]laneOutcome, error) {
	out := make([][]laneOutcome, len(candidates))
	type unit struct {
		lane     int
		outcomes []*laneOutcome // of some candidates
	}
	var units []unit
	for i, c := range candidates {
		out[i] = make([]laneOutcome, len(r.lanes))
		for k, p := range r.lanes {
			s := c.Settings(p.lane.ID, p.lane.Settings)
			if err := s.Validate(); err != nil {
				return nil, fmt.Errorf("replay: candidate %q: %w", c.Name, err)
			}
			out[i][k].ID, out[i][k].Settings = p.lane.ID, s.WithDefaults()
		}
	}
	procs := runtime.GOMAXPROCS(0)
	together := min(max(1, (len(candidates)+procs-1)/procs), 16)
	for k := range r.lanes {
		for i := 0; i < len(candidates); i += together {
			u := unit{lane: k}
			for j := i; j < min(i+together, len(candidates)); j++ {
				u.outcomes = append(u.outcomes, &out[j][k])
			}
			units = append(units, u)
		}
	}
	var next, done atomic.Int64
	var wg sync.WaitGroup
	var progress sync.Mutex
	for range min(procs, len(units)) {
		wg.Go(func() {
			walks := make([]*walk, len(r.lanes)) // one for each goroutine, as a walk has slots
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(units) {
					return
				}
				u := units[n]
				if walks[u.lane] == nil {
					walks[u.lane] = r.lanes[u.lane].walk.clone()
				}
				r.some(r.lanes[u.lane], walks[u.lane], u.outcomes)
				if d := done.Add(1); r.o.Progress != nil {
					progress.Lock()
					r.o.Progress(float64(d) / float64(len(units)))
					progress.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

// some replays one breaker under some candidates, and again under each assumption
// where calls without an outcome matter.
func (r *runner) some(p *lanePlan, w *walk, outcomes []*laneOutcome) {
	cs := make([]*candidate, len(outcomes))
	for i, o := range outcomes {
		cs[i] = r.candidate(o.Settings, p, skipped)
	}
	play(w, cs...)
	for i, o := range outcomes {
		c := cs[i]
		o.Metrics, o.Moves, o.costs[skipped] = c.m, c.log, c.costs
		switch {
		case c.m.Unknown > 0:
			filled := make([]*candidate, 0, assumptions)
			for a := allFail; a < assumptions; a++ {
				filled = append(filled, r.candidate(o.Settings, p, a))
			}
			play(w, filled...)
			for k, f := range filled {
				o.filled[int(allFail)+k], o.costs[int(allFail)+k] = &f.m, f.costs
			}
		case c.m.RejectedUnknown > 0:
			// Nothing would run differently: only what the rejected calls would
			// have been is open.
			for a := allFail; a < assumptions; a++ {
				f := p.judgeRejected(c, a)
				o.filled[a], o.costs[a] = &f.m, f.costs
			}
		}
	}
}

// clone returns a walk over the same calls.
func (w *walk) clone() *walk {
	return &walk{calls: w.calls, begins: w.begins, slots: make([]int32, len(w.calls))}
}

// newResult adds up the breakers of a candidate.
func newResult(name string, lanes []laneOutcome) Result {
	res := Result{Name: name}
	filled := make([]*Metrics, 0, assumptions)
	for a := allFail; a < assumptions; a++ {
		sum, any := &Metrics{}, false
		for i := range lanes {
			m := lanes[i].filled[a]
			if m == nil {
				m = &lanes[i].Metrics
			} else {
				any = true
			}
			sum.add(m)
		}
		if any {
			filled = append(filled, sum)
		}
	}
	for i := range lanes {
		res.Metrics.add(&lanes[i].Metrics)
		res.Breakers = append(res.Breakers, lanes[i].Outcome)
	}
	res.Coverage = res.Metrics.Coverage()
	res.Figures = figuresOf(&res.Metrics, filled)
	if m := &res.Metrics; res.Figure("trips").Trust == Assumed {
		res.Warning = fmt.Sprintf("%s is looser than what was recorded: %d calls that it would let run (%.2g%%) were rejected then and have no outcome. "+
			"Record while the breaker is forced closed to know", name, m.Unknown, 100*(1-res.Coverage))
	}
	return res
}

// seed returns the random numbers of a breaker's jitter: the same for all
// candidates, so that they differ by their settings alone.
func seed(id string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}
