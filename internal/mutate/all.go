package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

type allOptions struct {
	in         string
	tests      string
	only       *regexp.Regexp
	step, jobs int
	results    string
	explained  bool
}

// runAll runs the mutants that o picks. It is an error when one survives that
// nobody has explained.
func runAll(o allOptions) error {
	if o.step < 1 || o.jobs < 1 {
		return fmt.Errorf("step %d and jobs %d, want 1 or more of each", o.step, o.jobs)
	}
	explained, err := readNames("internal/mutate/survivors.txt", o.in+"/")
	if err != nil {
		return err
	}
	done, err := readNames(o.results, "")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, sites, err := buildAll(dir, o.in)
	if err != nil {
		return err
	}
	r := report{of: len(sites), explained: explained, stale: unknown(explained, sites), count: map[fate]int{}}
	numbers := r.pick(sites, o, done)
	reach, err := reachAll(bin, o, len(sites))
	if err != nil {
		return err
	}
	each(numbers, o.jobs, func(n int) {
		end := judge(bin, o.in, n, reach[n])
		r.add(sites[n-1], end)
		if end != survived && o.results != "" {
			r.keep(o.results, sites[n-1].name)
		}
	})
	return r.conclude()
}

// pick is the numbers of the mutants to run.
func (r *report) pick(sites []site, o allOptions, done map[string]bool) (numbers []int) {
	for i := 0; i < len(sites); i += o.step {
		name := sites[i].name
		switch {
		case !o.only.MatchString(name):
		case r.explained[name] && !o.explained:
			r.left++
		case done[name]:
			r.count[killed]++
		default:
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// each runs f for all of ns, so many at once, and waits.
func each(ns []int, jobs int, f func(int)) {
	todo := make(chan int)
	var all sync.WaitGroup
	for range jobs {
		all.Go(func() {
			for n := range todo {
				f(n)
			}
		})
	}
	for _, n := range ns {
		todo <- n
	}
	close(todo)
	all.Wait()
}

// report is what a run has found.
type report struct {
	of        int             // mutants there are
	explained map[string]bool // names of those that may survive
	left      int             // of them, not run

	mu       sync.Mutex
	count    map[fate]int
	survived []string // unexplained
	stale    []string // explained, and not there or killed
	failed   error    // of keep
}

// unknown is the explained ones that are not there.
func unknown(explained map[string]bool, sites []site) (stale []string) {
	there := map[string]bool{}
	for _, s := range sites {
		there[s.name] = true
	}
	for name := range explained {
		if !there[name] {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	return stale
}

func (r *report) add(s site, end fate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[end]++
	switch {
	case end == survived && !r.explained[s.name]:
		r.survived = append(r.survived, s.name)
	case end != survived && r.explained[s.name]:
		r.stale = append(r.stale, s.name)
	case end == killed:
		return
	}
	fmt.Printf("%-9s  %s  (line %d)\n", end, s.name, s.at.Line)
}

// keep notes a mutant as killed for a later run.
func (r *report) keep(file, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, name)
		err = errors.Join(err, f.Close())
	}
	r.failed = errors.Join(r.failed, err)
}

func (r *report) conclude() error {
	run := r.count[killed] + r.count[timedOut] + r.count[survived]
	fmt.Printf("%d mutants of %d: %d killed, %d timed out, %d survived; %d more are explained\n",
		run, r.of, r.count[killed], r.count[timedOut], r.count[survived], r.left)
	err := r.failed
	if len(r.stale) > 0 {
		err = errors.Join(err, fmt.Errorf("survivors.txt explains what does not survive, or is not there:\n\t%s", strings.Join(r.stale, "\n\t")))
	}
	if len(r.survived) > 0 {
		slices.Sort(r.survived)
		err = errors.Join(err, fmt.Errorf("%d survived: kill them with a test, or explain them in survivors.txt:\n\t%s", len(r.survived), strings.Join(r.survived, "\n\t")))
	}
	return err
}

// readNames reads a list of mutants, one on a line, those that begin with
// prefix; lines that begin with # are for readers.
func readNames(file, prefix string) (map[string]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && strings.HasPrefix(line, prefix) {
			names[line] = true
		}
	}
	return names, nil
}
