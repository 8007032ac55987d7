package lab

import (
	"fmt"
	"math"
	"strings"
)

// pageFile is the page that a whole run writes.
const pageFile = "../../docs/lab.md"

// page writes docs/lab.md from the results. All figures in it are computed.
type page struct {
	strings.Builder
	all results
}

func newPage(all results) string {
	p := &page{all: all}
	p.WriteString(pageHead)
	p.scenes()
	p.WriteString(pageMetrics)
	p.healthy()
	p.outages()
	p.delays()
	p.verdict()
	p.chances()
	p.slow()
	p.WriteString(pageLimits)
	return p.String()
}

func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// table writes a row of cells.
func (p *page) cells(cells ...string) { p.say("| %s |", strings.Join(cells, " | ")) }

func (p *page) header(cells ...string) {
	p.cells(cells...)
	p.say("|---|%s", strings.Repeat("--:|", len(cells)-1))
}

func (p *page) scenes() {
	p.say("\n## Scenes\n")
	p.say("| | truth | calls | outages |\n|---|---|--:|--:|")
	for _, s := range everyScene() {
		p.cells(s.id, s.what, thousands(p.all[s.id][defaults].Calls), fmt.Sprint(len(s.sick)))
	}
}

// thousands writes n with a comma before each three digits.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// digits writes x with two significant digits or as a whole number.
func digits(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 9.95:
		return thousands(int(math.Round(x)))
	case x >= 0.995:
		return fmt.Sprintf("%.1f", x)
	case x >= 0.0095:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.1g", x)
}

// mark says how a contender was run.
func (c contender) label() string {
	if c.kind == aModel {
		return c.name + " *(model)*"
	}
	return c.name
}

func (p *page) healthy() {
	p.say("\n## Healthy dependencies: trips a day\n")
	p.say("A breaker should stay closed in all of these. G1 is a matter of taste: a fifth of the calls fail all the time.\n")
	head := []string{"trips a day"}
	for _, s := range healthy() {
		head = append(head, s.id)
	}
	p.header(append(head, "good calls rejected, %")...)
	for _, c := range contenders() {
		row, rejected := []string{c.label()}, 0.0
		for _, s := range healthy() {
			r := p.all[s.id][c.name]
			row = append(row, digits(r.FalseTrips))
			rejected += r.RejectedOut / float64(len(healthy()))
		}
		p.cells(append(row, digits(rejected))...)
	}
}

// A sum is the result of a contender over all outages.
type sum struct {
	found, episodes                                int
	delay, failed, wasted, in, out, probes, closes float64
}

// outagesOf sums up O1 to O9: delay is the geometric mean of the scenes'
// means, the others are their arithmetic means, each over the scenes that have
// one.
func (all results) outagesOf(name string) (t sum) {
	scenes := sick()
	logs, found := 0.0, 0.0
	for _, s := range scenes {
		r := all[s.id][name]
		t.episodes += r.Episodes
		t.found += r.Found
		n := float64(len(scenes))
		t.wasted += r.Wasted / n
		t.in += r.RejectedIn / n
		t.out += r.RejectedOut / n
		if r.Found > 0 {
			found++
			logs += math.Log(max(0.001, r.Delay))
			t.failed += r.Failed
			t.closes += r.Recovery
			t.probes += r.Probes
		}
	}
	if found > 0 {
		t.delay = math.Exp(logs / found)
		t.failed /= found
		t.closes /= found
		t.probes /= found
	}
	return t
}

func (p *page) outages() {
	p.say("\n## Outages\n")
	p.header("O1 to O9", "found", "delay, s", "failed before the trip", "wasted, %", "rejected in, %", "rejected out, %", "probes a minute", "recovery, s")
	for _, c := range contenders() {
		t := p.all.outagesOf(c.name)
		p.cells(c.label(), fmt.Sprintf("%d of %d", t.found, t.episodes), digits(t.delay), digits(t.failed), digits(t.wasted), digits(t.in), digits(t.out), digits(t.probes), digits(t.closes))
	}
}

