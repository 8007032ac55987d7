package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/fleet"
)

const fleetHelp = `See and operate the breakers of all processes that act as one (see docs/fleet.md),
directly from the Redis or Valkey that they share (--redis), or through a process
that belongs to the fleet: one of this host, or the one that -p names.

--redis is redis://, rediss:// or unix://, with user, password and database as
go-redis reads them; with ?master_name=NAME&addr=HOST:PORT it asks Sentinels, and
with ?addr=HOST:PORT alone a Cluster. Orders are signed, so with --redis they need
--key-file: a file with the key of the processes' Options.Key and nothing else. A
process signs orders itself, if it accepts orders from you.

The environment variables SWITCHGEAR_REDIS, SWITCHGEAR_GROUP and
SWITCHGEAR_FLEET_KEY_FILE replace the flags.`

func fleetCommand(g *globals) *cobra.Command {
	f := &fleetFlags{globals: g}
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "See and operate the breakers of many hosts that act as one",
		Long:  fleetHelp,
		Example: `  switchgear fleet status --redis redis://redis:6379 --group checkout
  switchgear fleet explain payments -p shop
  switchgear fleet force-open payments --for 30m --reason "INC-42"`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f.define(cmd.PersistentFlags())
	cmd.AddCommand(fleetStatusCommand(f), fleetExplainCommand(f), fleetHistoryCommand(f), fleetTopCommand(f))
	cmd.AddCommand(fleetOrderCommands(f)...)
	cmd.AddCommand(fleetSetCommand(f))
	for _, c := range cmd.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return cmd
}

// view asks for the whole fleet.
func (f *fleetFlags) view(cmd *cobra.Command, w fleetWay) (*fleet.View, error) {
	ctx, cancel := f.bound(cmd)
	defer cancel()
	v, err := w.View(ctx)
	if err != nil {
		return nil, noFleet(err)
	}
	return v, nil
}

// look opens the way to the fleet for one view of it.
func (f *fleetFlags) look(cmd *cobra.Command) (*fleet.View, error) {
	w, err := f.open(cmd)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return f.view(cmd, w)
}

func fleetStatusCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status [ID...]",
		Short: "Show each breaker in all processes, the worst first",
		Long: `Show each breaker in all processes, the worst first: how many are in which state,
in each zone, and the fleet's verdict with its next probe. The coordinator, the
silent processes and the standing orders are shown above.`,
		Example: `  switchgear fleet status
  switchgear fleet status payments --json`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			v, err := f.look(cmd)
			if err != nil {
				return err
			}
			if v.Breakers, err = only(v, ids); err != nil {
				return err
			}
			if f.json {
				return writeJSON(cmd, v)
			}
			out := newScreen(cmd.OutOrStdout())
			_, err = fmt.Fprint(out, fleetText(v, out.width))
			return err
		},
	}
}

// only is the breakers with these ids, or all.
func only(v *fleet.View, ids []string) ([]fleet.Breaker, error) {
	if len(ids) == 0 {
		return v.Breakers, nil
	}
	var out []fleet.Breaker
	for _, id := range ids {
		b, err := v.Breaker(id)
		if err != nil {
			return nil, err
		}
		out = append(out, *b)
	}
	return out, nil
}

// fleetText is the whole screen.
func fleetText(v *fleet.View, width int) string {
	var b strings.Builder
	b.WriteString(plain.Text(fleetHead(v)) + "\n")
	for _, o := range v.Standing {
		left := "until it is released"
		if o.Left > 0 {
			left = "for another " + view.Short(time.Duration(o.Left))
		}
		line := fmt.Sprintf("order %d: %s %s by %s", o.Number, o.Verb, o.ID, o.Actor)
		if o.Reason != "" {
			line += fmt.Sprintf(" (%q)", o.Reason)
		}
		b.WriteString(plain.Text(line+", "+left) + "\n")
	}
	if len(v.Breakers) == 0 {
		return b.String() + "No breakers.\n"
	}
	t := &table.Table{Columns: []table.Column{
		{Title: "ID", Min: 12},
		{Title: "PROCESSES"},
		{Title: "ZONES", Optional: true, Min: 10, Drop: 1},
		{Title: "SINCE", Optional: true, Drop: 2},
		{Title: "NEXT", Optional: true},
		{Title: "WHY", Optional: true, Min: 20},
	}}
	for i := range v.Breakers {
		t.Rows = append(t.Rows, fleetRow(&v.Breakers[i]))
	}
	b.WriteString(t.String(width))
	if v.Omitted > 0 {
		fmt.Fprintf(&b, "... and %d more that did not fit\n", v.Omitted)
	}
	return b.String()
}

