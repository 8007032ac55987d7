package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// The cost of settings, in good calls rejected: a failed call in an episode costs
// a tenth of one, and a second that a caller waits for it costs one.
const (
	costRejected = 1.0
	costFailed   = 0.1
	costWaited   = 1.0
)

// Goal is what settings must do. Zero fields set no limit. Where a figure is an
// assumption, the unfavourable end of its range must meet the limit.
type Goal struct {
	Detect     time.Duration // the longest time from the beginning of an episode to its trip; none may be missed
	FalseTrips Rate          // the most trips without an episode
	Probes     Rate          // the most calls while the breaker is not closed
	Recovery   time.Duration // the longest time from the end of an episode until it is closed
}

// Rate is a number in a time.
type Rate struct {
	N   float64
	Per time.Duration
}

// rateUnits are the times of a Rate.
var rateUnits = map[string]time.Duration{
	"s": time.Second, "second": time.Second, "min": time.Minute, "minute": time.Minute, "h": time.Hour, "hour": time.Hour,
	"day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour,
}

// ParseRate reads a rate such as "1/week" or "12/min".
func ParseRate(text string) (Rate, error) {
	n, unit, ok := strings.Cut(text, "/")
	v, err := strconv.ParseFloat(n, 64)
	if !ok || err != nil || !(v >= 0) || math.IsInf(v, 0) || rateUnits[unit] == 0 {
		return Rate{}, fmt.Errorf("got %q, want a number and a time, such as 1/week, 2/day or 12/min", text)
	}
	return Rate{v, rateUnits[unit]}, nil
}

// in returns how many there may be in d.
func (r Rate) in(d time.Duration) float64 { return r.N * float64(d) / float64(r.Per) }

// leastEpisodes is the number of episodes below which Tune refuses: it would
// choose by accident.
const leastEpisodes = 3

// ErrFewEpisodes means that a recording holds too few episodes to choose by.
var ErrFewEpisodes = errors.New("too few episodes to choose by")

// ErrNoCandidate means that no candidate meets the goal.
var ErrNoCandidate = errors.New("no candidate meets the goal")

// TuneOptions say what to search.
type TuneOptions struct {
	RunOptions
	Goal Goal
	// Candidates are tried in addition to those that were in effect. Default:
	// Candidates().
	Candidates []Candidate
}

// Tuned is the answer of Tune.
type Tuned struct {
	// Current is the settings that were in effect.
	Current Choice `json:"current"`
	// Best are the choices that meet the goal and cannot be distinguished from the
	// best one. The first is the one to recommend: it changes the fewest settings.
	Best []Choice `json:"best"`
	// Others are the choices that meet the goal and cost more, the best first.
	Others   []Choice  `json:"others"`
	Failed   int       `json:"failed"` // candidates that do not meet the goal
	Episodes []Episode `json:"episodes"`
	Notes    []string  `json:"notes,omitempty"`
}

// Choice is a candidate that was tried.
type Choice struct {
	Result
	Candidate Candidate        `json:"-"`
	Settings  breaker.Settings `json:"settings"` // of the first breaker
	// Cost is what an episode costs, in good calls rejected, and Low and High its
	// 90% interval over resampled episodes and assumptions.
	Cost float64 `json:"cost"`
	Low  float64 `json:"cost_low"`
	High float64 `json:"cost_high"`
	// Saves is the share of the current cost that this choice saves, with its 90%
	// interval: in each resample of the episodes, the choice is compared again.
	Saves     float64  `json:"saves"`
	SavesLow  float64  `json:"saves_low"`
	SavesHigh float64  `json:"saves_high"`
	Misses    []string `json:"misses,omitempty"` // limits of the goal that it does not meet
	Changes   int      `json:"changes"`          // settings that differ from the current ones
}

