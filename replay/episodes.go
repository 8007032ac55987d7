package replay

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// Episode is a time in which a dependency was ill, found in the outcomes of its
// calls with hindsight. It is the same for all candidates.
type Episode struct {
	ID    string    `json:"id"` // the breaker's
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"` // when the last bad outcome was seen
	// EndedBy is when the first good outcomes were seen afterwards: the dependency
	// recovered between Ended and EndedBy. Calls that were rejected in between
	// cannot tell.
	EndedBy time.Time `json:"ended_by"`
	// Rate is the share of the calls that failed or were slow.
	Rate float64 `json:"rate"`
	// Open means that the recording ends before the episode does.
	Open bool `json:"open,omitempty"`
	// LoadSensitive means that, before the breaker opened, more calls in flight
	// came with more failures or longer calls. Then rejecting calls may have made
	// the dependency better, and what a replay says about the time after the
	// first trip is too pessimistic or too optimistic.
	LoadSensitive bool `json:"load_sensitive,omitempty"`
}

// span is an Episode in the times of the trace.
type span struct{ began, ended, endedBy time.Duration }

func (s span) overlaps(from, to time.Duration) bool { return s.began <= to && s.endedBy >= from }

const (
	// binWidth is the resolution of episodes.
	binWidth = 100 * time.Millisecond
	// leastEpisode is the shortest episode. What is shorter is a blip.
	leastEpisode = time.Second
	// switchCost is what a change between well and ill must be worth, in nats: a
	// change in 100 ms is about as likely as one in a thousand.
	switchCost = 7
	// defaultSick is the share of bad calls from which on a dependency is ill.
	defaultSick = 0.2
)

// bin is the outcomes of the calls that ended in a tenth of a second, or in
// several of them in which none was bad.
type bin struct {
	at, to     int64 // begins at at*binWidth, and its last tenth of a second at to*binWidth
	calls, bad int
}

// known reports whether a record is that of a call whose outcome is evidence.
func known(c *tape.Call) bool {
	k := c.What.Kind()
	o := breaker.Outcome(c.What.Outcome())
	return (k == tape.Whole || k == tape.Answered) && !c.What.Has(tape.Beside) && o != breaker.Ignored && o != breaker.Canceled
}

// episodes finds the times in which the dependency was ill: the most likely
// sequence of two states, well and ill, each with a failure rate of its own that
// is fitted to the data, where changes are rare (Viterbi's algorithm). Of what it
// calls ill, spans count in which at least sick of the calls are bad.
func (l *Lane) episodes(t *Trace, bins []bin, sick float64) ([]span, []Episode) {
	if len(bins) == 0 {
		return nil, nil
	}
	well, ill := 0.01, 0.7
	var states []bool
	for range 4 {
		states = viterbi(bins, well, ill)
		well, ill = fit(bins, states)
		well, ill = min(max(well, 0.001), sick/2), min(max(ill, sick), 0.99)
	}
	var spans []span
	var list []Episode
	for i := 0; i < len(bins); i++ {
		if !states[i] {
			continue
		}
		j := i
		var n bin
		last := i // the last bin with a bad call
		for ; j < len(bins) && states[j]; j++ {
			n.calls += bins[j].calls
			n.bad += bins[j].bad
			if bins[j].bad > 0 {
				last = j
			}
		}
		s := span{began: time.Duration(bins[i].at) * binWidth, ended: time.Duration(bins[last].at+1) * binWidth}
		s.endedBy = s.ended
		if j < len(bins) {
			s.endedBy = max(s.ended, time.Duration(bins[j].at)*binWidth)
		}
		rate := float64(n.bad) / float64(n.calls)
		if rate >= sick && s.endedBy-s.began >= leastEpisode {
			spans = append(spans, s)
			list = append(list, Episode{
				ID: l.ID, Began: t.at(s.began), Ended: t.at(s.ended), EndedBy: t.at(s.endedBy), Rate: rate,
				Open: j == len(bins),
			})
		}
		i = j
	}
	return spans, list
}

// viterbi returns for each bin whether the dependency was ill.
func viterbi(bins []bin, well, ill float64) []bool {
	score := func(b bin, rate float64) float64 {
		return float64(b.bad)*math.Log(rate) + float64(b.calls-b.bad)*math.Log(1-rate)
	}
	from := make([][2]bool, len(bins)) // by bin and state: was it ill before?
	best := [2]float64{0, -switchCost}
	for i, b := range bins {
		var next [2]float64
		for state, rate := range []float64{well, ill} {
			stay, change := best[state], best[1-state]-switchCost
			from[i][state] = (state == 1) == (stay >= change)
			next[state] = max(stay, change) + score(b, rate)
		}
		best = next
	}
	states := make([]bool, len(bins))
	ill1 := best[1] > best[0]
	for i := len(bins) - 1; i >= 0; i-- {
		states[i] = ill1
		k := 0
		if ill1 {
			k = 1
		}
		ill1 = from[i][k]
	}
	return states
}

// fit returns the failure rates of the two states.
func fit(bins []bin, states []bool) (well, ill float64) {
	var n [2]bin
	for i, b := range bins {
		k := 0
		if states[i] {
			k = 1
		}
		n[k].calls += b.calls
		n[k].bad += b.bad
	}
	rate := func(b bin) float64 { return (float64(b.bad) + .5) / (float64(b.calls) + 1) }
	return rate(n[0]), rate(n[1])
}

// rankCorrelation is Spearman's, with the mean rank for ties.
func rankCorrelation(a, b []float64) float64 {
	return correlation(ranks(a), ranks(b))
}

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	out := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && x[order[j]] == x[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			out[order[k]] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

func correlation(a, b []float64) float64 {
	var ma, mb float64
	for i := range a {
		ma += a[i] / float64(len(a))
		mb += b[i] / float64(len(b))
	}
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - ma) * (b[i] - mb)
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
