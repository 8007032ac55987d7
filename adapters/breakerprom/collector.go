// Package breakerprom shows the breakers of a manager to Prometheus.
//
//	prometheus.MustRegister(breakerprom.NewCollector(manager))
//
// Names and labels are those of the ops package's own /metrics, which needs no
// client library: one dashboard and one file of alerts (docs/ in the
// repository) serve both. Register one or scrape the other, not both.
//
// # What is evidence
//
// What never left the process, what the caller did, and what the program did
// wrong is not evidence. Only what the dependency does is. This package judges
// nothing: it shows the outcomes of the breakers, where those that are not evidence
// are "ignored".
//
// # Cardinality and cost
//
// Series are labelled with the name of a breaker or a set, of which there are
// as many as the program's text has; keys are added up under their set. WithKeys
// shows a limited number of keys.
//
// A scrape reads the status of all breakers. It adds no cost to calls: a call
// that succeeds on a closed breaker is not counted, unless WithCalls says so.
//
// # Metrics
//
//	switchgear_breakers{name,state}              gauge: 1 for the state that a breaker is in, 0 for the others; of a set, its keys in that state
//	switchgear_auto_breakers{name,state}         gauge: the same by automatic state, regardless of overrides
//	switchgear_consecutive_failures{name}        gauge; of a set, that of its worst key
//	switchgear_probes{name}                      gauge: probes in flight
//	switchgear_override_remaining_seconds{name}  gauge: until the first override expires; absent if none expires
//	switchgear_overrides_without_expiry{name}    gauge
//	switchgear_transitions_total{name,to,cause}  counter, including those behind an override
//	switchgear_held_back_total{name}             counter: times that breaker.Manager.CapOpen kept a breaker closed
//	switchgear_open_seconds_total{name}          counter: time open or forced open, all keys of a set together
//	switchgear_bypassed_calls_total{name}        counter; not for sets
//	switchgear_panics_total{name}                counter
//	switchgear_calls_total{name,outcome}         counter, WithCalls: outcome is success, failure, ignored or rejected
//	switchgear_key_state{name,key,state}         gauge, WithKeys: 1 for the state of a key
//	switchgear_keys_left_out{name}               gauge, WithKeys: keys beyond the limit
//
// Counters begin with the collector, those of calls when they are first
// observed (see breaker.Manager.Observe).
package breakerprom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/metrics"
)

var (
	breakers     = desc("switchgear_breakers", "Breakers (of a set: keys remembered) by effective state.", "state")
	autoBreakers = desc("switchgear_auto_breakers", "Breakers by automatic state, regardless of overrides.", "state")
	failures     = desc("switchgear_consecutive_failures", "Consecutive failures; of a set, those of its worst key.")
	probes       = desc("switchgear_probes", "Probes in flight.")
	remaining    = desc("switchgear_override_remaining_seconds", "Time until the first override expires; absent if none expires.")
	unlimited    = desc("switchgear_overrides_without_expiry", "Overrides that do not expire.")
	bypassed     = desc("switchgear_bypassed_calls_total", "Calls admitted because of WithBypass while the breaker rejected; not for sets.")
	panics       = desc("switchgear_panics_total", "Recovered panics of the program's listeners and classifiers.")
	transitions  = desc("switchgear_transitions_total", "Transitions by new state and by cause.", "to", "cause")
	heldBack     = desc("switchgear_held_back_total", "Times that a rule was met but the cap on open breakers kept the breaker closed.")
	openSeconds  = desc("switchgear_open_seconds_total", "Total time that the breakers of a name have been open or forced open.")
	calls        = desc("switchgear_calls_total", "Calls by outcome.", "outcome")
	keyState     = desc("switchgear_key_state", "1 for the state of a key; the worst keys of each set, up to the limit.", "key", "state")
	keysLeftOut  = desc("switchgear_keys_left_out", "Keys of a set that are beyond the limit.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"name"}, labels...), nil)
}

// Collector is a prometheus.Collector. It lives as long as its manager.
type Collector struct {
	manager *breaker.Manager
	watcher *metrics.Watcher
	calls   bool
	keys    int
}

// NewCollector returns a collector of the breakers of m, including those that
// are created later. It begins to count at once.
//
// A registry refuses a second collector, as its metrics have the same names. To
// show several managers, wrap the registration of each with a label, because
// Prometheus wants the same labels of all:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"component": "api"}, registry).MustRegister(collector)
func NewCollector(m *breaker.Manager, opts ...Option) *Collector {
	c := &Collector{manager: m}
	for _, opt := range opts {
		opt(c)
	}
	c.watcher = metrics.Watch(m)
	if c.calls {
		m.Observe()
	}
	return c
}

// Option changes what a Collector shows.
type Option func(*Collector)

// WithCalls counts calls by outcome, which adds about 6 ns to a call, or 20 ns
// if calls are timed.
func WithCalls() Option { return func(c *Collector) { c.calls = true } }

// WithKeys shows the state of at most limit keys of each set, first those that
// are not closed or have failed. Keys that come and go create new series, so
// use it if there are few keys. Default: none.
func WithKeys(limit int) Option { return func(c *Collector) { c.keys = limit } }

// Describe sends what Collect may send.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		breakers, autoBreakers, failures, probes, remaining, unlimited, bypassed, panics, transitions, heldBack, openSeconds,
	} {
		out <- d
	}
	if c.calls {
		out <- calls
	}
	if c.keys > 0 {
		out <- keyState
		out <- keysLeftOut
	}
}

// Collect reads the breakers' state and the counts.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	for _, g := range metrics.Groups(c.manager, now) {
		collectGroup(out, g)
		if c.keys > 0 && g.Keyed {
			collectKeys(out, g, c.keys)
		}
	}
	for t, n := range c.watcher.Transitions() {
		count(out, transitions, float64(n), t.Name, t.To.String(), string(t.Cause))
	}
	for name, n := range c.watcher.HeldBack() {
		count(out, heldBack, float64(n), name)
	}
	for name, d := range c.watcher.OpenTime(now) {
		count(out, openSeconds, d.Seconds(), name)
	}
	if !c.calls {
		return
	}
	for name, n := range c.manager.Calls() {
		for _, o := range metrics.Outcomes(n) {
			count(out, calls, float64(o.Count), name, o.Name)
		}
	}
}

func collectGroup(out chan<- prometheus.Metric, g *metrics.Group) {
	for _, s := range metrics.States() {
		gauge(out, breakers, float64(g.States[s]), g.Name, s.String())
	}
	for _, s := range metrics.AutoStates() {
		gauge(out, autoBreakers, float64(g.Auto[s]), g.Name, s.String())
	}
	gauge(out, failures, float64(g.FailCount), g.Name)
	gauge(out, probes, float64(g.Probes), g.Name)
	gauge(out, unlimited, float64(g.Unlimited), g.Name)
	if g.Expiring {
		gauge(out, remaining, g.Remaining.Seconds(), g.Name)
	}
	if !g.Keyed {
		count(out, bypassed, float64(g.Bypassed), g.Name)
	}
	count(out, panics, float64(g.Panics), g.Name)
}

func collectKeys(out chan<- prometheus.Metric, g *metrics.Group, limit int) {
	worst := g.Worst(limit)
	for _, k := range worst {
		gauge(out, keyState, 1, g.Name, k.Label, k.State.String())
	}
	gauge(out, keysLeftOut, float64(g.Len()-len(worst)), g.Name)
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func count(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}
