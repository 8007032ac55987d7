package main

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	xs := []float64{4, 1, 3, 2, 5}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.25, 2}, {0.5, 3}, {0.625, 3.5}, {1, 5}} {
		if got := quantile(xs, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", xs, c.q, got, c.want)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing = %v, want 0", got)
	}
}

// TestWorkIsCounted holds the promise that a case which does not do its work
// is distinguished from one that is fast.
func TestWorkIsCounted(t *testing.T) {
	reject := errors.New("rejected")
	guard := func(keep func(i int) bool) func() maker {
		return func() maker {
			return func(w *work) loop {
				fn, i := w.plain(), 0
				return func(n int) (errs int) {
					for range n {
						i++
						err := reject
						if keep(i) {
							err = fn()
						}
						if err != nil {
							errs++
						}
					}
					return errs
				}
			}
		}
	}
	all := func(int) bool { return true }
	none := func(int) bool { return false }
	most := func(i int) bool { return i%50 != 0 }
	for _, c := range []struct {
		name string
		Case
		wrong bool
	}{
		{"runs all", Case{Check: allRan, Build: guard(all)}, false},
		{"loses some", Case{Check: allRan, Build: guard(most)}, true},
		{"runs all under failures", Case{Check: someFail(100), Every: 100, Build: guard(all)}, false},
		{"open all the time under failures", Case{Check: someFail(100), Every: 100, Build: guard(none)}, true},
		{"no failures under failures", Case{Check: someFail(100), Build: guard(all)}, true},
		{"open", Case{Check: mostRejected(1), Every: 1, Build: guard(none)}, false},
		{"hardly open", Case{Check: mostRejected(1), Every: 1, Build: guard(most)}, true},
		{"runs all on two procs", Case{Procs: 2, Check: allRan, Build: guard(all)}, false},
		{"loses some on two procs", Case{Procs: 2, Check: allRan, Build: guard(most)}, true},
		{"cycles", Case{Check: fullCycles, Build: func() maker { return cycled(guard(all)) }}, false},
		{"cycles only sometimes", Case{Check: fullCycles, Build: func() maker { return cycled(guard(most)) }}, true},
	} {
		rows := measureAll([]*Case{&c.Case}, Effort{Rounds: 2, Batch: 100 * time.Microsecond}, nil)
		if got := rows[0].Err; (got != nil) != c.wrong {
			t.Errorf("%s: error %v, want one: %v", c.name, got, c.wrong)
		}
	}
}

func TestTargetValue(t *testing.T) {
	row := func(who string, samples ...float64) *Row {
		return &Row{Case: &Case{Group: "g", Who: who}, Samples: samples}
	}
	rows := tableOf([]*Row{row("a", 4, 40, 4), row("b", 2, 20, 8), row("c", 2, 20, 2)})
	for _, c := range []struct {
		target
		want float64
	}{
		{target{Num: "g/a"}, 4},
		{target{Num: "g/a", Den: "g/b"}, 2}, // 2, 2 and 0.5: the round that drifted is not an outlier
		{target{Num: "g/a", Minus: "g/c", Den: "g/c"}, 1},
	} {
		if got := c.value(rows); got != c.want {
			t.Errorf("%s = %v, want %v", c.what(), got, c.want)
		}
	}
	missing := target{Num: "g/a", Den: "g/none"}
	if got := missing.value(rows); !math.IsNaN(got) {
		t.Errorf("a target over a row that is not there = %v, want NaN", got)
	}
}

// TestTargetsNameRows finds targets whose rows have been renamed.
func TestTargetsNameRows(t *testing.T) {
	procs := []int{0, 1, 2, 8}
	known := map[string]bool{}
	cases := append(limits(procs), workloads(append(own(), rivals()...), procs)...)
	cases = append(cases, transitions()...)
	for _, n := range []int{1000, 100_000, 1_000_000} {
		cases = append(cases, keyedCases(n)...)
	}
	for _, m := range memoryCases(true) {
		cases = append(cases, &Case{Group: m.group, Who: m.who, How: m.how})
	}
	for _, c := range cases {
		if known[c.ID()] {
			t.Errorf("two rows are called %s", c.ID())
		}
		known[c.ID()] = true
	}
	for _, target := range targets() {
		for _, id := range target.needs() {
			if !known[id] {
				t.Errorf("target %s names %s, which is not a row", target.Path, id)
			}
		}
	}
}
