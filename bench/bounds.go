package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"time"
)

// The recorded bounds: the value of each gated target when it was last
// recorded, and the value that a test permits. Only ratios are recorded, so
// that the file is valid on every machine.

const boundsFile = "bounds.json"

// slack is how much worse than recorded a ratio may be before the test fails.
// Ratios measured on one shared machine, quiet and busy, differed by a factor
// of up to 1.3 (the full cycle, which waits for timers). What the bounds are
// meant to detect, a lock, an allocation or a lost inlining on the common
// path, costs more.
const slack = 1.5

// A bound is one line of the file.
type bound struct {
	Reached float64 `json:"reached"`
	Most    float64 `json:"most"`
}

// gated lists the targets that have a bound, by name.
func gated() map[string]target {
	held := map[string]target{}
	for _, t := range targets() {
		if t.Gate {
			held[t.Path+": "+t.what()] = t
		}
	}
	return held
}

// gateCases lists the cases that the gated targets consist of.
func gateCases() []*Case {
	needed := map[string]bool{}
	for _, t := range gated() {
		for _, id := range t.needs() {
			needed[id] = true
		}
	}
	cases := append(limits([]int{0}), workloads(append(own(), rivals()...), []int{0})...)
	cases = append(append(cases, transitions()...), keyedCases(100_000)...)
	return slices.DeleteFunc(cases, func(c *Case) bool { return !needed[c.ID()] })
}

// gateEffort is short enough for every test run: the best of some tries counts.
var gateEffort = Effort{Rounds: 25, Batch: 3 * time.Millisecond}

// measureGates measures each gated target once.
func measureGates() (map[string]float64, error) {
	rows := measureAll(gateCases(), gateEffort, nil)
	for _, r := range rows {
		if r.Err != nil {
			return nil, fmt.Errorf("%s did not do its work: %w", r.ID(), r.Err)
		}
	}
	all, got := tableOf(rows), map[string]float64{}
	for name, t := range gated() {
		if got[name] = t.value(all); math.IsNaN(got[name]) {
			return nil, fmt.Errorf("%s was not measured", name)
		}
	}
	return got, nil
}

// recordBounds measures several times and writes the medians.
func recordBounds() error {
	tries := map[string][]float64{}
	for range 5 {
		got, err := measureGates()
		if err != nil {
			return err
		}
		for name, v := range got {
			tries[name] = append(tries[name], v)
		}
	}
	file := map[string]bound{}
	for _, name := range slices.Sorted(maps.Keys(tries)) {
		reached := median(tries[name])
		file[name] = bound{Reached: round3(reached), Most: round3(slack * reached)}
		fmt.Printf("%-100s %.3g\n", name, reached)
	}
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(boundsFile, append(data, '\n'), 0o644)
}

func round3(x float64) float64 { return math.Round(1000*x) / 1000 }

// readBounds reads the file.
func readBounds() (map[string]bound, error) {
	data, err := os.ReadFile(boundsFile)
	if err != nil {
		return nil, err
	}
	file := map[string]bound{}
	return file, json.Unmarshal(data, &file)
}
