package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// runAll runs the mutants that o selects. It returns an error if one survives
// that survivors.txt does not explain.
func runAll(o options) error {
	explained, err := readKeys("internal/mutate/survivors.txt", o.in)
	if err != nil {
		return err
	}
	done, err := readKeys(o.results, "")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, p, err := buildAll(dir, o.in, nil)
	if err != nil {
		return err
	}
	r := report{of: len(p.sites), explained: explained, stale: unknown(explained, p.sites), count: map[result]int{}}
	numbers := r.pick(p.sites, o, done)
	reach, err := reachAll(bin, o, len(p.sites))
	if err != nil {
		return err
	}
	each(numbers, o.jobs, func(n int) {
		end := judge(bin, o.in, n, reach[n])
		r.add(&p.sites[n-1], end)
		if end != survived && o.results != "" {
			r.keep(o.results, p.sites[n-1].key)
		}
	})
	return r.conclude(o.least)
}

// pick returns the numbers of the mutants to run.
func (r *report) pick(sites []site, o options, done map[string]bool) (numbers []int) {
	for i := 0; i < len(sites); i += o.step {
		s := &sites[i]
		switch {
		case !o.only.MatchString(s.file + " " + s.key):
		case r.explained[s.String()] && !o.explained:
			r.left++
		case done[s.key]:
			r.count[killed]++
		default:
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// each runs f for all of ns, several at once, and waits.
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

// report is the result of a run.
type report struct {
	of        int             // mutants there are
	explained map[string]bool // those that may survive, as lines of survivors.txt
	left      int             // of them, not run

	mu       sync.Mutex
	count    map[result]int
	survived []string // unexplained
	stale    []string // explained, and not there or killed
	failed   error    // of keep
}

// unknown returns the explained mutants that do not exist. The text must be the
// same, too: otherwise an explanation would pass to another mutant when the
// numbers change.
func unknown(explained map[string]bool, sites []site) (stale []string) {
	there := map[string]bool{}
	for _, s := range sites {
		there[s.String()] = true
	}
	for line := range explained {
		if !there[line] {
			stale = append(stale, line)
		}
	}
	slices.Sort(stale)
	return stale
}

func (r *report) add(s *site, end result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[end]++
	switch {
	case end == survived && !r.explained[s.String()]:
		r.survived = append(r.survived, s.String())
	case end != survived && r.explained[s.String()]:
		r.stale = append(r.stale, s.String())
	case end == killed:
		return
	}
	fmt.Printf("%-9s  %s  (%s:%d)\n", end, s, s.file, s.line)
}

// keep notes a mutant as killed for a later run.
func (r *report) keep(file, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, key)
		err = errors.Join(err, f.Close())
	}
	r.failed = errors.Join(r.failed, err)
}

// conclude prints the totals. It returns an error if fewer than this share of the
// mutants, explained survivors aside, are killed.
func (r *report) conclude(least float64) error {
	run := r.count[killed] + r.count[timedOut] + r.count[survived]
	fmt.Printf("%d mutants of %d: %d killed, %d timed out, %d survived; %d more are explained\n",
		run, r.of, r.count[killed], r.count[timedOut], r.count[survived], r.left)
	err := r.failed
	if len(r.stale) > 0 {
		err = errors.Join(err, fmt.Errorf("survivors.txt explains what does not survive, or is not there:\n\t%s", strings.Join(r.stale, "\n\t")))
	}
	// Survivors that are explained do not count, even if they were run.
	if won := r.count[killed] + r.count[timedOut]; float64(won) < least*float64(won+len(r.survived)) {
		slices.Sort(r.survived)
		err = errors.Join(err, fmt.Errorf("%d survived: kill them with a test, or explain them in survivors.txt:\n\t%s", len(r.survived), strings.Join(r.survived, "\n\t")))
	}
	return err
}

// readKeys reads a list of mutants, one per line. In survivors.txt a line
// "package NAME" begins the mutants of a package, of which in is the one to
// read; lines that begin with # are comments.
func readKeys(file, in string) (map[string]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	pkg := ""
	for line := range strings.Lines(string(text)) {
		key := strings.TrimSpace(line)
		name, begins := strings.CutPrefix(key, "package ")
		switch {
		case key == "" || strings.HasPrefix(key, "#"):
		case begins:
			pkg = name
		case pkg == in:
			keys[key] = true
		}
	}
	return keys, nil
}