func (p *page) delays() {
	p.say("\n## Delay of detection by scene, s\n")
	p.say("The mean from the begin of an outage to the trip; in brackets how many were found, where not all.\n")
	head := []string{""}
	for _, s := range sick() {
		head = append(head, s.id)
	}
	p.header(head...)
	for _, c := range contenders() {
		cells := []string{c.label()}
		for _, s := range sick() {
			r := p.all[s.id][c.name]
			switch {
			case r.Found == 0:
				cells = append(cells, "never")
			case r.Found < r.Episodes:
				cells = append(cells, fmt.Sprintf("%s (%d/%d)", digits(r.Delay), r.Found, r.Episodes))
			default:
				cells = append(cells, digits(r.Delay))
			}
		}
		p.cells(cells...)
	}
}

func (p *page) slow() {
	p.say("\n## Slow calls\n")
	p.say("S1 is not one of the 18: calls take 2 s for two minutes, and 0.1 %% fail as always. Only a rule about slow calls finds it; the rest of those that opened did so at failures by chance, and those that did not are left out.\n")
	p.header("", "found", "delay, s", "waited by each caller, s", "recovery, s")
	for _, c := range contenders() {
		if r := p.all["S1"][c.name]; r.Found > 0 || c.name == recommended {
			p.cells(c.label(), fmt.Sprintf("%d of %d", r.Found, r.Episodes), digits(r.Delay), digits(r.Waited), digits(r.Recovery))
		}
	}
}

// The rules whose chances are computed, with FailMax and SuccessesToForgive.
var chanceRules = []struct {
	name             string
	failMax, forgive int
}{
	{"defaults, 5 in a row", 5, 0},
	{"10 in a row", 10, 0},
	{"5 forgive 1", 5, 1},
	{"8 forgive 1", 8, 1},
	{"6 forgive 2", 6, 2},
	{"Recommended(), 8 forgive 2", 8, 2},
	{"8 forgive 4", 8, 4},
}

func (p *page) chances() {
	p.WriteString(pageChances + "\n")
	p.say("The chance that a healthy dependency opens the breaker within a day; where that is sure, the trips a day:\n")
	rates := []float64{0.1, 1, 10, 100, 1000}
	head := []string{"", "failing"}
	for _, r := range rates {
		head = append(head, fmt.Sprintf("%v/s", r))
	}
	p.header(head...)
	for _, rule := range []int{0, 5} {
		for _, failing := range []int{10, 20, 50, 100, 150, 200} {
			r := chanceRules[rule]
			calls := callsToTrip(r.failMax, r.forgive, failing)
			cells := []string{r.name, fmt.Sprintf("%d %%", failing/10)}
			for _, rate := range rates {
				cells = append(cells, likely(chanceADay(calls, rate)))
			}
			p.cells(cells...)
		}
	}
	p.say("\nMean calls until the breaker opens: the larger the better on the left, where chance opens it; the smaller the better on the right, where it should open.\n")
	p.byShare([]int{10, 50, 100, 200, 300, 400, 500, 600, 800, 1000}, large)
	p.say("\nThe same as time, at 10 calls/s, for partial outages:\n")
	p.byShare([]int{300, 350, 400, 500, 600, 800, 1000}, func(calls float64) string { return span(calls / 10) })
}

// byShare writes a table of the mean calls until each rule opens, by how many
// calls in 1000 fail.
func (p *page) byShare(failing []int, cell func(calls float64) string) {
	head := []string{"failing"}
	for _, f := range failing {
		head = append(head, fmt.Sprintf("%d %%", f/10))
	}
	p.header(head...)
	for _, r := range chanceRules {
		cells := []string{r.name}
		for _, f := range failing {
			cells = append(cells, cell(callsToTrip(r.failMax, r.forgive, f)))
		}
		p.cells(cells...)
	}
}

// likely writes a chance per day, or the number of trips per day if there are
// certainly some.
func likely(chance, trips float64) string {
	switch {
	case trips >= 5:
		return large(trips) + " trips"
	case chance < 1e-9:
		return "0"
	case chance < 1e-4:
		return fmt.Sprintf("%.0e", chance)
	}
	return digits(100*chance) + " %"
}

// large writes large numbers by their power of ten.
func large(x float64) string {
	if x >= 1e6 {
		return fmt.Sprintf("%.1e", x)
	}
	return digits(x)
}

// span writes a duration of so many seconds.
func span(s float64) string {
	switch {
	case s < 120:
		return digits(s) + " s"
	case s < 120*60:
		return digits(s/60) + " min"
	case s < 2*day:
		return digits(s/hour) + " h"
	}
	return digits(s/day) + " days"
}
