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
)

const maxMetricKeys = 1000 // of each set whose keys are asked for

// getMetrics serves the Prometheus text format. Keyed breakers are summed up
// under their set, so that there are as many series as the program's text has
// names; ?keys=SET asks for the keys of a set, the worst thousand at most.
func (d *door) getMetrics(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var out bytes.Buffer
	d.writeMetrics(&out, r.URL.Query()["keys"])
	_, _ = w.Write(out.Bytes()) // the client is gone: nobody to tell
	return nil
}

func (p *Plane) writeMetrics(out *bytes.Buffer, keysOf []string) {
	all := p.m.Status()
	sums := sum(all)
	p.writeStates(out, sums)
	writeKeys(out, all, keysOf)
	p.tally.write(out, time.Now())
	if p.calls != nil {
		p.calls.write(out)
	}
	p.writePlane(out)
}

// nameSum is what the breakers of a name have together.
type nameSum struct {
	name          string
	keyed         bool
	states        [len(stateOrder)]int
	auto          [len(autoOrder)]int
	fails, probes int
	eternal       int           // overrides without an end
	expires       time.Duration // until the next override ends
	expiring      bool
	bypassed      uint64
	panics        uint64
}

var (
	autoOrder  = [...]breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen}
	stateOrder = [...]breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen, breaker.ForcedOpen, breaker.ForcedClosed}
)

// sum sums up by name; all is sorted by id.
func sum(all []breaker.Status) []*nameSum {
	byName := make(map[string]*nameSum)
	var sums []*nameSum
	now := time.Now()
	for i := range all {
		s := &all[i]
		n := byName[s.Name]
		if n == nil {
			n = &nameSum{name: s.Name}
			byName[s.Name], sums = n, append(sums, n)
		}
		n.add(s, now)
	}
	slices.SortFunc(sums, func(a, b *nameSum) int { return strings.Compare(a.name, b.name) })
	return sums
}

func (n *nameSum) add(s *breaker.Status, now time.Time) {
	n.keyed = n.keyed || s.ID != s.Name
	n.states[s.State]++
	n.auto[s.Auto]++
	n.fails = max(n.fails, s.FailCount)
	n.probes += s.ProbesOut
	n.bypassed += s.Bypassed
	n.panics = s.ListenerPanics // of the whole set
	switch {
	case s.Override == nil:
	case s.Override.Expires.IsZero():
		n.eternal++
	default:
		left := max(0, s.Override.Expires.Sub(now))
		if !n.expiring || left < n.expires {
			n.expires, n.expiring = left, true
		}
	}
}

// head writes what goes before the samples of a metric.
func head(out *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// labelled is a label's value as the text format wants it.
var labelled = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one line; labels are pairs of name and value.
func sample(out *bytes.Buffer, name string, value any, labels ...string) {
	out.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		out.WriteByte("{,"[btoi(i > 0)])
		fmt.Fprintf(out, `%s="%s"`, labels[i], labelled.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
	}
	if len(labels) > 0 {
		out.WriteByte('}')
	}
	fmt.Fprintf(out, " %v\n", value)
}

func (p *Plane) writeStates(out *bytes.Buffer, sums []*nameSum) {
	head(out, "switchgear_breakers", "gauge", "Breakers (of a set: keys remembered) by what they do with the next call.")
	for _, n := range sums {
		for _, s := range stateOrder {
			sample(out, "switchgear_breakers", n.states[s], "name", n.name, "state", s.String())
		}
	}
	head(out, "switchgear_auto_breakers", "gauge", "Breakers by their automatic state, behind overrides.")
	for _, n := range sums {
		for _, s := range autoOrder {
			sample(out, "switchgear_auto_breakers", n.auto[s], "name", n.name, "state", s.String())
		}
	}
	each := func(name, kind, help string, value func(*nameSum) (any, bool)) {
		head(out, name, kind, help)
		for _, n := range sums {
			if v, ok := value(n); ok {
				sample(out, name, v, "name", n.name)
			}
		}
	}
	each("switchgear_consecutive_failures", "gauge", "Consecutive failures; of a set, its worst key's.",
		func(n *nameSum) (any, bool) { return n.fails, true })
	each("switchgear_probes", "gauge", "Probes in flight.",
		func(n *nameSum) (any, bool) { return n.probes, true })
	each("switchgear_override_remaining_seconds", "gauge", "Time until the next override ends; absent without one that ends.",
		func(n *nameSum) (any, bool) { return n.expires.Seconds(), n.expiring })
	each("switchgear_overrides_without_expiry", "gauge", "Overrides that stay until somebody releases them.",
		func(n *nameSum) (any, bool) { return n.eternal, true })
	each("switchgear_bypassed_calls_total", "counter", "Calls let through by WithBypass while it rejected; not for sets.",
		func(n *nameSum) (any, bool) { return n.bypassed, !n.keyed })
	each("switchgear_listener_panics_total", "counter", "Panics of listeners and classifiers, recovered.",
		func(n *nameSum) (any, bool) { return n.panics, true })
}

func writeKeys(out *bytes.Buffer, all []breaker.Status, keysOf []string) {
	if len(keysOf) == 0 {
		return
	}
	head(out, "switchgear_key_state", "gauge", "1 for the state of a key; the worst thousand of each set that was asked for.")
	for _, set := range keysOf {
		var keys []*breaker.Status
		for i := range all {
			if all[i].Name == set && all[i].ID != set {
				keys = append(keys, &all[i])
			}
		}
		slices.SortFunc(keys, Compare)
		for _, s := range keys[:min(len(keys), maxMetricKeys)] {
			sample(out, "switchgear_key_state", 1, "name", s.Name, "key", s.Key, "state", s.State.String())
		}
	}
}

func (c *callCounts) write(out *bytes.Buffer) {
	head(out, "switchgear_calls_total", "counter", "Calls by what became of them.")
	for _, name := range c.names() {
		got, _ := c.by.Load(name)
		for o := range outcomes {
			sample(out, "switchgear_calls_total", got.(*callCount).total[o].Load(), "name", name, "outcome", outcomeNames[o])
		}
	}
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

// compareBy orders tallies for a stable text.
func compareBy(a, b transitionKey) int {
	return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.to, b.to), strings.Compare(string(a.cause), string(b.cause)))
}