// Candidates returns the settings that Tune tries by default: twelve rules, six
// kinds of open time, and one or two probes to close.
func Candidates() (out []Candidate) {
	type rule struct {
		name string
		s    breaker.Settings
	}
	var rules []rule
	for _, n := range []int{3, 5, 8, 12} {
		for _, forgive := range []int{0, 2} {
			rules = append(rules, rule{fmt.Sprintf("%d failures, %d to forgive", n, forgive), breaker.Settings{FailMax: n, SuccessesToForgive: forgive}})
		}
	}
	rules = append(rules,
		rule{"half in 10 s", breaker.Settings{FailMax: -1, FailureRate: .5}},
		rule{"half of the last 50", breaker.Settings{FailMax: -1, FailureRate: .5, WindowCalls: 50}},
		rule{"surely above half", breaker.Settings{FailMax: -1, FailureRate: .5, Confidence: .95}},
		rule{"surely above a fifth", breaker.Settings{FailMax: -1, FailureRate: .2, Confidence: .999}})
	resets := []breaker.Settings{
		{ResetTimeout: 5 * time.Second},
		{ResetTimeout: 10 * time.Second},
		{ResetTimeout: 30 * time.Second},
		{ResetTimeout: time.Minute},
		{ResetTimeout: 5 * time.Second, ResetBackoff: 2, ResetMax: 30 * time.Second, ResetJitter: .2},
		{ResetTimeout: time.Second, ResetBackoff: 2, ResetMax: 30 * time.Second, ResetJitter: .2},
	}
	for _, r := range rules {
		for _, reset := range resets {
			for _, passed := range []int{1, 2} {
				s := r.s
				s.ResetTimeout, s.ResetBackoff, s.ResetMax, s.ResetJitter, s.SuccessThreshold = reset.ResetTimeout, reset.ResetBackoff, reset.ResetMax, reset.ResetJitter, passed
				name := fmt.Sprintf("%s; open %v", r.name, reset.ResetTimeout)
				if reset.ResetBackoff > 0 {
					name += fmt.Sprintf(" to %v", reset.ResetMax)
				}
				if passed > 1 {
					name += "; two probes close"
				}
				out = append(out, With(name, s))
			}
		}
	}
	return out
}

// resamples is how often the episodes are resampled.
const resamples = 1000

// Tune searches for settings that meet a goal at the least cost, on all cores. It
// changes nothing. The error matches ErrFewEpisodes or ErrNoCandidate, or is one
// of Run; with ErrNoCandidate the answer is not nil, and says what was missed.
func Tune(ctx context.Context, t *Trace, o TuneOptions) (*Tuned, error) {
	r, err := newRunner(t, o.RunOptions)
	if err != nil {
		return nil, err
	}
	if n := len(r.list()); n < leastEpisodes {
		return nil, fmt.Errorf("%w: the recording has %d, want at least %d; record for longer", ErrFewEpisodes, n, leastEpisodes)
	}
	if o.Candidates == nil {
		o.Candidates = Candidates()
	}
	all := append([]Candidate{AsRecorded}, o.Candidates...)
	outcomes, err := r.run(ctx, all)
	if err != nil {
		return nil, err
	}
	choices := make([]Choice, len(all))
	costs := make([]costTable, len(all))
	for i, c := range all {
		costs[i] = tableOf(outcomes[i])
		x := &choices[i]
		x.Result, x.Candidate, x.Settings = newResult(c.Name, outcomes[i]), c, outcomes[i][0].Settings
		x.Changes = len(outcomes[0][0].Settings.Diff(x.Settings))
		x.Misses = o.Goal.misses(&x.Result)
	}
	out := &Tuned{Episodes: r.list(), Notes: r.notes()}
	tied := compare(choices, costs)
	out.Current = choices[0]
	for i, x := range choices {
		switch {
		case len(x.Misses) > 0:
			out.Failed++
		case tied[i]:
			out.Best = append(out.Best, x)
		default:
			out.Others = append(out.Others, x)
		}
	}
	slices.SortStableFunc(out.Best, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(a.Changes, b.Changes), cmp.Compare(a.Cost, b.Cost))
	})
	slices.SortStableFunc(out.Others, func(a, b Choice) int { return cmp.Compare(a.Cost, b.Cost) })
	if len(out.Best) == 0 {
		nearest := slices.MinFunc(choices, func(a, b Choice) int {
			return cmp.Or(cmp.Compare(a.Metrics.Missed, b.Metrics.Missed), cmp.Compare(len(a.Misses), len(b.Misses)), cmp.Compare(a.Cost, b.Cost))
		})
		return out, fmt.Errorf("%w; the nearest is %q, with %s", ErrNoCandidate, nearest.Name, strings.Join(nearest.Misses, " and "))
	}
	return out, nil
}

