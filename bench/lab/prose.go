package lab

import (
	"fmt"
	"slices"
	"strings"
)

const pageHead = `# The lab: rules compared

Which rule finds an outage soonest, which is fooled by chance, and what does each cost? The lab plays 18 scenes with known
ground truth to Switchgear with various settings, to other breakers for Go, and to models of breakers for other languages. The code is
in [bench/lab](../bench/lab), which writes this page:

    cd bench/lab && GOWORK=off go test -run TestPage -write . -timeout 2h .

It takes about ten minutes on two cores. All random numbers have fixed seeds, so the page is the same each time, except that
bytedance's row may differ in the third digit: its panels need steps of slightly different lengths in one process. ` + "`go test`" + `
plays our rows and some of the others again, and fails if they have changed.

**How they run.** Switchgear is the engine that ships, on a virtual clock; a test checks that it does the same in a
` + "`testing/synctest`" + ` bubble. The other breakers for Go are the libraries themselves, in such bubbles, with their defaults or with what
their README shows first. Those marked *(model)* are not the code that their users run: they are modelled on the documentation of
their defaults. PyBreaker's defaults are ours. hystrix-go and cep21/circuit run without their limits of time and of concurrency,
which are not rules of a breaker. go-zero, aegis and the throttle of the SRE book have no open state: they count as open from the time that
they reject half of the last 20 calls until they reject less than a tenth.

Settings of ours that do not name an open time have that of Recommended(): 5 s, doubling to 30 s, with a jitter of 0.2. "8 forgive 2" is
FailMax 8 with SuccessesToForgive 2.
`

const pageMetrics = `
Calls arrive at random and fail at random, independently of each other, except in H7 and at the edges of outages.

## What is measured

- **found**: outages in which the breaker opened, or was open already.
- **delay**: from the beginning of an outage to the trip. The column is the geometric mean over the scenes in which any outage was found, so
  it favours those that find only the easy ones.
- **failed before the trip**: calls that began in the outage and failed by then.
- **false trips**: trips outside outages, per day. A trip within a second of an outage's end, plus the duration of a failure, does not count.
- **rejected out**: share of the good calls outside outages that were rejected: after the end of an outage, or for a false trip.
- **rejected in**: share of the calls in outages that were rejected and would have succeeded.
- **wasted**: share of the calls in outages that ran and failed.
- **probes a minute**: calls that ran while not closed, for each minute of not being closed. For throttles it is what still runs.
- **recovery**: from the end of a found outage until closed.

Figures over several scenes are means of the scenes, regardless of their number of calls. Those that depend on the jitter of the open time are accurate to about a twentieth.
`

const pageChances = `
## Chance: how often a healthy dependency trips, and what partial outages take

FailMax counts failures in a row, and with SuccessesToForgive successes reduce the count. How many calls each rule takes is computed exactly, as a Markov
chain, for calls that fail independently; a test compares the chain with the engine. With SuccessesToForgive 2 the count
falls on average while less than a third of the calls fail, so chance alone hardly ever reaches 8; above a third it rises, and 8 is a matter of time. A row of 5 does not need a
rising count: at high traffic it occurs by chance, but if half of the calls fail it takes 62 calls to occur.
In practice failures come in groups (a bad host, a retry, a lost connection), and then both trip more often than this table says: see H7 and H8 above, and FailFor.
`

const pageLimits = `
## What this does not say

- The traffic is artificial. Real traffic has bursts, keys and retries; for yours, use a recording of it.
- The dependency does not react to load. Where rejecting calls helps it to recover, an open breaker does better than here, and where every caller comes back at once, a ramp does.
- A false reject, a failed call and a second of waiting are not weighed against each other. That depends on what a call is worth.
- One breaker guards one dependency. If a part of it fails, a breaker for each part does better than any rule: see [choosing rules](choosing-rules.md).
`

// rejectedOut is the mean over the 18 scenes of the good calls rejected outside
// of outages, in per cent.
func (all results) rejectedOut(name string) float64 {
	total, n := 0.0, 0.0
	for _, s := range scenes() {
		total += all[s.id][name].RejectedOut
		n++
	}
	return total / n
}

