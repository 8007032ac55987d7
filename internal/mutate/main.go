// Command mutate breaks the engine on purpose and runs its tests, to see that
// they notice. Run it at the root of the module:
//
//	go run ./internal/mutate named   # the list in named.go, most of it against the explorer alone
//	go run ./internal/mutate all     # every small change of breaker/, against its tests
//	go run ./internal/mutate all -in ops -only order.go
//
// It changes no file: mutants are compiled through go's -overlay flag. It exits
// with 1 when a mutant survives that survivors.txt does not explain; with -least
// 0.8, only when more than a fifth of the mutants do.
//
// A mutant is called by its function, by what is done to it, and by a number
// where the function has several of the kind. The file is not part of that, so
// that code may move. In survivors.txt the text that is changed follows, and must
// be the same, so that an explanation does not pass to another mutant.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	in         string
	tests      string
	only       *regexp.Regexp
	step, jobs int
	results    string
	explained  bool
	least      float64
}

func run(args []string) error {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.StringVar(&o.tests, "run", "", "of all: run only the tests that match, as go test -run")
	only := flags.String("only", "", "only mutants whose file and key match, as `regexp`")
	flags.StringVar(&o.in, "in", "breaker", "of all: the package, by its folder")
	flags.IntVar(&o.step, "step", 1, "of all: every how many-th")
	flags.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "how many at once")
	flags.StringVar(&o.results, "results", "", "of all: a file that keeps what was killed, which a later run leaves out;\nremove it when the engine has changed")
	flags.BoolVar(&o.explained, "explained", false, "of all: run those of survivors.txt too, to see whether they still live")
	flags.Float64Var(&o.least, "least", 1, "of all: the `share` of the mutants run, explained ones aside, that must be killed")
	if len(args) == 0 {
		return errors.New("want named or all")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if o.step < 1 || o.jobs < 1 {
		return fmt.Errorf("step %d and jobs %d, want 1 or more of each", o.step, o.jobs)
	}
	switch args[0] {
	case "named":
		return runNamed(o)
	case "all":
		return runAll(o)
	}
	return fmt.Errorf("unknown command %q, want named or all", args[0])
}

// result is how the run of a mutant ended. One that runs into the limit is
// killed, too, but a busy machine may be the cause.
type result string

const (
	killed   result = "killed"
	timedOut result = "timed out"
	survived result = "SURVIVED"
)

// runTests runs a test binary where the tests expect to be.
func runTests(bin, in string, limit time.Duration, env []string, args ...string) (end result, out []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append([]string{"-test.failfast"}, args...)...)
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

func switchOn(number int) []string { return []string{fmt.Sprintf("SWITCHGEAR_MUTANT=%d", number)} }

func writeJSON(path string, v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, data, 0o600)
}
