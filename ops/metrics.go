package ops

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/metrics"
)

const (
	maxMetricKeys = 1000 // of each set whose keys are requested
	maxMetricSets = 10   // sets whose keys may be requested at once
)

// getMetrics serves the Prometheus text format. The keys of a set are added up
// under its name, so that the number of series depends only on the program's
// source. ?keys=SET requests the keys of a set, at most the worst thousand.
func (e *endpoint) getMetrics(w http.ResponseWriter, r *http.Request) error {
	keysOf := slices.Compact(slices.Sorted(slices.Values(r.URL.Query()["keys"])))
	if len(keysOf) > maxMetricSets {
		return refuse(http.StatusBadRequest, "order", "the keys of %d sets, want at most %d: ?keys=SET", len(keysOf), maxMetricSets)
	}
	return e.answer(w, r, "text/plain; version=0.0.4; charset=utf-8", func(out *bytes.Buffer) error {
		e.writeMetrics(out, keysOf)
		return nil
	})
}

func (p *Plane) writeMetrics(out *bytes.Buffer, keysOf []string) {
	now := time.Now()
	groups := metrics.Groups(p.m, now)
	p.writeStates(out, groups)
	writeKeys(out, groups, keysOf)
	p.writeTransitions(out, now)
	p.writeCalls(out)
	p.writeShadows(out)
	p.writePlane(out)
	for _, name := range p.attachedNames() {
		p.mu.Lock()
		h := p.attached[name]
		p.mu.Unlock()
		if m, ok := h.(interface{ WriteMetrics(io.Writer) }); ok {
			m.WriteMetrics(out)
		}
	}
}