// noCoordinator: what processes reported last may be long ago. One of them would have
// become the coordinator if it reached the store.
const noCoordinator = "no coordinator: each acts by itself, and what is shown may be old"

func fleetHead(v *fleet.View) string {
	var silent, watching, short []string
	for _, m := range v.Members {
		if m.Silent {
			silent = append(silent, fmt.Sprintf("%s for %s", m.Name, view.Short(time.Duration(m.SilentFor))))
		}
		if m.Advise {
			watching = append(watching, m.Name)
		}
		if m.Omitted > 0 && !m.Silent {
			short = append(short, m.Name)
		}
	}
	head := fmt.Sprintf("fleet %s: %s", v.Group, plain.Count(len(v.Members)-max(v.Silent, len(silent)), "process", "processes"))
	switch {
	case v.Coordinator != "":
		head += ", coordinator " + v.Coordinator
	case len(v.Members) > 0:
		head += ", " + noCoordinator
	}
	if len(silent) > 0 {
		n := max(v.Silent, len(silent))
		head += fmt.Sprintf("; %d silent: %s", n, someOf(silent, n))
	}
	if v.Beyond > 0 {
		head += fmt.Sprintf("; %s not counted, because there are too many", plain.Count(v.Beyond, "is", "are"))
	}
	if n := len(short); n > 0 {
		head += "; more breakers in trouble than a report holds: " + someOf(short, n)
	}
	if n := len(watching); n > 0 {
		head += fmt.Sprintf("; %s: %s", plain.Count(n, "only advises", "only advise"), someOf(watching, n))
	}
	if v.Dropped > 0 {
		head += fmt.Sprintf("; %s not understood, or not signed with this key", plain.Count(v.Dropped, "message was", "messages were"))
	}
	return head
}

// someOf is the first three of n names.
func someOf(names []string, n int) string {
	text := strings.Join(names[:min(3, len(names))], ", ")
	if n > 3 {
		text += " and others"
	}
	return text
}

func fleetRow(b *fleet.Breaker) []table.Cell {
	cells := []table.Cell{table.Plain(b.ID), table.Plain(stateCounts(b.States)), table.Plain(""), table.Plain(""), table.Plain(""), table.Plain("")}
	var zones []string
	for _, z := range slices.Sorted(mapKeys(b.Zones)) {
		if z != "" {
			zones = append(zones, z+": "+stateCounts(b.Zones[z]))
		}
	}
	if len(zones) > 1 {
		cells[2].Text = strings.Join(zones, "; ")
	}
	if len(b.Verdicts) > 0 {
		v := &b.Verdicts[0]
		cells[3].Text = view.Short(time.Duration(v.OpenFor))
		cells[4].Text = nextOf(v)
		cells[5].Text = v.Why()
		if n := len(b.Verdicts); n > 1 {
			cells[5].Text += "; and " + plain.Count(n-1, "more zone", "more zones")
		}
	} else if len(b.Drift) > 0 {
		cells[5].Text = "settings differ from process to process, see explain"
	}
	return cells
}

func nextOf(v *fleet.Verdict) string {
	switch {
	case v.Probing != "":
		return "probing"
	case v.Next <= 0 || len(v.Armed) > 0:
		return "probe due"
	}
	return "probe in " + time.Duration(v.Next).Round(100*time.Millisecond).String()
}

