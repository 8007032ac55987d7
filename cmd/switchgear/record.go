package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/replay"
)

func recordCommand(g *globals) *cobra.Command {
	var f traceFlags
	var from, to string
	var d time.Duration
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Get a recording of a process's calls",
		Long: `Get a recording of the calls of a process, for "switchgear replay" and "tune".

With --for it contains the calls made during that time. Without it, it contains what
the process has kept, if its program has a recorder (replay.Record in
ops.Options.Recorder). The file has mode 0600. It holds no payloads and no error
texts, and keys are hashed.

A recorded call costs some 60 ns more. Calls that could not be recorded are
counted; if there are any, the exit status is 4.

With --from it converts a file of another format, see "switchgear help replay".`,
		Example: `  switchgear record -p shop --for 10m -o shop.sgr
  switchgear record -p 4711
  switchgear record --from access.log --format nginx -o shop.sgr`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flag("for").Changed && d <= 0:
				return usage("--for %s, want a time above 0, such as 10m", d)
			case from != "" && (d > 0 || len(g.processes) > 0):
				return usage("--from converts a file, want it without --for and -p")
			case from != "":
				return convert(g, cmd, &f, from, to)
			}
			return record(g, cmd, d, to)
		},
	}
	f.define(cmd)
	for _, unused := range []string{"sick", "breaker"} {
		_ = cmd.Flags().MarkHidden(unused) // they are about a replay
	}
	flags := cmd.Flags()
	flags.DurationVar(&d, "for", 0, "record the calls made during this time")
	flags.StringVarP(&to, "output", "o", "", "the `file` to make (default: the service, the time and .sgr)")
	flags.StringVar(&from, "from", "", "convert this `file` instead")
	return cmd
}

// record asks one process.
func record(g *globals, cmd *cobra.Command, d time.Duration, to string) error {
	ctx, cancel := g.bound(cmd)
	found, err := g.find(ctx)
	cancel()
	found.warn(cmd)
	if err != nil {
		return err
	}
	if len(found.targets) != 1 {
		return usage("%d processes, want one, named by -p: a recording is of one process", len(found.targets))
	}
	p, ok := found.targets[0].(plane)
	if !ok {
		return refused("%s has only a pipe, want a socket: a pipe gives no recordings", found.targets[0].name())
	}
	if to == "" {
		service := strings.Map(func(r rune) rune {
			if r == '/' || r == os.PathSeparator {
				return '-'
			}
			return r
		}, p.name())
		to = service + "-" + time.Now().Format("20060102-150405") + ".sgr"
	}
	return newFile(g, cmd, to, func(w io.Writer) error {
		progress, clear := progressBar("recording")
		defer clear()
		if progress != nil && d > 0 {
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for began := time.Now(); ; {
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Millisecond):
						progress(min(1, time.Since(began).Seconds()/d.Seconds()))
					}
				}
			}()
		}
		// The process ends it after d; it may take a little longer.
		patience := d + g.timeout + 10*time.Second
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		_, err := p.client.Record(ctx, d, w)
		return err
	})
}

// convert writes a file of another format as a recording.
func convert(g *globals, cmd *cobra.Command, f *traceFlags, from, to string) error {
	t, err := f.open(cmd, from)
	if err != nil {
		return err
	}
	if to == "" {
		to = strings.TrimSuffix(from, ".log") + ".sgr"
	}
	for _, n := range t.Notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "Note: %s.\n", plain.Text(n))
	}
	return newFile(g, cmd, to, func(w io.Writer) error {
		_, err := t.WriteTo(w)
		return err
	})
}

// recorded is the answer in JSON.
type recorded struct {
	File      string `json:"file"`
	Bytes     int64  `json:"bytes"`
	Calls     uint64 `json:"calls"`
	Rejected  uint64 `json:"rejected"`
	Lost      uint64 `json:"lost"`
	Untracked uint64 `json:"untracked"`
	Complete  bool   `json:"complete"`
}

// newFile makes a file that write fills, and says what it holds. It does not
// overwrite. What was received before an error is kept: it is a shorter
// recording.
func newFile(g *globals, cmd *cobra.Command, name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return refused("%w", err)
	}
	failed := write(f)
	if err := f.Close(); failed == nil && err != nil {
		failed = refused("%s: %w", name, err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return refused("%w", err)
	}
	if failed != nil && info.Size() == 0 {
		_ = os.Remove(name) // there is nothing in it
		return failed
	}
	t, err := replay.Open(name)
	if err != nil {
		return errors.Join(failed, refused("%w", err))
	}
	r := recorded{name, info.Size(), t.Calls, t.Rejected, t.Lost, t.Untracked, t.Complete}
	if g.json {
		err = writeJSON(cmd, r)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s.\n", plain.Text(name), plain.Text(head(t)), plain.Count(r.Bytes, "byte", "bytes"))
	}
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return err
	case t.Lost > 0:
		return &codeError{exitPartly, fmt.Errorf("%s: %s could not be recorded", name, plain.Count(t.Lost, "call", "calls"))}
	case !t.Complete:
		return &codeError{exitPartly, fmt.Errorf("%s: the process ended before the recording did", name)}
	}
	return nil
}