// head writes the lines before the samples of a metric.
func head(out *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// labelled returns a label's value as the text format requires it.
var labelled = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one line. labels are pairs of name and value, in UTF-8.
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

func (p *Plane) writeStates(out *bytes.Buffer, groups []*metrics.Group) {
	head(out, "switchgear_breakers", "gauge", "Breakers (of a set: keys remembered) by effective state.")
	for _, n := range groups {
		for _, s := range metrics.States() {
			sample(out, "switchgear_breakers", n.States[s], "name", n.Name, "state", s.String())
		}
	}
	head(out, "switchgear_auto_breakers", "gauge", "Breakers by automatic state, regardless of overrides.")
	for _, n := range groups {
		for _, s := range metrics.AutoStates() {
			sample(out, "switchgear_auto_breakers", n.Auto[s], "name", n.Name, "state", s.String())
		}
	}
	each := func(name, kind, help string, value func(*metrics.Group) (any, bool)) {
		head(out, name, kind, help)
		for _, n := range groups {
			if v, ok := value(n); ok {
				sample(out, name, v, "name", n.Name)
			}
		}
	}
	each("switchgear_consecutive_failures", "gauge", "Consecutive failures; of a set, those of its worst key.",
		func(n *metrics.Group) (any, bool) { return n.FailCount, true })
	each("switchgear_probes", "gauge", "Probes in flight.",
		func(n *metrics.Group) (any, bool) { return n.Probes, true })
	each("switchgear_override_remaining_seconds", "gauge", "Time until the first override expires; absent if none expires.",
		func(n *metrics.Group) (any, bool) { return n.Remaining.Seconds(), n.Expiring })
	each("switchgear_overrides_without_expiry", "gauge", "Overrides that do not expire.",
		func(n *metrics.Group) (any, bool) { return n.Unlimited, true })
	each("switchgear_bypassed_calls_total", "counter", "Calls admitted because of WithBypass while the breaker rejected; not for sets.",
		func(n *metrics.Group) (any, bool) { return n.Bypassed, !n.Keyed })
	each("switchgear_panics_total", "counter", "Recovered panics of the program's listeners and classifiers.",
		func(n *metrics.Group) (any, bool) { return n.Panics, true })
}

func writeKeys(out *bytes.Buffer, groups []*metrics.Group, keysOf []string) {
	if len(keysOf) == 0 {
		return
	}
	head(out, "switchgear_key_state", "gauge", "1 for the state of a key; the worst thousand keys of each requested set.")
	for _, g := range groups {
		if !g.Keyed || !slices.Contains(keysOf, g.Name) {
			continue
		}
		for _, k := range g.Worst(maxMetricKeys) {
			sample(out, "switchgear_key_state", 1, "name", g.Name, "key", k.Label, "state", k.State.String())
		}
	}
}

func (p *Plane) writeTransitions(out *bytes.Buffer, now time.Time) {
	head(out, "switchgear_transitions_total", "counter", "Transitions by new state and by cause.")
	for t, n := range p.watcher.Transitions() {
		sample(out, "switchgear_transitions_total", n, "name", t.Name, "to", t.To.String(), "cause", string(t.Cause))
	}
	head(out, "switchgear_held_back_total", "counter", "Times that a rule was met but the cap on open breakers kept the breaker closed.")
	for name, n := range p.watcher.HeldBack() {
		sample(out, "switchgear_held_back_total", n, "name", name)
	}
	head(out, "switchgear_open_seconds_total", "counter", "Total time that the breakers of a name have been open or forced open.")
	for name, d := range p.watcher.OpenTime(now) {
		sample(out, "switchgear_open_seconds_total", d.Seconds(), "name", name)
	}
}

func (p *Plane) writeCalls(out *bytes.Buffer) {
	head(out, "switchgear_calls_total", "counter", "Calls by outcome.")
	for name, c := range p.m.Calls() {
		for _, o := range metrics.Outcomes(c) {
			sample(out, "switchgear_calls_total", o.Count, "name", name, "outcome", o.Name)
		}
	}
}

// writeShadows writes what shadows would have done. They start over when they are
// replaced, so the counters may go back to 0.
func (p *Plane) writeShadows(out *bytes.Buffer) {
	all := p.Shadows()
	each := func(name, kind, help string, values func(s *breaker.ShadowStatus) []any, outcomes ...string) {
		head(out, name, kind, help)
		for _, x := range all {
			for i := range x.Shadows {
				labels := []string{"name", strings.TrimSuffix(x.ID, "/*"), "shadow", x.Shadows[i].Name}
				for k, v := range values(&x.Shadows[i]) {
					if len(outcomes) > 0 {
						labels = append(labels[:4], "outcome", outcomes[k])
					}
					sample(out, name, v, labels...)
				}
			}
		}
	}
	each("switchgear_shadow_open", "gauge", "Breakers (of a set: keys) that a shadow would not have closed now.",
		func(s *breaker.ShadowStatus) []any { return []any{s.Open} })
	each("switchgear_shadow_trips_total", "counter", "Times that a shadow would have opened.",
		func(s *breaker.ShadowStatus) []any { return []any{s.Trips} })
	each("switchgear_shadow_open_seconds_total", "counter", "Time that a shadow would not have been closed.",
		func(s *breaker.ShadowStatus) []any { return []any{s.OpenFor.Seconds()} })
	each("switchgear_shadow_blind_seconds_total", "counter", "Time that the breaker itself was not closed, so that its shadow did not see all calls.",
		func(s *breaker.ShadowStatus) []any { return []any{s.Blind.Seconds()} })
	each("switchgear_shadow_calls_total", "counter", "Calls by what a shadow would have done with them; unseen ones were rejected by the breaker itself.",
		func(s *breaker.ShadowStatus) []any {
			return []any{s.Saw - s.RejectedGood - s.RejectedBad - s.RejectedOther, s.RejectedGood, s.RejectedBad, s.RejectedOther, s.Refused + s.Missed}
		}, "admitted", "rejected_good", "rejected_bad", "rejected_other", "unseen")
}

func (p *Plane) writePlane(out *bytes.Buffer) {
	head(out, "switchgear_orders_total", "counter", "Orders by verb and result.")
	p.orders.each(func(k orderKey, n uint64) {
		sample(out, "switchgear_orders_total", n, "verb", k.verb, "result", k.result)
	})
	if p.audit != nil {
		head(out, "switchgear_audit_failing", "gauge", "1 while the audit log cannot be written.")
		sample(out, "switchgear_audit_failing", btoi(p.audit.state() != nil))
	}
	head(out, "switchgear_start_time_seconds", "gauge", "When the operations plane was created, in seconds since 1970.")
	sample(out, "switchgear_start_time_seconds", fmt.Sprintf("%.3f", float64(p.started.UnixMilli())/1000))
}