// stateCounts is such as "22 open, 2 closed": what is not closed first.
func stateCounts(states map[breaker.State]int) string {
	var parts []string
	for _, s := range []breaker.State{breaker.ForcedOpen, breaker.Open, breaker.HalfOpen, breaker.ForcedClosed, breaker.Closed} {
		if n := states[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func fleetExplainCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say why a breaker is as it is in all processes, and what happens next",
		Long: `Say why a breaker is as it is in all processes, what happens next, which processes
stay closed against the verdict, and in which the settings differ.`,
		Example: `  switchgear fleet explain payments`,
		Args:    exactly(1, "the id of a breaker"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			v, err := f.look(cmd)
			if err != nil {
				return err
			}
			b, err := v.Breaker(ids[0])
			if err != nil {
				return err
			}
			if f.json {
				return writeJSON(cmd, struct {
					*fleet.Breaker
					Explain string `json:"explain"`
				}{b, b.Explain()})
			}
			text := b.Explain()
			if v.Coordinator == "" {
				text = "There is " + noCoordinator + ". " + text
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), plain.Text(text))
			return err
		},
	}
}

func fleetHistoryCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "history [ID]",
		Short: "Show what breakers went through in all processes, the newest first",
		Long: `Show what a breaker, or all, went through in all processes, the newest first: the
last 32 transitions of each process. Times are by the clock of each process.`,
		Example: `  switchgear fleet history payments`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			w, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer w.Close()
			ctx, cancel := f.bound(cmd)
			defer cancel()
			past, err := w.History(ctx, strings.Join(ids, ""))
			switch {
			case err != nil:
				return noFleet(err)
			case f.json:
				return writeJSON(cmd, struct {
					History []fleet.Past `json:"history"`
				}{past})
			case len(past) == 0:
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "Nothing has changed.")
				return err
			}
			t := &table.Table{Columns: []table.Column{
				{Title: "TIME"}, {Title: "PROCESS", Min: 8}, {Title: "ID", Min: 8}, {Title: "STATE"}, {Title: "WHY", Optional: true, Min: 20},
			}}
			for _, p := range past {
				member := p.Member
				if p.Zone != "" {
					member += " (" + p.Zone + ")"
				}
				t.Rows = append(t.Rows, []table.Cell{
					table.Plain(view.Clock(p.At)), table.Plain(member), table.Plain(p.ID), table.Plain(p.To.String()), table.Plain(p.Why),
				})
			}
			return printTable(cmd, t)
		},
	}
}

func fleetTopCommand(f *fleetFlags) *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the fleet live",
		Long: `Show what "fleet status" shows, every second (--every), until Ctrl-C. It says so
when the store does not answer, and when there is no coordinator.`,
		Example: `  switchgear fleet top --every 500ms`,
		Args:    nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case f.json:
				return usage("switchgear fleet top is a screen and has no JSON: see fleet status --json")
			case every < 100*time.Millisecond:
				return usage("--every %s, want 100ms or more", every)
			case !isTerminal(cmd.OutOrStdout()):
				return usage("switchgear fleet top needs a terminal: see fleet status")
			}
			w, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer w.Close()
			return f.top(cmd, w, every)
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "time between two looks")
	return cmd
}

func (f *fleetFlags) top(cmd *cobra.Command, w fleetWay, every time.Duration) error {
	const clear, hide, show = "\x1b[H\x1b[2J", "\x1b[?25l", "\x1b[?25h"
	out := bare(cmd.OutOrStdout())
	fmt.Fprint(out, hide)
	defer fmt.Fprint(out, show)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		v, err := f.view(cmd, w)
		screen, text := newScreen(cmd.OutOrStdout()), time.Now().Format("15:04:05")+"  "
		if err != nil {
			text += plain.Text(oneLine(err.Error())) + "\n"
		} else {
			text += fleetText(v, screen.width)
		}
		if _, err := fmt.Fprint(out, clear+screen.fit(text)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-cmd.Context().Done():
			if errors.Is(cmd.Context().Err(), context.Canceled) {
				return nil
			}
			return cmd.Context().Err()
		}
	}
}
