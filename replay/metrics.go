package replay

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Metrics is what settings did or would have done in a recording.
type Metrics struct {
	// Demand is the calls that were made. Ran + Rejected + Unknown = Demand.
	Demand uint64 `json:"demand"`
	Ran    uint64 `json:"ran"`
	// Rejected is the calls that these settings reject. Of them
	// RejectedUnknown were also rejected when they were recorded, so nobody
	// knows how they would have ended.
	Rejected        uint64 `json:"rejected"`
	RejectedUnknown uint64 `json:"rejected_unknown"`
	// Unknown is the calls that these settings would let run, and that were
	// rejected when they were recorded. They have no outcome. Deciding is those
	// of them that would have been probes, or come while failures count.
	Unknown  uint64 `json:"unknown"`
	Deciding uint64 `json:"deciding"`

	// FalseIn and FalseOut are rejected calls whose recorded outcome is a
	// success, within and outside episodes.
	FalseIn  uint64 `json:"false_rejects_in"`
	FalseOut uint64 `json:"false_rejects_out"`
	// Trips is the transitions from closed to open. A trip is false if there is
	// no episode between its first counted failure and one window later.
	Trips      int `json:"trips"`
	FalseTrips int `json:"false_trips"`
	// Episodes is the number of episodes, Missed that of those without a trip.
	Episodes int `json:"episodes"`
	Missed   int `json:"missed"`
	// Delays are the times from the beginning of each detected episode to its
	// first trip, sorted. FailedBefore is the calls that failed meanwhile.
	Delays       []time.Duration `json:"-"`
	FailedBefore uint64          `json:"failed_before_trip"`
	// Wasted is the calls that ran in episodes and failed; Waited is the time
	// that their callers spent on them.
	Wasted uint64        `json:"wasted"`
	Waited time.Duration `json:"-"`
	// Probes is the calls that ran while the breaker was not closed; NotClosed
	// is how long that was.
	Probes    uint64        `json:"probes"`
	NotClosed time.Duration `json:"-"`
	// Recoveries are the times from the end of each detected episode until the
	// breaker was closed, sorted.
	Recoveries []time.Duration `json:"-"`
	// Blind is the time in which the recording holds no outcome, because every
	// call was rejected: the sum over all breakers. It is the same for all
	// candidates.
	Blind time.Duration `json:"-"`
	// Span is the time that the recording covers.
	Span time.Duration `json:"-"`
}

// add adds the metrics of another breaker.
func (m *Metrics) add(o *Metrics) {
	m.Demand += o.Demand
	m.Ran += o.Ran
	m.Rejected += o.Rejected
	m.RejectedUnknown += o.RejectedUnknown
	m.Unknown += o.Unknown
	m.Deciding += o.Deciding
	m.FalseIn += o.FalseIn
	m.FalseOut += o.FalseOut
	m.Trips += o.Trips
	m.FalseTrips += o.FalseTrips
	m.Episodes += o.Episodes
	m.Missed += o.Missed
	m.Delays = append(m.Delays, o.Delays...)
	slices.Sort(m.Delays)
	m.FailedBefore += o.FailedBefore
	m.Wasted += o.Wasted
	m.Waited += o.Waited
	m.Probes += o.Probes
	m.NotClosed += o.NotClosed
	m.Recoveries = append(m.Recoveries, o.Recoveries...)
	slices.Sort(m.Recoveries)
	m.Blind += o.Blind
	m.Span = max(m.Span, o.Span)
}

// Coverage is the share of the calls that these settings would let run whose
// outcome is known.
func (m *Metrics) Coverage() float64 {
	if m.Ran+m.Unknown == 0 {
		return 1
	}
	return float64(m.Ran) / float64(m.Ran+m.Unknown)
}

// quantile returns the q quantile of sorted values, or 0.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// Trust says how far a figure can be relied on.
type Trust uint8

