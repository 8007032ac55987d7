// Package breakerprom shows the breakers of a manager to Prometheus.
//
//	prometheus.MustRegister(breakerprom.NewCollector(manager))
//
// Names and labels are those of the ops package's own /metrics, which needs no
// client library: one dashboard and one file of alerts (docs/ in the
// repository) serve both. Register one or scrape the other, not both.
//
// # Cardinality and cost
//
// Series are labelled with the name of a breaker or a set, of which there are
// as many as the program's text has; keys are added up under their set. WithKeys
// shows a limited number of keys.
//
// A scrape reads the status of all breakers. Calls pay nothing for it: a call
// that succeeds on a closed breaker is counted nowhere, unless WithCalls says so.
//
// # Metrics
//
//	switchgear_breakers{name,state}              gauge: 1 for the state that a breaker is in, 0 for the others; of a set, its keys in that state
//	switchgear_auto_breakers{name,state}         gauge: the same by automatic state, behind overrides
//	switchgear_consecutive_failures{name}        gauge: of a set, its worst key's
//	switchgear_probes{name}                      gauge: probes in flight
//	switchgear_override_remaining_seconds{name}  gauge: until the next override ends; absent without one that ends
//	switchgear_overrides_without_expiry{name}    gauge
//	switchgear_transitions_total{name,to,cause}  counter, those behind an override included
//	switchgear_open_seconds_total{name}          counter: time open or forced open, all keys of a set together
//	switchgear_bypassed_calls_total{name}        counter; not for sets
//	switchgear_listener_panics_total{name}       counter
//	switchgear_calls_total{name,outcome}         counter, WithCalls: outcome is success, failure, ignored or rejected
//	switchgear_key_state{name,key,state}         gauge, WithKeys: 1 for the state of a key
//	switchgear_keys_left_out{name}               gauge, WithKeys: keys beyond the limit
//
// Counters begin with the collector, those of calls when somebody first observes
// them (see breaker.Manager.Observe).
package breakerprom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/meter"
)

var (
	breakers     = desc("switchgear_breakers", "Breakers (of a set: keys remembered) by what they do with the next call.", "state")
	autoBreakers = desc("switchgear_auto_breakers", "Breakers by their automatic state, behind overrides.", "state")
	failures     = desc("switchgear_consecutive_failures", "Consecutive failures; of a set, its worst key's.")
	probes       = desc("switchgear_probes", "Probes in flight.")
	remaining    = desc("switchgear_override_remaining_seconds", "Time until the next override ends; absent without one that ends.")
	unlimited    = desc("switchgear_overrides_without_expiry", "Overrides that stay until somebody releases them.")
	bypassed     = desc("switchgear_bypassed_calls_total", "Calls let through by WithBypass while it rejected; not for sets.")
	panics       = desc("switchgear_listener_panics_total", "Panics of listeners and classifiers, recovered.")
	transitions  = desc("switchgear_transitions_total", "Transitions by the state they led to and by what decided.", "to", "cause")
	openSeconds  = desc("switchgear_open_seconds_total", "Time that the breakers of a name have been open or forced open, all together.")
	calls        = desc("switchgear_calls_total", "Calls by what became of them.", "outcome")
	keyState     = desc("switchgear_key_state", "1 for the state of a key; the worst keys of each set, up to the limit.", "key", "state")
	keysLeftOut  = desc("switchgear_keys_left_out", "Keys of a set that are beyond the limit.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"name"}, labels...), nil)
}

// Collector is a prometheus.Collector. It lives as long as its manager.
type Collector struct {
	manager *breaker.Manager
	tally   *meter.Tally
	calls   bool
	keys    int
}

// NewCollector makes a collector of m's breakers, those included that are made
// later. It begins to count at once.
func NewCollector(m *breaker.Manager, opts ...Option) *Collector {
	c := &Collector{manager: m}
	for _, opt := range opts {
		opt(c)
	}
	c.tally = meter.Watch(m)
	if c.calls {
		m.Observe()
	}
	return c
}

// Option changes what a Collector shows.
type Option func(*Collector)

// WithCalls counts calls by what became of them, which costs each some 4 ns.
func WithCalls() Option { return func(c *Collector) { c.calls = true } }

// WithKeys shows the state of the keys of each set, at most limit of them, those
// that are not closed or have failed first. Keys that come and go make new
// series: choose it where the keys are few. Default: none.
func WithKeys(limit int) Option { return func(c *Collector) { c.keys = limit } }

// Describe sends what Collect may send.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		breakers, autoBreakers, failures, probes, remaining, unlimited, bypassed, panics, transitions, openSeconds,
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
	for _, n := range meter.Sums(c.manager.Status(), now) {
		collectSum(out, n)
		if c.keys > 0 && len(n.Keys) > 0 {
			collectKeys(out, n, c.keys)
		}
	}
	c.tally.EachMove(func(m meter.Move, n uint64) {
		count(out, transitions, float64(n), m.Name, m.To.String(), string(m.Cause))
	})
	c.tally.EachOpenTime(now, func(name string, d time.Duration) {
		count(out, openSeconds, d.Seconds(), name)
	})
	if c.calls {
		meter.EachCalls(c.manager, func(name, outcome string, n uint64) { count(out, calls, float64(n), name, outcome) })
	}
}

func collectSum(out chan<- prometheus.Metric, n *meter.Sum) {
	for _, s := range meter.States {
		gauge(out, breakers, float64(n.States[s]), n.Name, s.String())
	}
	for _, s := range meter.AutoStates {
		gauge(out, autoBreakers, float64(n.Auto[s]), n.Name, s.String())
	}
	gauge(out, failures, float64(n.Fails), n.Name)
	gauge(out, probes, float64(n.Probes), n.Name)
	gauge(out, unlimited, float64(n.Overrides), n.Name)
	if n.Expiring {
		gauge(out, remaining, n.Remaining.Seconds(), n.Name)
	}
	if len(n.Keys) == 0 {
		count(out, bypassed, float64(n.Bypassed), n.Name)
	}
	count(out, panics, float64(n.Panics), n.Name)
}

func collectKeys(out chan<- prometheus.Metric, n *meter.Sum, limit int) {
	shown := make(map[string]bool)
	for _, s := range n.Worst(limit) {
		if key := meter.KeyLabel(s.Key); !shown[key] { // two that look the same would spoil the scrape
			shown[key] = true
			gauge(out, keyState, 1, n.Name, key, s.State.String())
		}
	}
	gauge(out, keysLeftOut, float64(len(n.Keys)-len(shown)), n.Name)
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func count(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}
