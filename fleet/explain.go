package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Explain says in a few sentences what a breaker does in all processes, why, and
// what happens next. It is written for people, and its wording may change.
func (b *Breaker) Explain() string {
	var out []string
	total := 0
	for _, n := range b.States {
		total += n
	}
	if b.States[breaker.Closed] == total {
		out = append(out, fmt.Sprintf("%s is closed in %s.", b.ID, allOf(total)))
	} else {
		var parts []string
		for s := breaker.Closed; s <= breaker.ForcedClosed; s++ {
			if n := b.States[s]; n > 0 && s != breaker.Closed {
				parts = append(parts, fmt.Sprintf("%s in %d", s, n))
			}
		}
		out = append(out, fmt.Sprintf("%s is %s of %s.", b.ID, strings.Join(parts, " and "), processes(total)))
	}
	for i := range b.Verdicts {
		out = append(out, b.Verdicts[i].Explain())
	}
	for _, what := range []struct {
		is        func(*Process) bool
		one, many string
	}{
		{
			func(p *Process) bool { return p.Overruled },
			"stays closed against the verdict, because its own calls succeed",
			"stay closed against the verdict, because their own calls succeed",
		},
		{func(p *Process) bool { return p.Advised }, "only advises, and would be open", "only advise, and would be open"},
		{func(p *Process) bool { return p.Tripped }, "was opened by its own rule alone", "were opened by their own rules alone"},
	} {
		switch names := b.those(what.is); len(names) {
		case 0:
		case 1:
			out = append(out, names[0]+" "+what.one+".")
		default:
			out = append(out, someOf(names)+" "+what.many+".")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(b.Drift)) {
		values := b.Drift[field]
		out = append(out, fmt.Sprintf("Its setting %s is %s in %s and %s in %s.", field, values[0].Value, processes(values[0].Count),
			values[1].Value, strings.Join(values[1].Members, ", ")))
	}
	return strings.Join(out, " ")
}

// those are the names of the processes of which this is true.
func (b *Breaker) those(is func(*Process) bool) (names []string) {
	for i := range b.Processes {
		if is(&b.Processes[i]) {
			names = append(names, b.Processes[i].Member)
		}
	}
	return names
}

// someOf is such as "a and b" or "a, b, c and 5 others", of two or more names.
func someOf(names []string) string {
	last, first := names[len(names)-1], names[:len(names)-1]
	switch n := len(names) - 3; {
	case n == 1:
		last, first = "1 other", names[:3]
	case n > 1:
		last, first = fmt.Sprintf("%d others", n), names[:3]
	}
	return strings.Join(first, ", ") + " and " + last
}

func allOf(n int) string {
	if n == 1 {
		return "its one process"
	}
	return fmt.Sprintf("all %d processes", n)
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// Why returns the evidence in one clause.
func (v *Verdict) Why() string {
	bad, did := v.Counts.Failures, "failed"
	if v.Peers.Slow {
		bad, did = v.Counts.Slow, "were slow"
	}
	return fmt.Sprintf("%d of %d calls %s in the last %s at %d of %d processes of %s",
		bad, v.Counts.Calls, did, v.Peers.Span, v.Peers.Against, v.Peers.Reporting, v.Scope)
}

// Explain says in two sentences why a scope is open, and what happens next.
func (v *Verdict) Explain() string {
	return fmt.Sprintf("A verdict has held %s open for %s: %s. %s.", v.Scope, human(time.Duration(v.OpenFor)), v.Why(), v.NextProbe())
}

// NextProbe says when the fleet probes next, and which process does.
func (v *Verdict) NextProbe() string {
	text := "The fleet's next probe is in " + human(time.Duration(v.Next))
	switch {
	case v.Probing != "":
		text = v.Probing + " makes the fleet's probe now"
	case len(v.Armed) > 0:
		text = "The next call of " + strings.Join(v.Armed[:min(3, len(v.Armed))], ", ") + " is the fleet's probe"
		if n := len(v.Armed); n > 3 {
			text = fmt.Sprintf("The next call of any of %d processes is the fleet's probe", n)
		}
	case v.Next <= 0: // no process is open that could make it, or not yet
		text = "The fleet's next probe is due"
	}
	return text + failedProbes(v.Attempt)
}

// failedProbes says how many probes of a verdict have failed, if any did.
func failedProbes(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " (1 has failed)"
	}
	return fmt.Sprintf(" (%d have failed)", n)
}

// human is a duration as people say it: 2.1s, 1m30s, 4h.
func human(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	unit := time.Second
	if d >= time.Hour {
		unit = time.Minute
	}
	text := strings.Replace(d.Round(unit).String(), "m0s", "m", 1)
	return strings.Replace(text, "h0m", "h", 1)
}

// settingsText is each setting by its name in JSON.
func settingsText(s breaker.Settings) map[string]string {
	out := map[string]string{}
	text, err := json.Marshal(s)
	if err != nil {
		return out
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return out
	}
	for name, value := range fields {
		out[name] = strings.Trim(string(value), `"`)
	}
	return out
}