const (
	// Exact figures follow from recorded outcomes alone.
	Exact Trust = iota
	// Supported figures follow from the outcomes of at least 99% of the calls
	// concerned, and no call without an outcome decided anything.
	Supported
	// Assumed figures depend on calls without an outcome. Low and High are the
	// range over five assumptions about these calls: all fail, all succeed, each
	// ends as the call before it did, or as the one after it, or the change
	// between the two comes half way. The truth may lie outside this range.
	Assumed
)

// String returns "exact", "supported" or "assumed".
func (t Trust) String() string { return [...]string{"exact", "supported", "assumed"}[t] }

// MarshalText returns String.
func (t Trust) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Figure is one number of a Result.
type Figure struct {
	Key   string  `json:"key"`
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"` // "s", "/min", or nothing for a count
	Value float64 `json:"value"`
	Trust Trust   `json:"trust"`
	// Low and High are the range of an Assumed figure, else Value.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// figure is how a Figure follows from Metrics. rejects is true for those that
// also depend on how the calls that nobody let run would have ended.
type figure struct {
	key, name, unit string
	rejects         bool
	of              func(m *Metrics) float64
}

func seconds(d time.Duration) float64 { return d.Seconds() }

var figures = []figure{
	{"trips", "trips", "", false, func(m *Metrics) float64 { return float64(m.Trips) }},
	{"false_trips", "false trips", "", false, func(m *Metrics) float64 { return float64(m.FalseTrips) }},
	{"missed", "episodes missed", "", false, func(m *Metrics) float64 { return float64(m.Missed) }},
	{"delay_p50_seconds", "detection delay, median", "s", false, func(m *Metrics) float64 { return seconds(quantile(m.Delays, .5)) }},
	{"delay_max_seconds", "detection delay, longest", "s", false, func(m *Metrics) float64 { return seconds(quantile(m.Delays, 1)) }},
	{"failed_before_trip", "failed before the trip", "", false, func(m *Metrics) float64 { return float64(m.FailedBefore) }},
	{"false_rejects_in", "good calls rejected in episodes", "", true, func(m *Metrics) float64 { return float64(m.FalseIn) }},
	{"false_rejects_out", "good calls rejected outside", "", true, func(m *Metrics) float64 { return float64(m.FalseOut) }},
	{"wasted", "calls wasted in episodes", "", false, func(m *Metrics) float64 { return float64(m.Wasted) }},
	{"waited_seconds", "time waited for them", "s", false, func(m *Metrics) float64 { return seconds(m.Waited) }},
	{"probes_per_minute", "probes", "/min", false, func(m *Metrics) float64 {
		if m.NotClosed <= 0 {
			return 0
		}
		return float64(m.Probes) / m.NotClosed.Minutes()
	}},
	{"recovery_p50_seconds", "recovery, median", "s", false, func(m *Metrics) float64 { return seconds(quantile(m.Recoveries, .5)) }},
	{"recovery_max_seconds", "recovery, longest", "s", false, func(m *Metrics) float64 { return seconds(quantile(m.Recoveries, 1)) }},
}

// figuresOf returns the figures of m. filled are the metrics under each
// assumption, or empty if none was needed.
func figuresOf(m *Metrics, filled []*Metrics) []Figure {
	trust := Exact
	switch {
	case m.Unknown == 0:
	case m.Deciding == 0 && m.Coverage() >= .99:
		trust = Supported
	default:
		trust = Assumed
	}
	out := make([]Figure, 0, len(figures))
	for _, f := range figures {
		x := Figure{Key: f.key, Name: f.name, Unit: f.unit, Value: f.of(m), Trust: trust}
		x.Low, x.High = x.Value, x.Value
		if f.rejects && m.RejectedUnknown > 0 {
			x.Trust = Assumed
		}
		if x.Trust == Assumed {
			for _, o := range filled {
				v := f.of(o)
				x.Low, x.High = min(x.Low, v), max(x.High, v)
			}
		}
		out = append(out, x)
	}
	return out
}

// Figure returns the figure with this key. It panics if there is none.
func (r *Result) Figure(key string) Figure {
	for _, f := range r.Figures {
		if f.Key == key {
			return f
		}
	}
	panic(fmt.Sprintf("replay: no figure %q", key))
}
