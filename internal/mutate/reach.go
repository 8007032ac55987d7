package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// chance matches tests that kill by chance, or observe the compiler: a mutant
// that only they kill is a survivor.
var chance = regexp.MustCompile("Stress|Soak|Churn|ManyNames|Inline|OverrideReplaced|Concurren|UnderLoad|WhileBreakersAreMade")

// tested is a test, how long it takes, and what it reaches without a mutant.
type tested struct {
	name string
	took time.Duration
}

// reachAll runs each test alone, and returns for each mutant, by its number,
// the tests that reach it. Others cannot kill it.
func reachAll(bin string, o options, mutants int) ([][]tested, error) {
	names, err := listTests(bin, o.tests)
	if err != nil {
		return nil, err
	}
	by := make([][]tested, mutants+1)
	file := filepath.Join(filepath.Dir(bin), "reached")
	for _, name := range names {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		began := time.Now()
		end, out := runTests(bin, o.in, 5*time.Minute, []string{"SWITCHGEAR_REACHED=" + file}, "-test.short", exactly(name))
		if end != survived {
			return nil, fmt.Errorf("%s without a mutant: %s\n%s", name, end, out)
		}
		t := tested{name, time.Since(began)}
		reached, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, line := range strings.Fields(string(reached)) {
			n, err := strconv.Atoi(line)
			if err != nil {
				return nil, err
			}
			by[n] = append(by[n], t)
		}
	}
	return by, nil
}

func listTests(bin, tests string) (names []string, err error) {
	if tests == "" {
		tests = "."
	}
	out, err := exec.Command(bin, "-test.list", tests).Output()
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(string(out)) {
		if !chance.MatchString(name) && !strings.HasPrefix(name, "Benchmark") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no test matches %q", tests)
	}
	return names, nil
}

func exactly(names ...string) string { return "-test.run=^(" + strings.Join(names, "|") + ")$" }

// quick is how long a test of the first rounds may take.
const quick = 200 * time.Millisecond

// round is when a test is run: cheap ones first, and examples separately,
// because a failed test before them does not stop them.
func (t tested) round() int {
	switch {
	case t.took > quick:
		return 2
	case !strings.HasPrefix(t.name, "Test"):
		return 1
	}
	return 0
}

// judge runs a mutant against the tests that reach it. A hang is detected by a
// limit, a multiple of the time that they take without it.
func judge(bin, in string, number int, reach []tested) result {
	var rounds [3][]string
	var limits [3]time.Duration
	for _, t := range reach {
		rounds[t.round()] = append(rounds[t.round()], t.name)
		limits[t.round()] += 4 * t.took
	}
	for i, names := range rounds {
		if len(names) == 0 {
			continue
		}
		if end, _ := runTests(bin, in, 4*time.Second+limits[i], switchOn(number), "-test.short", exactly(names...)); end != survived {
			return end
		}
	}
	return survived
}
