// Command mutate breaks the engine on purpose and runs its tests, to see that
// they notice. Run it at the root of the module:
//
//	go run ./internal/mutate named   # the list in named.go, against the explorer alone
//	go run ./internal/mutate all     # every small change of breaker/, against its tests
//	go run ./internal/mutate all -in ops -only order.go
//
// It changes no file: mutants are compiled through go's -overlay flag. It exits
// with 1 when a mutant survives that survivors.txt does not explain.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	tests := flags.String("run", "", "run only the tests that match, as go test -run")
	only := flags.String("only", "", "only mutants whose names match, as `regexp`: files, functions")
	var o allOptions
	flags.StringVar(&o.in, "in", "breaker", "of all: the package, by its folder")
	flags.IntVar(&o.step, "step", 1, "of all: every how many-th")
	flags.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "of all: how many at once")
	flags.StringVar(&o.results, "results", "", "of all: a file that keeps what was killed, which a later run leaves out;\nremove it when the engine has changed")
	flags.BoolVar(&o.explained, "explained", false, "of all: run those of survivors.txt too, to see whether they still live")
	if len(args) == 0 {
		return errors.New("want named or all")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	switch args[0] {
	case "named":
		if *tests == "" {
			*tests = "TestExplore"
		}
		return runNamed(*tests, names, time.Minute)
	case "all":
		o.tests, o.only = *tests, names
		return runAll(o)
	}
	return fmt.Errorf("unknown command %q, want named or all", args[0])
}

// runNamed runs the list.
func runNamed(tests string, only *regexp.Regexp, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	dead, run := 0, 0
	var survivors []string
	for _, m := range mutants {
		if !only.MatchString(m.name) {
			continue
		}
		run++
		overlay, err := m.overlay(dir)
		if err != nil {
			return err
		}
		out, end, err := goTest(overlay, tests, limit)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", m.name, err, out)
		}
		fmt.Printf("%-9s  %s\n", end, m.name)
		if end == survived {
			survivors = append(survivors, m.name)
		} else {
			dead++
		}
	}
	fmt.Printf("%d mutants, %d killed\n", run, dead)
	if len(survivors) > 0 {
		return fmt.Errorf("%d survived: %s", len(survivors), strings.Join(survivors, "; "))
	}
	return nil
}

// overlay writes the mutant and the file that tells go of it.
func (m *named) overlay(dir string) (string, error) {
	path, text, err := m.apply("breaker")
	if err != nil {
		return "", err
	}
	return writeOverlay(dir, map[string]string{path: text})
}

// apply is the mutant's file and its text.
func (m *named) apply(folder string) (path, text string, err error) {
	path, err = filepath.Abs(filepath.Join(folder, m.file))
	if err != nil {
		return "", "", err
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	if n := strings.Count(string(src), m.old); n != 1 {
		return "", "", fmt.Errorf("%q: the text to change occurs %d times in %s, want once:\n%s", m.name, n, m.file, m.old)
	}
	return path, strings.Replace(string(src), m.old, m.new, 1), nil
}

func writeOverlay(dir string, files map[string]string) (string, error) {
	replace := map[string]string{}
	for path, text := range files {
		to := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// fate is how a mutant ended. One that runs into the limit is killed too, but a
// busy machine may have done it.
type fate string

const (
	killed   fate = "killed"
	timedOut fate = "timed out"
	survived fate = "SURVIVED"
)

// goTest compiles breaker's tests with the overlay and runs them. An error: it
// did not compile, and proves nothing.
func goTest(overlay, tests string, limit time.Duration) (out []byte, end fate, err error) {
	bin := filepath.Join(filepath.Dir(overlay), "breaker.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, "./breaker")
	if out, err := build.CombinedOutput(); err != nil {
		return out, "", fmt.Errorf("does not compile: %w", err)
	}
	end, out = runTests(bin, "breaker", tests, limit, nil)
	return out, end, nil
}

// runTests runs a test binary where the tests expect to be.
func runTests(bin, in, tests string, limit time.Duration, env []string) (end fate, out []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-test.short", "-test.failfast", "-test.run", tests)
	cmd.Dir = in
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return timedOut, out
	case err != nil:
		return killed, out
	}
	return survived, out
}
