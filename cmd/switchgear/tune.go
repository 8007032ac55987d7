package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/replay"
)

func tuneCommand(g *globals) *cobra.Command {
	var f traceFlags
	var goal replay.Goal
	var falseTrips, probes string
	cmd := &cobra.Command{
		Use:   "tune FILE",
		Short: "Search a recording for settings that meet a goal",
		Long: `Search for settings that meet a goal at the least cost, by replaying a recording
under some 150 candidates. FILE is as for "switchgear replay".

The cost is counted in good calls that are rejected: a failed call in an episode
costs a tenth of one, and each second that a caller waits for it costs one.
Candidates that the episodes of the recording cannot distinguish from the best one
are shown together with it, the one that changes least first. With fewer than three
episodes it refuses to choose.

It changes nothing. Try what it finds with "switchgear replay", then live with
"switchgear shadow", and put it into effect with "switchgear promote".`,
		Example: `  switchgear tune pay.sgr --detect 3s --false-trips 1/week
  switchgear tune access.log --format nginx --probes 12/min --recovery 30s`,
		Args: exactly(1, "a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, r := range []struct {
				flag, text string
				to         *replay.Rate
			}{{"false-trips", falseTrips, &goal.FalseTrips}, {"probes", probes, &goal.Probes}} {
				if r.text == "" {
					continue
				}
				var err error
				if *r.to, err = replay.ParseRate(r.text); err != nil {
					return usage("--%s: %w", r.flag, err)
				}
			}
			if goal.Detect < 0 || goal.Recovery < 0 {
				return usage("--detect %s and --recovery %s, want times above 0", goal.Detect, goal.Recovery)
			}
			t, err := f.open(cmd, args[0])
			if err != nil {
				return err
			}
			progress, clear := progressBar("searching")
			found, err := replay.Tune(cmd.Context(), t, replay.TuneOptions{RunOptions: f.options(progress), Goal: goal})
			clear()
			switch {
			case errors.Is(err, replay.ErrFewEpisodes), errors.Is(err, replay.ErrNoCandidate):
				return refused("%s: %w", args[0], err)
			case err != nil:
				return err
			case g.json:
				return writeJSON(cmd, found)
			}
			printTuned(cmd, t, found)
			return nil
		},
	}
	f.define(cmd)
	flags := cmd.Flags()
	flags.DurationVar(&goal.Detect, "detect", 0, "the longest time until it opens for an episode; none may be missed")
	flags.StringVar(&falseTrips, "false-trips", "", "the most trips without an episode, such as 1/week")
	flags.StringVar(&probes, "probes", "", "the most calls while it is not closed, such as 12/min")
	flags.DurationVar(&goal.Recovery, "recovery", 0, "the longest time from the end of an episode until it is closed")
	return cmd
}

// mostOthers is how many choices that cost more are shown.
const mostOthers = 5

func printTuned(cmd *cobra.Command, t *replay.Trace, found *replay.Tuned) {
	out := newScreen(cmd.OutOrStdout())
	best := found.Best[0]
	if best.Warning != "" {
		fmt.Fprintf(out, "Warning: %s.\n", plain.Text(best.Warning))
	}
	fmt.Fprintf(out, "%s, %s.\n", plain.Text(head(t)), plain.Count(len(found.Episodes), "episode", "episodes"))
	for _, n := range found.Notes {
		fmt.Fprintf(out, "Note: %s.\n", plain.Text(n))
	}
	rows := &table.Table{Columns: []table.Column{
		{Title: "SETTINGS", Min: 20},
		{Title: "COST OF AN EPISODE", Right: true},
		{Title: "SAVES", Right: true},
		{Title: "MISSED", Right: true}, // an episode without a trip has no delay
		{Title: "DELAY", Right: true},
		{Title: "FALSE TRIPS", Right: true, Drop: 1},
		{Title: "RECOVERY", Right: true, Drop: 2},
		{Title: "CHANGES", Right: true, Drop: 3},
	}}
	add := func(sign string, c *replay.Choice) {
		rows.Rows = append(rows.Rows, []table.Cell{
			table.Plain(sign + c.Name), table.Plain(fmt.Sprintf("%.4g (%.4g–%.4g)", c.Cost, c.Low, c.High)),
			table.Plain(fmt.Sprintf("%.0f%% (%.0f–%.0f%%)", 100*c.Saves, 100*c.SavesLow, 100*c.SavesHigh)),
			table.Plain(mark(c.Figure("missed"))), table.Plain(mark(c.Figure("delay_max_seconds"))), table.Plain(mark(c.Figure("false_trips"))), table.Plain(mark(c.Figure("recovery_max_seconds"))),
			table.Plain(fmt.Sprint(c.Changes)),
		})
	}
	for i := range found.Best {
		add("= ", &found.Best[i])
	}
	for i := range found.Others[:min(len(found.Others), mostOthers)] {
		add("  ", &found.Others[i])
	}
	add("now: ", &found.Current)
	fmt.Fprint(out, rows.String(out.width))
	fmt.Fprintf(out, "Those marked = cannot be distinguished by %s. Not shown: %d that cost more, and %d that would not meet the goal.\n",
		plain.Count(len(found.Episodes), "episode", "episodes"), max(0, len(found.Others)-mostOthers), found.Failed)
	var sets []string
	for _, d := range found.Current.Settings.Diff(best.Settings) {
		sets = append(sets, d.Key+"="+d.To)
	}
	if len(sets) == 0 {
		fmt.Fprintln(out, "None is clearly better than the settings in effect.")
		return
	}
	fmt.Fprintf(out, "The smallest change among the best: %s\n", strings.Join(sets, " "))
	fmt.Fprintf(out, "To look closer: switchgear replay FILE --set %s\n", strings.Join(sets, " --set "))
	fmt.Fprintf(out, "To try it live: switchgear shadow ID tuned --set %s\n", strings.Join(sets, " --set "))
}