// misses returns the limits that a result does not meet.
func (g Goal) misses(r *Result) (out []string) {
	over := func(key string, limit float64, what string) {
		if f := r.Figure(key); f.High > limit {
			out = append(out, fmt.Sprintf("%s of %.3g%s, want at most %.3g%s", what, f.High, f.Unit, limit, f.Unit))
		}
	}
	if g.Detect > 0 {
		over("delay_max_seconds", g.Detect.Seconds(), "a detection delay")
		over("missed", 0, "missed episodes")
	}
	if g.FalseTrips.Per > 0 {
		over("false_trips", g.FalseTrips.in(r.Metrics.Span), "false trips")
	}
	if g.Probes.Per > 0 {
		over("probes_per_minute", g.Probes.in(time.Minute), "probes")
	}
	if g.Recovery > 0 {
		over("recovery_max_seconds", g.Recovery.Seconds(), "a recovery")
	}
	return out
}

// costTable is the cost by assumption and episode, of all breakers.
type costTable [assumptions][]float64

func tableOf(lanes []laneOutcome) (t costTable) {
	for i := range lanes {
		for a := range t {
			c := lanes[i].costs[a]
			if c == nil {
				c = lanes[i].costs[skipped] // nothing depends on the assumption
			}
			t[a] = append(t[a], c...)
		}
	}
	return t
}

// compare fills in the costs of the choices, and returns which of those that meet
// the goal cannot be distinguished from the best. The first choice is the current one.
func compare(choices []Choice, costs []costTable) (tied []bool) {
	rng := rand.New(rand.NewPCG(1, 2)) // the same answer each time
	n := len(costs[0][0])
	samples := make([][]float64, len(choices)) // by choice
	for range resamples {
		a := allFail + assumption(rng.IntN(int(assumptions-allFail)))
		picked := make([]int, n)
		for k := range picked {
			picked[k] = rng.IntN(n)
		}
		for i := range choices {
			sum := 0.0
			for _, k := range picked {
				sum += costs[i][a][k]
			}
			samples[i] = append(samples[i], sum/float64(n))
		}
	}
	best := -1
	for i := range choices {
		x := &choices[i]
		for a := allFail; a < assumptions; a++ {
			for _, c := range costs[i][a] {
				x.Cost += c / float64(n) / float64(assumptions-allFail)
			}
		}
		x.Low, x.High = interval(slices.Clone(samples[i]))
		if len(x.Misses) == 0 && (best < 0 || x.Cost < choices[best].Cost) {
			best = i
		}
		saves := make([]float64, resamples)
		for k, c := range samples[i] {
			if now := samples[0][k]; now > 0 {
				saves[k] = 1 - c/now
			}
		}
		x.SavesLow, x.SavesHigh = interval(saves)
		if now := choices[0].Cost; now > 0 {
			x.Saves = 1 - x.Cost/now
		}
	}
	tied = make([]bool, len(choices))
	if best < 0 {
		return tied
	}
	for i := range choices {
		// The interval of the difference holds 0: by other episodes of the same
		// kind this one might have been the better one.
		diff := make([]float64, resamples)
		for k := range diff {
			diff[k] = samples[i][k] - samples[best][k]
		}
		low, _ := interval(diff)
		tied[i] = len(choices[i].Misses) == 0 && (i == best || low <= 0)
	}
	return tied
}

// interval returns the 5% and 95% quantiles. It sorts x.
func interval(x []float64) (low, high float64) {
	slices.Sort(x)
	return x[len(x)/20], x[len(x)-1-len(x)/20]
}
