package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

// TestChoosingRules checks that docs/choosing-rules.md cites the lab's figures.
func TestChoosingRules(t *testing.T) {
	all, err := readResults()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/choosing-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	const (
		rate, calls100   = "rate 50 % of 20 in 10 s", "rate 50 % of the last 100"
		six, one         = "6 forgive 2", "8 forgive 1"
		failFor, ramp    = "8 forgive 2, FailFor 0.5 s", "8 forgive 2, 3 successes, ramp 10 s"
		scan, slow       = "confidence 0.999 in 20 %, 10 s", "Recommended() and slow 0.5 s, 50 %"
		steady, shortest = "8 forgive 2, 5 s", "8 forgive 2, 1 to 30 s"
		minute           = "8 forgive 2, 60 s"
	)
	delay := func(scene, name string) string { return digits(all[scene][name].Delay) + " s" }
	trips := func(scene, name string) string { return digits(all[scene][name].FalseTrips) + " times" }
	probes := func(name string) string { return digits(all.outagesOf(name).probes) }
	closes := func(name string) string { return digits(all.outagesOf(name).closes) + " s" }
	out := func(name string) string { return digits(all.rejectedOut(name)) + " %" }
	chance := func(failMax, forgive int, rate float64) string {
		return likely(chanceADay(callsToTrip(failMax, forgive, 50), rate))
	}
	found := func(name string) string {
		s := all.outagesOf(name)
		return fmt.Sprintf("%d of %d outages", s.found, s.episodes)
	}
	for _, want := range []string{
		fmt.Sprintf("`Recommended()` opens after %s, and a rate of 50 %% of at least 20 calls in 10 s after %s (O1)", delay("O1", recommended), delay("O1", rate)),
		fmt.Sprintf("The rate finds %s", found(rate)),
		fmt.Sprintf("five failures in a row take %s, the eight of `Recommended()` take %s, half of the last 100 calls %s", delay("O3", defaults), delay("O3", recommended), delay("O3", calls100)),
		fmt.Sprintf("five in a row open by chance with a probability of %s a day", chance(5, 0, 0.1)),
		fmt.Sprintf("five in a row open by chance %s a day. `Recommended()` does with a probability of %s a day",
			strings.Replace(chance(5, 0, 1000), "trips", "times", 1), chance(8, 2, 1000)),
		fmt.Sprintf("five in a row take %s and `Recommended()` takes %s", delay("O4", defaults), delay("O4", recommended)),
		fmt.Sprintf("they take %s and %s; 6 forgive 2 takes %s, and trips %s a day", delay("O5", defaults), delay("O5", recommended), delay("O5", six), trips("H3", six)),
		fmt.Sprintf("where `Recommended()` trips %s", trips("H3", recommended)),
		fmt.Sprintf("`Recommended()` opens %s a day and `SuccessesToForgive: 1` %s; it then takes %s", trips("G1", recommended), trips("G1", one), delay("O5", one)),
		fmt.Sprintf("`Recommended()` opens %s a day for blips", trips("H8", recommended)),
		fmt.Sprintf("and %s behind a bad shard (H7); with `FailFor` of 0.5 s it opens %s in both", trips("H7", recommended), trips("H7", failFor)),
		fmt.Sprintf("a delay of %s instead of %s (O1)", delay("O1", failFor), delay("O1", recommended)),
		fmt.Sprintf("after %s where `Recommended()` takes %s, and opens %s a day", digits(all.outagesOf(scan).delay)+" s", digits(all.outagesOf(recommended).delay)+" s", trips("G1", scan)),
		fmt.Sprintf("with `SlowRate` 0.5 opens after %s", delay("S1", slow)),
		fmt.Sprintf("`Recommended()` opens after %s (O2)", delay("O2", recommended)),
		fmt.Sprintf("it rejects calls for %s s more on average, `Recommended()` for %s s", digits(all["O8"][defaults].Recovery), digits(all["O8"][recommended].Recovery)),
		fmt.Sprintf("the defaults reject %s of the good calls outside of outages, `Recommended()` %s, and its rule with an open time of 60 s %s", out(defaults), out(recommended), out(minute)),
		fmt.Sprintf("lets %s probes a minute run, the defaults %s, and a constant 5 s %s", probes(recommended), probes(defaults), probes(steady)),
		fmt.Sprintf("a constant 5 s wastes %s %% of the calls in outages, `Recommended()` %s %%", digits(all["O3"][steady].Wasted), digits(all["O3"][recommended].Wasted)),
		fmt.Sprintf("closes %s after the end of an outage instead of %s, for %s probes a minute", closes(shortest), closes(recommended), probes(shortest)),
		fmt.Sprintf("take %s to close instead of %s, and reject %s %% of good calls around the outages instead of %s %%", closes(ramp), closes(recommended), digits(all.outagesOf(ramp).out), digits(all.outagesOf(recommended).out)),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/choosing-rules.md does not say %q", want)
		}
	}
	if n := all["H8"][failFor].FalseTrips; n != 0 {
		t.Errorf("FailFor trips %v times a day in H8, want 0", n)
	}
	for _, s := range healthy() {
		if n := all[s.id][rate].FalseTrips; n != 0 {
			t.Errorf("the rate trips %v times a day in %s, want 0", n, s.id)
		}
	}
}

// TestRecommended checks what the README and the comment of
// breaker.Recommended say of it.
func TestRecommended(t *testing.T) {
	all, err := readResults()
	if err != nil {
		t.Fatal(err)
	}
	rec, def := all.outagesOf(recommended), all.outagesOf(defaults)
	s := breaker.Recommended()
	half, fifth := callsToTrip(s.FailMax, s.SuccessesToForgive, 500)/callsToTrip(5, 0, 500), callsToTrip(s.FailMax, s.SuccessesToForgive, 50)/callsToTrip(5, 0, 50)
	for what, holds := range map[string]bool{
		"opens by chance far less often, at 5 % failing":           fifth > 1000,
		"finds half-failing dependencies after half as many calls": half < 0.5,
		"finds all outages":                                          rec.found == rec.episodes,
		"closes after an outage in a third of the time":              rec.closes < 0.36*def.closes,
		"sends two to twelve probes a minute while down, for one":    rec.probes > 2 && rec.probes < 12 && def.probes < 1.05 && def.probes > 0.9,
		"is no worse than the defaults in any healthy scene":         neverMore(all),
		"rejects a fifth of the good calls that the defaults do":     all.rejectedOut(recommended) < 0.2*all.rejectedOut(defaults),
		"is not beaten in every column by another row of the tables": len(all.noWorse(recommended)) == 0,
	} {
		if !holds {
			t.Errorf("it is not true that it %s", what)
		}
	}
}

// neverMore reports whether Recommended trips at most as often as the defaults.
func neverMore(all results) bool {
	for _, s := range healthy() {
		if all[s.id][recommended].FalseTrips > all[s.id][defaults].FalseTrips {
			return false
		}
	}
	return true
}
