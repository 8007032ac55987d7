package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/replay"
)

func replayCommand(g *globals) *cobra.Command {
	var f traceFlags
	var sets []string
	var verify, recommended bool
	var html string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Show what other settings would have done",
		Long: `Show what other settings would have done with the calls of a recording. The calls
are replayed through the same breaker that programs run, in virtual time.

FILE is what "switchgear record" or a program with replay.Record has written.
Other sources of calls work too: CSV or JSON lines with at, took, outcome and
perhaps key; client spans in OTLP/JSON; and access logs of Envoy, or of nginx with

  log_format replay '$msec $upstream_response_time $upstream_status $upstream_addr';

or with what --log-format says. "-" is the standard input.

A call that was rejected when it was recorded has no outcome. Figures that depend
on such calls are shown as a range over five assumptions and marked with *; the
truth may lie outside that range. ~ marks figures that hold for at least 99% of
the calls. Everything else is exact. If settings would have let more calls run than
those in effect, the first line warns of it.

With --verify it replays the calls under the settings that were in effect, and
checks that each recorded transition follows again. If one does not, it names the
first, and the exit status is 6.`,
		Example: `  switchgear replay pay.sgr --verify
  switchgear replay pay.sgr --set reset_timeout=5s --set fail_max=8 --html pay.html
  switchgear replay access.log --format nginx --recommended`,
		Args: exactly(1, "a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verify && (len(sets) > 0 || recommended || html != "") {
				return usage("--verify is about the settings that were in effect, want it without --set, --recommended and --html")
			}
			change, err := candidateOf(sets)
			if err != nil {
				return err
			}
			t, err := f.open(cmd, args[0])
			if err != nil {
				return err
			}
			if verify {
				return verifyTrace(g, cmd, t)
			}
			all := []replay.Candidate{replay.AsRecorded}
			if len(sets) > 0 {
				all = append(all, change)
			}
			if recommended || len(sets) == 0 {
				all = append(all, replay.With("recommended", breaker.Recommended()))
			}
			progress, clear := progressBar("replaying")
			r, err := replay.Run(cmd.Context(), t, f.options(progress), all...)
			clear()
			if err != nil {
				return err
			}
			if html != "" {
				if err := writeReport(html, func(w io.Writer) error { return r.WriteHTML(w, t) }); err != nil {
					return err
				}
			}
			if g.json {
				return writeJSON(cmd, r)
			}
			printReport(cmd, t, r)
			return nil
		},
	}
	f.define(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&sets, "set", nil, "a setting to try, as `KEY=VALUE` (see help settings)")
	flags.BoolVar(&recommended, "recommended", false, "try the recommended settings (the default without --set)")
	flags.BoolVar(&verify, "verify", false, "check that the recorded transitions follow again")
	flags.StringVar(&html, "html", "", "write a report to this `file`, as one page")
	return cmd
}

// writeReport writes a new file of this name.
func writeReport(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return refused("%w", err)
	}
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return refused("%s: %w", name, err)
	}
	return nil
}

// verifyTrace prints whether the recorded transitions follow again.
func verifyTrace(g *globals, cmd *cobra.Command, t *replay.Trace) error {
	progress, clear := progressBar("verifying")
	v := t.VerifyContext(cmd.Context(), progress)
	clear()
	if v.Err != nil {
		return refused("%w", v.Err)
	}
	if g.json {
		if err := writeJSON(cmd, v); err != nil {
			return err
		}
	} else {
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "%s.\n", plain.Text(head(t)))
		for _, n := range v.Notes {
			fmt.Fprintf(out, "Note: %s.\n", plain.Text(n))
		}
		fmt.Fprintf(out, "%s.\n", v)
	}
	if !v.OK() {
		return &codeError{exitDiffers, fmt.Errorf("the replay differs from the recording: %v", v.First)}
	}
	return nil
}

