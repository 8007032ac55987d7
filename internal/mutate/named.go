package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// named is a plausible mistake, each against an invariant or a rule. The
// explorer must notice every one, unless by names other tests.
type named struct {
	name   string // what is wrong with it
	in     string // the function, or the mask
	old    string // occurs there once; of a mask, the bit that is missing
	new    string
	by     string // a regexp of tests; "": the explorer with small worlds
	number int    // of the mutant, once it is applied
}

// runNamed runs the list.
func runNamed(o options) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, p, err := buildAll(dir, "breaker", mutants)
	if err != nil {
		return err
	}
	var numbers []int
	by := map[int]*named{}
	for i := range p.named {
		if m := &p.named[i]; o.only.MatchString(m.name) {
			numbers = append(numbers, m.number)
			by[m.number] = m
		}
	}
	var mu sync.Mutex
	var survivors []string
	each(numbers, o.jobs, func(n int) {
		m := by[n]
		end := m.run(bin)
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%-9s  %s\n", end, m.name)
		if end == survived {
			survivors = append(survivors, m.name)
		}
	})
	fmt.Printf("%d mutants, %d killed\n", len(numbers), len(numbers)-len(survivors))
	if len(survivors) > 0 {
		return fmt.Errorf("%d survived: %s", len(survivors), strings.Join(survivors, "; "))
	}
	return nil
}

func (m *named) run(bin string) result {
	tests := m.by
	if tests == "" {
		tests = "^TestExplore$"
	}
	env := switchOn(m.number)
	if strings.HasPrefix(tests, "TestExplore/") {
		env = append(env, "SWITCHGEAR_EXPLORE=1") // a world that is named is explored as a whole
	}
	end, _ := runTests(bin, "breaker", 2*time.Minute, env, "-test.run="+tests)
	return end
}
