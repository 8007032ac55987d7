package ops

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/meter"
)

const (
	maxMetricKeys = 1000 // of each set whose keys are asked for
	maxMetricSets = 10   // whose keys are asked for
)

// getMetrics serves the Prometheus text format. Keyed breakers are summed up
// under their set, so that there are as many series as the program's text has
// names; ?keys=SET asks for the keys of a set, the worst thousand at most.
func (d *door) getMetrics(w http.ResponseWriter, r *http.Request) error {
	keysOf := slices.Compact(slices.Sorted(slices.Values(r.URL.Query()["keys"])))
	if len(keysOf) > maxMetricSets {
		return refuse(http.StatusBadRequest, "order", "the keys of %d sets, want at most %d: ?keys=SET", len(keysOf), maxMetricSets)
	}
	return d.answer(w, r, "text/plain; version=0.0.4; charset=utf-8", func(out *bytes.Buffer) error {
		d.writeMetrics(out, keysOf)
		return nil
	})
}

func (p *Plane) writeMetrics(out *bytes.Buffer, keysOf []string) {
	now := time.Now()
	p.census.each(p.m, func(sums []*meter.Sum) { p.writeStates(out, sums) })
	p.writeKeys(out, keysOf)
	p.writeMoves(out, now)
	p.writeCalls(out)
	p.writePlane(out)
}

// head writes what goes before the samples of a metric.
func head(out *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// labelled is a label's value as the text format wants it.
var labelled = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one line; labels are pairs of name and value, in UTF-8.
func sample(out *bytes.Buffer, name string, value any, labels ...string) {
	out.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		out.WriteByte("{,"[btoi(i > 0)])
		fmt.Fprintf(out, `%s="%s"`, labels[i], labelled.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		out.WriteByte('}')
	}
	fmt.Fprintf(out, " %v\n", value)
}

func (p *Plane) writeStates(out *bytes.Buffer, sums []*meter.Sum) {
	head(out, "switchgear_breakers", "gauge", "Breakers (of a set: keys remembered) by what they do with the next call.")
	for _, n := range sums {
		for _, s := range meter.States {
			sample(out, "switchgear_breakers", n.States[s], "name", n.Name, "state", s.String())
		}
	}
	head(out, "switchgear_auto_breakers", "gauge", "Breakers by their automatic state, behind overrides.")
	for _, n := range sums {
		for _, s := range meter.AutoStates {
			sample(out, "switchgear_auto_breakers", n.Auto[s], "name", n.Name, "state", s.String())
		}
	}
	each := func(name, kind, help string, value func(*meter.Sum) (any, bool)) {
		head(out, name, kind, help)
		for _, n := range sums {
			if v, ok := value(n); ok {
				sample(out, name, v, "name", n.Name)
			}
		}
	}
	each("switchgear_consecutive_failures", "gauge", "Consecutive failures; of a set, its worst key's.",
		func(n *meter.Sum) (any, bool) { return n.Fails, true })
	each("switchgear_probes", "gauge", "Probes in flight.",
		func(n *meter.Sum) (any, bool) { return n.Probes, true })
	each("switchgear_override_remaining_seconds", "gauge", "Time until the next override ends; absent without one that ends.",
		func(n *meter.Sum) (any, bool) { return n.Remaining.Seconds(), n.Expiring })
	each("switchgear_overrides_without_expiry", "gauge", "Overrides that stay until somebody releases them.",
		func(n *meter.Sum) (any, bool) { return n.Overrides, true })
	each("switchgear_bypassed_calls_total", "counter", "Calls let through by WithBypass while it rejected; not for sets.",
		func(n *meter.Sum) (any, bool) { return n.Bypassed, !n.Keyed })
	each("switchgear_listener_panics_total", "counter", "Panics of listeners and classifiers, recovered.",
		func(n *meter.Sum) (any, bool) { return n.Panics, true })
}

// writeKeys tells the states of keys. It looks at the state and the failures of
// each key of these sets, which takes nanoseconds, and no closer.
func (p *Plane) writeKeys(out *bytes.Buffer, keysOf []string) {
	if len(keysOf) == 0 {
		return
	}
	head(out, "switchgear_key_state", "gauge", "1 for the state of a key; the worst thousand of each set that was asked for.")
	for _, name := range keysOf {
		set, err := p.m.LookupSet(name)
		if err != nil {
			continue // a set that the program has not made yet has no keys
		}
		worst := first[keyState]{most: maxMetricKeys, compare: compareKeys}
		for _, b := range set.Breakers() {
			worst.add(keyState{b.Key(), b.State(), b.FailCount()})
		}
		told := map[string]bool{} // a scrape with a series twice is refused as a whole
		for _, k := range worst.sorted() {
			if key := meter.KeyLabel(k.key); !told[key] {
				told[key] = true
				sample(out, "switchgear_key_state", 1, "name", name, "key", key, "state", k.state.String())
			}
		}
	}
}

// keyState is what is seen of a key at a glance.
type keyState struct {
	key   string
	state breaker.State
	fails int
}

// compareKeys puts those first that reject, then those that may.
func compareKeys(a, b keyState) int {
	return cmp.Or(
		cmp.Compare(btoi(b.state != breaker.Closed), btoi(a.state != breaker.Closed)),
		cmp.Compare(btoi(b.state == breaker.Open), btoi(a.state == breaker.Open)),
		cmp.Compare(b.fails, a.fails),
		strings.Compare(a.key, b.key))
}

func (p *Plane) writeMoves(out *bytes.Buffer, now time.Time) {
	head(out, "switchgear_transitions_total", "counter", "Transitions by the state they led to and by what decided.")
	p.tally.EachMove(func(m meter.Move, n uint64) {
		sample(out, "switchgear_transitions_total", n, "name", m.Name, "to", m.To.String(), "cause", string(m.Cause))
	})
	head(out, "switchgear_open_seconds_total", "counter", "Time that the breakers of a name have been open or forced open, all together.")
	p.tally.EachOpenTime(now, func(name string, d time.Duration) {
		sample(out, "switchgear_open_seconds_total", d.Seconds(), "name", name)
	})
}

func (p *Plane) writeCalls(out *bytes.Buffer) {
	head(out, "switchgear_calls_total", "counter", "Calls by what became of them.")
	meter.EachCalls(p.m, func(name, outcome string, n uint64) {
		sample(out, "switchgear_calls_total", n, "name", name, "outcome", outcome)
	})
}

func (p *Plane) writePlane(out *bytes.Buffer) {
	head(out, "switchgear_orders_total", "counter", "Orders by verb and by what became of them.")
	p.orders.each(func(k orderKey, n uint64) {
		sample(out, "switchgear_orders_total", n, "verb", k.verb, "result", k.result)
	})
	if p.audit != nil {
		head(out, "switchgear_audit_failing", "gauge", "1 while the audit log cannot be written.")
		sample(out, "switchgear_audit_failing", btoi(p.audit.state() != nil))
	}
	head(out, "switchgear_start_time_seconds", "gauge", "When the operations plane was made, in seconds since 1970.")
	sample(out, "switchgear_start_time_seconds", fmt.Sprintf("%.3f", float64(p.started.UnixMilli())/1000))
}