// columns are the figures in the table, and their titles.
var columns = []struct{ key, title string }{
	{"trips", "TRIPS"},
	{"false_trips", "FALSE"},
	{"missed", "MISSED"},
	{"delay_p50_seconds", "DELAY"},
	{"delay_max_seconds", "MAX"},
	{"false_rejects_in", "GOOD REJECTED IN"},
	{"false_rejects_out", "AND OUTSIDE"},
	{"wasted", "WASTED"},
	{"waited_seconds", "WAITED"},
	{"probes_per_minute", "PROBES"},
	{"recovery_p50_seconds", "RECOVERY"},
}

// printReport prints the figures of a replay.
func printReport(cmd *cobra.Command, t *replay.Trace, r *replay.Report) {
	out := newScreen(cmd.OutOrStdout())
	for _, x := range r.Results {
		if x.Warning != "" {
			fmt.Fprintf(out, "Warning: %s.\n", plain.Text(x.Warning))
		}
	}
	blind := ""
	if m := r.Results[0].Metrics; m.Blind > 0 {
		share := 100 * m.Blind.Seconds() / max(1e-9, m.Span.Seconds()*float64(len(r.Results[0].Breakers)))
		if blind = fmt.Sprintf("; %.3g%% of the time without any outcome", share); share < 0.01 {
			blind = "; less than 0.01% of the time without any outcome"
		}
	}
	fmt.Fprintf(out, "%s, %s%s.\n", plain.Text(head(t)), plain.Count(len(r.Episodes), "episode", "episodes"), blind)
	for _, n := range r.Notes {
		fmt.Fprintf(out, "Note: %s.\n", plain.Text(n))
	}
	fmt.Fprint(out, figureTable(r.Results).String(out.width))
	for _, x := range r.Results {
		if slices.ContainsFunc(x.Figures, func(f replay.Figure) bool { return f.Trust == replay.Assumed }) {
			fmt.Fprintln(out, "* depends on calls without an outcome: the range over five assumptions about them, not a bound.")
			break
		}
	}
	for i := range r.Results {
		fmt.Fprintf(out, "%s\n", plain.Text(plot(t, &r.Results[i])))
	}
}

// mark is the sign of a figure's trust.
func mark(f replay.Figure) string {
	switch f.Trust {
	case replay.Assumed:
		return f.Text() + "*"
	case replay.Supported:
		return f.Text() + "~"
	default:
		return f.Text()
	}
}

func figureTable(results []replay.Result) *table.Table {
	t := &table.Table{Columns: []table.Column{{Title: "SETTINGS", Min: 12}}}
	for i, c := range columns {
		t.Columns = append(t.Columns, table.Column{Title: c.title, Right: true, Drop: i / 4})
	}
	t.Columns = append(t.Columns, table.Column{Title: "COVERAGE", Right: true})
	for i := range results {
		x := &results[i]
		row := []table.Cell{table.Plain(x.Name)}
		for _, c := range columns {
			row = append(row, table.Plain(mark(x.Figure(c.key))))
		}
		t.Rows = append(t.Rows, append(row, table.Plain(fmt.Sprintf("%.4g%%", 100*x.Coverage))))
	}
	return t
}

// plotWidth is the number of characters of a plot.
const plotWidth = 60

// plot shows on a line when any breaker was not closed under some settings.
func plot(t *replay.Trace, x *replay.Result) string {
	line := []rune(strings.Repeat("·", plotWidth))
	total := t.Ended.Sub(t.Began)
	at := func(m replay.Move) int {
		if total <= 0 {
			return 0
		}
		return min(max(0, int(float64(m.At.Sub(t.Began))/float64(total)*plotWidth)), plotWidth-1)
	}
	for _, b := range x.Breakers {
		from := -1
		for _, m := range b.Moves {
			if m.To != breaker.Closed && from < 0 {
				from = at(m)
			}
			if m.To == breaker.Closed && from >= 0 {
				fill(line, from, at(m))
				from = -1
			}
		}
		if from >= 0 {
			fill(line, from, plotWidth-1)
		}
	}
	return string(line) + " " + x.Name
}

func fill(line []rune, from, to int) {
	for i := from; i <= to; i++ {
		line[i] = '█'
	}
}
