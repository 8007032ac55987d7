package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/replay"
)

// traceFlags say which calls a command is about.
type traceFlags struct {
	format, name, logFormat string
	failure                 []string
	breakers                []string
	sick                    float64
}

func (f *traceFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "", "what FILE is: "+strings.Join(replay.Formats, ", ")+"\n(default: by its content)")
	flags.StringVar(&f.name, "name", "", "the breaker's name for calls that Switchgear has not recorded")
	flags.StringVar(&f.logFormat, "log-format", "", "the log_format with which nginx wrote FILE")
	flags.StringSliceVar(&f.failure, "failure", nil, "HTTP `statuses` that are failures (default 5xx)")
	flags.StringArrayVar(&f.breakers, "breaker", nil, "only breakers whose `id` matches, such as 'inventory/*'")
	flags.Float64Var(&f.sick, "sick", 0.2, "the share of failures that makes a dependency ill")
}

// open reads FILE, or the standard input for "-".
func (f *traceFlags) open(cmd *cobra.Command, name string) (*replay.Trace, error) {
	for _, pattern := range f.breakers {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, usage("--breaker %q: %w", pattern, err)
		}
	}
	if !(f.sick > 0 && f.sick < 1) {
		return nil, usage("--sick %v, want a share above 0 and below 1, such as 0.2", f.sick)
	}
	progress, clear := progressBar("reading")
	defer clear()
	o := replay.ImportOptions{Format: f.format, Name: f.name, LogFormat: f.logFormat, Failure: f.failure, Progress: progress}
	var t *replay.Trace
	var err error
	if name == "-" {
		t, err = replay.Import(cmd.InOrStdin(), o)
	} else {
		t, err = replay.ImportFile(name, o)
	}
	switch {
	case name != "-" && errors.As(err, new(*fs.PathError)):
		return nil, refused("%w", err)
	case errors.Is(err, replay.ErrFormat), errors.Is(err, replay.ErrImport), errors.Is(err, replay.ErrTooMany), errors.As(err, new(*fs.PathError)):
		return nil, refused("%s: %w", name, err)
	case err != nil:
		return nil, usage("%w", err)
	}
	return t, nil
}

// options are what the flags say about a replay.
func (f *traceFlags) options(progress func(float64)) replay.RunOptions {
	o := replay.RunOptions{Sick: f.sick, Progress: progress}
	if len(f.breakers) > 0 {
		o.Breakers = func(id string) bool {
			for _, pattern := range f.breakers {
				if ok, _ := path.Match(pattern, id); ok || pattern == id {
					return true
				}
			}
			return false
		}
	}
	return o
}

// head says in a line what a trace holds.
func head(t *replay.Trace) string {
	ids := fmt.Sprintf("%d breakers", len(t.Breakers))
	if len(t.Breakers) == 1 {
		ids = t.Breakers[0].ID
	}
	return fmt.Sprintf("%s, %s from %s, %s and %s", ids, t.Ended.Sub(t.Began).Round(time.Millisecond),
		t.Began.Local().Format(time.DateTime), plain.Count(t.Calls, "call", "calls"), plain.Count(t.Rejected, "rejected one", "rejected ones"))
}

// progressBar shows on a terminal how far work has come, if it takes long enough
// to be worth it. Its clear takes it away.
func progressBar(what string) (progress func(float64), clear func()) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil, func() {}
	}
	const width, after = 30, 500 * time.Millisecond
	began, shown := time.Now(), -1
	return func(done float64) {
			n := int(done * width)
			if n == shown || time.Since(began) < after {
				return
			}
			shown = n
			fmt.Fprintf(os.Stderr, "\r%s [%s%s] %3.0f%%", what, strings.Repeat("#", n), strings.Repeat(".", width-n), 100*done)
		}, func() {
			if shown >= 0 {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
		}
}

// candidateOf is the settings that --set names.
func candidateOf(sets []string) (replay.Candidate, error) {
	changes := map[string]string{}
	var s breaker.Settings
	for _, set := range sets {
		key, value, ok := strings.Cut(set, "=")
		if !ok {
			return replay.Candidate{}, usage("--set %q, want KEY=VALUE, such as fail_max=8", set)
		}
		if err := s.Set(key, value); err != nil {
			return replay.Candidate{}, usage("--set %s: %w", set, err)
		}
		changes[key] = value
	}
	return replay.Patch("candidate", changes)
}