// verdict says what the tables mean for Recommended.
func (p *page) verdict() {
	rec, def := p.all.outagesOf(recommended), p.all.outagesOf(defaults)
	row := func(scene, name string) row { return p.all[scene][name] }
	out := func(name string) string { return digits(p.all.rejectedOut(name)) + " %" }
	p.say("\n## Does this justify Recommended()?\n")
	p.say("As a replacement for the defaults, yes. Its advantages:\n")
	p.say("- After the end of an outage it closes within %s s on average, the defaults within %s s. Outside of outages it rejects %s of the good calls (mean of the 18 scenes), the defaults %s. The open time does this: with 60 s the same rule rejects %s.",
		digits(rec.closes), digits(def.closes), out(recommended), out(defaults), out("8 forgive 2, 60 s"))
	p.say("- When half of the calls fail, it opens after %s s instead of %s s (O4); when 30 %% fail, after %s s instead of %s s (O5).",
		digits(row("O4", recommended).Delay), digits(row("O4", defaults).Delay), digits(row("O5", recommended).Delay), digits(row("O5", defaults).Delay))
	p.say("- At 10 %% failing it trips %s times a day instead of %s (H3); behind a bad shard, %s times instead of %s (H7).",
		digits(row("H3", recommended).FalseTrips), digits(row("H3", defaults).FalseTrips), digits(row("H7", recommended).FalseTrips), digits(row("H7", defaults).FalseTrips))
	p.say("\nIts costs:\n")
	p.say("- A dependency that is down gets %s probes a minute instead of %s, and %s %% of the calls in outages run and fail instead of %s %%.",
		digits(rec.probes), digits(def.probes), digits(rec.wasted), digits(def.wasted))
	p.say("- Eight failures take longer than five where calls are rare: %s s instead of %s s at 0.2 calls/s (O3). That is the price of fewer trips by chance.",
		digits(row("O3", recommended).Delay), digits(row("O3", defaults).Delay))
	p.say("\nWhere other settings do better:\n")
	forFail, one := "8 forgive 2, FailFor 0.5 s", "8 forgive 1"
	p.say("- **Short blips and bursts.** FailFor 0.5 s does not trip in H7 and H8, where Recommended() trips %s and %s times a day. It costs %s s of delay in O1 and half a second of failing calls at any rate.",
		digits(row("H7", recommended).FalseTrips), digits(row("H8", recommended).FalseTrips), digits(row("O1", forFail).Delay-row("O1", recommended).Delay))
	p.say("- **A dependency that always fails a fifth of its calls** (G1). Recommended() trips %s times a day, %s %s, 10 in a row and a rate of 50 %% never. But 10 in a row misses O5, 8 forgive 1 takes %s s there, and the rate of 50 %% never finds it.",
		digits(row("G1", recommended).FalseTrips), one, digits(row("G1", one).FalseTrips), digits(row("O5", one).Delay))
	quick, steady := p.all.outagesOf("8 forgive 2, 1 to 30 s"), p.all.outagesOf("8 forgive 2, 5 s")
	p.say("- **Cheap probes.** From 1 s to 30 s closes after %s s and rejects %s outside, for %s probes a minute. A constant 5 s closes after %s s and rejects %s, but wastes %s %% of the calls in O3, instead of %s %%: where calls are rare, most of them are probes.",
		digits(quick.closes), out("8 forgive 2, 1 to 30 s"), digits(quick.probes), digits(steady.closes), out("8 forgive 2, 5 s"), digits(row("O3", "8 forgive 2, 5 s").Wasted), digits(row("O3", recommended).Wasted))
	p.say("- **Partial outages, above all.** 6 forgive 2 and 8 forgive 4 find O5 in %s s and %s s, but trip %s and %s times a day at 10 %% failing (H3).",
		digits(row("O5", "6 forgive 2").Delay), digits(row("O5", "8 forgive 4").Delay), digits(row("H3", "6 forgive 2").FalseTrips), digits(row("H3", "8 forgive 4").FalseTrips))
	p.say("- **Slow calls** are found by SlowCall alone: S1 below.")
	if better := p.all.noWorse(recommended); len(better) == 0 {
		p.say("\nNo row of the tables is at least as good as Recommended() in every column.")
	} else {
		p.say("\nAt least as good as Recommended() in every column, to a twentieth: %s.", strings.Join(better, "; "))
	}
	p.say("\nRules that do not fit a dependency which fails now and then: three failures that no success forgives (eapache, Semian) and a limit of one failure (failsafe-go's default) reject %s, %s and %s of the good calls outside of outages. A rate since the start (gobreaker's README) finds %d of %d outages.",
		out("eapache README: 3 failures, 5 s"), out("Semian README: 3 failures in 10 s, 10 s"), out("failsafe-go defaults: 1 failure, 60 s"),
		p.all.outagesOf("gobreaker README: 60 % of all calls since the start").found, rec.episodes)
}

// noWorse lists the contenders that are at least as good as the named one in
// every column of the first two tables, to a twentieth, and better in one.
func (all results) noWorse(name string) (names []string) {
	columns := func(name string) []float64 {
		t := all.outagesOf(name)
		c := []float64{float64(t.episodes - t.found), t.delay, t.failed, t.wasted, t.in, t.out, t.probes, t.closes}
		for _, s := range healthy() {
			c = append(c, all[s.id][name].FalseTrips)
		}
		return c
	}
	base := columns(name)
	for _, c := range contenders() {
		better, worse := false, false
		for i, x := range columns(c.name) {
			better = better || x < 0.95*base[i]
			worse = worse || x > 1.05*base[i]+1e-9
		}
		if c.name != name && better && !worse {
			names = append(names, fmt.Sprintf("%q", c.name))
		}
	}
	slices.Sort(names)
	return names
}
