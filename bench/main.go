// Bench measures what guarding a call costs: with our breaker, with its rivals,
// and with nothing, side by side in one process.
//
//	GOWORK=off go run .                      everything, about four minutes
//	GOWORK=off go run . -quick               a first impression, about one minute
//	GOWORK=off go run . -rows 'closed|limit' only rows whose names match
//	GOWORK=off go run . -json rows.json      every sample of every row
//	GOWORK=off go run . -md ../BENCHMARKS.md the page of the project
//	GOWORK=off go run . -record              the bounds that the test holds
//
// It exits with 1 if a case did not do the work that it was measured for.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

func main() {
	quick := flag.Bool("quick", false, "measure for about a minute")
	only := flag.String("rows", "", "measure only rows whose names match this regular `expression`")
	jsonFile := flag.String("json", "", "write every sample to this `file`")
	mdFile := flag.String("md", "", "write the page to this `file`")
	record := flag.Bool("record", false, "write the ratios reached to "+boundsFile)
	profile := flag.String("profile", "", "append the output of ./profile, kept in this `file`, to the page")
	heap := flag.Int("heap", -1, "measure one case of memory, and print it (the program starts itself so)")
	times := flag.Int("times", 3, "how often, for -heap")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *heap >= 0 {
		err = printHeap(memoryCases(*quick)[*heap], *times)
	}
	if *record {
		err = recordBounds()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *heap >= 0 || *record {
		return
	}
	start := time.Now()
	rows, err := everything(*quick, match)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	took := time.Since(start).Round(time.Second)

	out := printer{w: os.Stdout}
	out.rows(rows)
	out.targets(rows)
	calls, failed := audit(rows)
	out.text("", fmt.Sprintf("%s guarded calls ran in %d rows in %s.", thousands(calls), len(rows), took))
	if *jsonFile != "" {
		err = writeJSON(*jsonFile, rows)
	}
	if err == nil && *mdFile != "" {
		err = writePage(*mdFile, rows, took, strings.Join(os.Args[1:], " "), *profile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "%d rows did not do their work\n", failed)
		os.Exit(1)
	}
}

// audit counts the guarded calls that ran, and the rows that failed.
func audit(rows []*Row) (calls, failed int) {
	for _, r := range rows {
		calls += r.Calls
		if r.Err != nil {
			failed++
		}
	}
	return calls, failed
}

// everything measures all rows whose names match, in stages: what is measured
// side by side shares a stage, and what fills the memory has its own.
func everything(quick bool, match *regexp.Regexp) ([]*Row, error) {
	effort, keyed, times := Effort{Rounds: 25, Batch: 5 * time.Millisecond}, Effort{Rounds: 11, Batch: 15 * time.Millisecond}, 5
	breakers := 100_000
	if quick {
		breakers = 10_000
		effort, keyed, times = Effort{Rounds: 9, Batch: 2 * time.Millisecond}, Effort{Rounds: 5, Batch: 10 * time.Millisecond}, 2
	}
	procs := []int{0, 1, 2, 8}
	cases := limits(procs)
	cases = append(cases, workloads(append(own(), rivals()...), procs)...)
	cases = append(cases, transitions()...)
	rows := measureAll(matching(cases, match), effort, progress("calls", effort.Rounds))
	for _, n := range []int{1000, 100_000, 1_000_000} {
		if quick && n > 100_000 {
			continue
		}
		rows = append(rows, measureAll(matching(keyedCases(n), match), keyed, progress(keyedGroup(n), keyed.Rounds))...)
	}
	progress("memory", 1)(0)
	heaps, err := measureMemory(quick, 3, match)
	if err != nil {
		return nil, err
	}
	rows = append(rows, heaps...)
	if match.MatchString(statusGroup) {
		progress(statusGroup, times)(0)
		rows = append(rows, measureStatus(breakers, times)...)
	}
	if match.MatchString(churnGroup) {
		progress(churnGroup, times)(0)
		rows = append(rows, measureChurn(times)...)
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return inOrder(rows), nil
}

// matching returns the cases whose names match.
func matching(cases []*Case, match *regexp.Regexp) (some []*Case) {
	for _, c := range cases {
		if match.MatchString(c.ID()) {
			some = append(some, c)
		}
	}
	return some
}

// inOrder puts the rows of one group next to each other.
func inOrder(rows []*Row) (sorted []*Row) {
	for _, g := range groupsOf(rows) {
		for _, r := range rows {
			if r.Group == g {
				sorted = append(sorted, r)
			}
		}
	}
	return sorted
}

// progress shows a person at a terminal how far the run is.
func progress(stage string, rounds int) func(int) {
	return func(round int) { fmt.Fprintf(os.Stderr, "\r\033[K%s, round %d of %d", stage, round+1, rounds) }
}
