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
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func shadowCommand(g *globals) *cobra.Command {
	var o orderFlags
	var sets []string
	var drop bool
	cmd := &cobra.Command{
		Use:   "shadow [ID [NAME]]",
		Short: "Judge calls by other settings as well, live",
		Long: `Judge the calls of a breaker, with name/* those of a set, or with * those of all
that there are now, by other settings as well, beside those in effect. A shadow
rejects nothing and changes nothing; it says what its settings would have done.
Without --set and --drop, show that:

  TRIPS          how often it would have opened, and OPEN FOR how long
  REJECTED GOOD  calls that it would have rejected, and that succeeded
  AND BAD        calls that it would have rejected, and that failed
  SAW            the share of the calls that it was asked about: it does not see
                 the calls that the breaker itself rejects
  AHEAD          of the trips of the breaker itself, those for which the shadow
                 had opened before, and by how much on average

A shadow has the settings in effect with the changes of --set. A breaker may have
up to four, which end with the process. A shadow with the name of another one
replaces it, and starts over. To put one into effect, see "switchgear promote".
To try looser settings, force the breaker closed for a while: then the shadow
sees every call.

See "switchgear help orders" for what all orders have in common.`,
		Example: `  switchgear shadow payments tight --set fail_max=3 --set reset_timeout=10s
  switchgear shadow
  switchgear shadow payments tight --drop`,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 2:
				return usage("switchgear shadow takes an id and a name and no more, not %q", args[2])
			case drop && len(sets) > 0:
				return usage("--drop with --set, want one of them")
			case len(args) < 2 && (drop || len(sets) > 0):
				return usage("switchgear shadow needs an id and a name, as in: switchgear shadow payments tight --set fail_max=3")
			case !drop && len(sets) == 0:
				return g.shadows(cmd, args)
			}
			if drop {
				return g.shadowOrder(cmd, &o, ops.VerbUnshadow, args, nil)
			}
			patch, err := patchOf(sets)
			if err != nil {
				return err
			}
			return g.shadowOrder(cmd, &o, ops.VerbShadow, args, patch)
		},
	}
	o.defineCommon(cmd)
	cmd.Flags().StringVar(&o.reason, "reason", "", "why, for the record")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "a setting to try, as `KEY=VALUE` (see help settings)")
	cmd.Flags().BoolVar(&drop, "drop", false, "remove the shadow")
	return cmd
}

func promoteCommand(g *globals) *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "promote ID NAME",
		Short: "Put the settings of a shadow into effect",
		Long: `Put the settings of a shadow into effect, live and all or nothing. The settings
from before are kept as the shadow "before", for a day or until the process ends:
promote that one to take it back.

See "switchgear help orders" for what all orders have in common.`,
		Example: `  switchgear promote payments tight --if-version 17 --reason "a week as a shadow"
  switchgear promote payments before`,
		Args:              exactly(2, "an id and the name of a shadow"),
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.shadowOrder(cmd, &o, ops.VerbPromote, args, nil)
		},
	}
	o.define(cmd)
	return cmd
}

func (g *globals) shadowOrder(cmd *cobra.Command, o *orderFlags, verb breaker.Verb, args []string, patch []byte) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	orders := o.orders(verb, args[:1], patch)
	orders[0].Shadow = args[1]
	return g.carryOut(cmd, orders, o)
}

// shadows shows what the shadows would have done: all of them, those of an id, or
// one.
func (g *globals) shadows(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if name, key, keyed := strings.Cut(args[0], "/"); keyed && key != "*" {
			return usage("%s is a key, want %s/*: a set has shadows for all of its keys", args[0], name)
		}
	}
	f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) ([]ops.ShadowsOf, error) {
		all, err := t.shadows(ctx)
		if err == nil && len(args) > 0 {
			_, err = t.settings(ctx, args[0]) // there may be no such breaker
		}
		return all, err
	})
	type process struct {
		Process string          `json:"process"`
		Shadows []ops.ShadowsOf `json:"shadows"`
	}
	out := []process{}
	t := &table.Table{Columns: []table.Column{
		{Title: "PROCESS", Optional: true},
		{Title: "ID", Min: 12},
		{Title: "SHADOW"},
		{Title: "FOR", Right: true},
		{Title: "TRIPS", Right: true},
		{Title: "OPEN FOR", Right: true, Drop: 2},
		{Title: "REJECTED GOOD", Right: true},
		{Title: "AND BAD", Right: true, Drop: 1},
		{Title: "SAW", Right: true},
		{Title: "AHEAD", Right: true, Drop: 3},
	}}
	var names []string // of all that args[0] has
	for _, a := range answers {
		all := slices.DeleteFunc(a.value, func(s ops.ShadowsOf) bool { return len(args) > 0 && s.ID != args[0] })
		for i := range all {
			x := &all[i]
			for k := range x.Shadows {
				names = append(names, x.Shadows[k].Name)
			}
			x.Shadows = slices.DeleteFunc(x.Shadows, func(s breaker.ShadowStatus) bool { return len(args) > 1 && s.Name != args[1] })
			for k := range x.Shadows {
				t.Rows = append(t.Rows, shadowRow(f.short(a), x.ID, &x.Shadows[k]))
			}
		}
		out = append(out, process{a.name(), all})
	}
	switch {
	case g.json && len(answers) > 0:
		return errors.Join(err, writeJSON(cmd, out))
	case len(t.Rows) > 0:
		return errors.Join(err, printTable(cmd, t))
	case err == nil && len(names) > 0:
		slices.Sort(names)
		return refused("%s has no shadow %q, want %s", args[0], args[1], strings.Join(slices.Compact(names), " or "))
	case err == nil:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "No shadows.")
	}
	return err
}

func shadowRow(process, id string, s *breaker.ShadowStatus) []table.Cell {
	trips := fmt.Sprint(s.Trips)
	if s.Open > 0 {
		trips += ", open now"
	}
	ahead := ""
	if s.RealTrips > 0 {
		ahead = fmt.Sprintf("%d of %d", s.Earlier, s.RealTrips)
		if s.Earlier > 0 {
			ahead += ", by " + view.Short(s.Lead/time.Duration(s.Earlier))
		}
	}
	return []table.Cell{
		table.Plain(process), table.Plain(id), table.Plain(s.Name), table.Plain(view.Short(time.Since(s.Since))),
		table.Plain(trips), table.Plain(view.Short(s.OpenFor)),
		table.Plain(fmt.Sprint(s.RejectedGood)), table.Plain(fmt.Sprint(s.RejectedBad)),
		table.Plain(fmt.Sprintf("%.3g%%", 100*s.Coverage())), table.Plain(ahead),
	}
}
