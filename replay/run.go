package replay

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
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
	rep := &Report{Episodes: r.list(), Notes: r.notes()}
	for i, c := range candidates {
		rep.Results = append(rep.Results, newResult(c.Name, outcomes[i]))
	}
	return rep, nil
}

// lanePlan is what is the same for all candidates.
type lanePlan struct {
	lane     *Lane
	episodes []span
	blind    time.Duration
	around   []around // by run of rejected calls
	list     []*Episode
}

type runner struct {
	t     *Trace
	s     *survey
	o     RunOptions
	lanes []*lanePlan
	sick  float64
}

func newRunner(t *Trace, o RunOptions) (*runner, error) {
	r := &runner{t: t, s: t.survey(), o: o, sick: o.Sick}
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
		x := r.s.of(l)
		p := &lanePlan{lane: l, blind: x.blind, around: x.rejectedRuns}
		var list []Episode
		p.episodes, list = l.episodes(t, x.bins, r.sick)
		for i := range list {
			p.list = append(p.list, &list[i])
		}
		r.lanes = append(r.lanes, p)
	}
	return r, nil
}

// list returns the episodes of all breakers.
func (r *runner) list() (out []Episode) {
	for _, p := range r.lanes {
		for _, e := range p.list {
			out = append(out, *e)
		}
	}
	return out
}

// notes are what a reader should know about every result.
func (r *runner) notes() (out []string) {
	out = append(out, r.t.Notes...)
	if r.t.Lost > 0 {
		out = append(out, fmt.Sprintf("%s missing from the recording", plural(r.t.Lost, "call")))
	}
	sensitive := 0
	all := r.list()
	for _, e := range all {
		if e.LoadSensitive {
			sensitive++
		}
	}
	if sensitive > 0 {
		out = append(out, fmt.Sprintf("%d of %s load-sensitive: failures or latency rose with the calls in flight. There, only what comes before the first trip can be relied on, because rejecting calls may have helped the dependency", sensitive, plural(len(all), "episode")))
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

// mostTogether limits the candidates of all breakers that are replayed at the same
// time. Each of them takes a few kilobytes.
const mostTogether = 20_000

// run replays every breaker under every candidate.
func (r *runner) run(ctx context.Context, candidates []Candidate) ([][]laneOutcome, error) {
	out := make([][]laneOutcome, len(candidates))
	for i, c := range candidates {
		out[i] = make([]laneOutcome, len(r.lanes))
		for k, p := range r.lanes {
			s := c.Settings(p.lane.ID, p.lane.Settings)
			if err := s.Validate(); err != nil {
				return nil, fmt.Errorf("replay: candidate %q for %s: %w", c.Name, p.lane.ID, err)
			}
			out[i][k].ID, out[i][k].Settings = p.lane.ID, s.WithDefaults()
		}
	}
	groups := slices.Collect(slices.Chunk(r.lanes, max(1, mostTogether/max(1, len(candidates)))))
	each := 1 // how often a group is replayed
	if r.t.Rejected > 0 {
		each = 2 // for the assumptions
	}
	turns := &turns{total: each * len(groups), calls: r.s.calls, progress: r.o.Progress}
	first := 0
	for i, lanes := range groups {
		turns.done = each * i
		if err := r.some(ctx, lanes, out, first, turns); err != nil {
			return nil, err
		}
		first += len(lanes)
	}
	turns.end()
	return out, nil
}

// turns is how often the recording is read, for the progress.
type turns struct {
	done, total int
	calls       uint64
	progress    func(float64)
}

func (t *turns) now(calls uint64) {
	if t.progress != nil {
		t.progress((float64(t.done) + float64(calls)/float64(max(1, t.calls))) / float64(t.total))
	}
}

func (t *turns) end() {
	if t.progress != nil {
		t.progress(1)
	}
}

// some replays some breakers under all candidates, and again under each assumption
// where calls without an outcome matter.
func (r *runner) some(ctx context.Context, lanes []*lanePlan, out [][]laneOutcome, first int, turns *turns) error {
	streams := make([]*stream, len(lanes))
	rejected := make([]*rejections, len(lanes))
	played := make([][]*candidate, len(lanes)) // by breaker and candidate
	for k, p := range lanes {
		x := &stream{lane: p.lane}
		load := &sensitivity{spans: p.episodes, list: p.list}
		x.watch = load.add
		for i := range out {
			c := r.candidate(out[i][first+k].Settings, p, skipped)
			played[k] = append(played[k], c)
			x.consumers = append(x.consumers, c)
		}
		if len(p.around) > 0 {
			rejected[k] = newRejections(p)
			x.consumers = append(x.consumers, rejected[k])
		}
		defer load.finish()
		streams[k] = x
	}
	if err := r.t.replay(ctx, r.s, streams, turns.now); err != nil {
		return err
	}
	turns.done++
	var again []*stream
	for k, p := range lanes {
		x := &stream{lane: p.lane}
		for i, c := range played[k] {
			c.finish()
			o := &out[i][first+k]
			o.Metrics, o.Moves, o.costs[skipped] = c.m, c.log, c.costs
			for a := allFail; a < assumptions; a++ {
				switch {
				case c.m.Unknown > 0:
					f := r.candidate(o.Settings, p, a)
					x.consumers = append(x.consumers, f)
					o.filled[a], o.costs[a] = &f.m, f.costs
				case c.m.RejectedUnknown > 0:
					// Nothing would run differently: only what the rejected calls
					// would have been is open.
					o.filled[a], o.costs[a] = rejected[k].of(c, a)
				}
			}
		}
		if len(x.consumers) > 0 {
			again = append(again, x)
		}
	}
	if len(again) > 0 {
		if err := r.t.replay(ctx, r.s, again, turns.now); err != nil {
			return err
		}
		for _, x := range again {
			for _, c := range x.consumers {
				c.(*candidate).finish()
			}
		}
	}
	return nil
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
		res.Warning = fmt.Sprintf("%s is looser than what was recorded: it would let %s run (%.2g%%) that had been rejected, so there is no outcome. "+
			"To know, record while the breaker is forced closed", name, plural(m.Unknown, "call"), 100*(1-res.Coverage))
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
