package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/fleet"
	"github.com/switchgear-go/switchgear/ops"
)

const fleetOrderLong = `

Each process carries out the order once and sends a receipt; processes that have not
sent one by --timeout are named. Overrides and settings remain in force: processes
that start later get them, for the time that remains.

There is a dry run first, and the order is given on condition that the breaker has
not changed in any process since. A wildcard needs --yes N, where N is the number of
breakers that it applies to in all processes together.`

func fleetOrderCommands(f *fleetFlags) (cmds []*cobra.Command) {
	for _, v := range verbs {
		var o orderFlags
		word := string(v.verb)
		override := v.verb == breaker.VerbForceOpen || v.verb == breaker.VerbForceClosed
		example := "  switchgear fleet " + word + " payments --reason \"INC-42\""
		if override {
			example += " --for 30m"
		}
		cmd := &cobra.Command{
			Use: word + " ID", Short: v.short + ", in all processes", Long: v.long + fleetOrderLong, Example: example,
			Args: exactly(1, "the id of a breaker, name/* or *"),
			RunE: func(cmd *cobra.Command, ids []string) error {
				if override {
					if err := o.checkOverride("fleet " + word); err != nil {
						return err
					}
				}
				if err := o.check(cmd); err != nil {
					return err
				}
				return f.carryOut(cmd, o.orders(v.verb, ids, nil)[0], &o)
			},
		}
		o.define(cmd)
		if override {
			cmd.Flags().DurationVar(&o.limit, "for", 0, "how long the override lasts, such as 30m")
			cmd.Flags().BoolVar(&o.noExpiry, "no-expiry", false, "let it last until the override is released")
		} else if v.verb == breaker.VerbOpen {
			cmd.Flags().DurationVar(&o.limit, "for", 0, "how long it stays open (default: its reset timeout)")
		}
		cmds = append(cmds, cmd)
	}
	return cmds
}

func fleetSetCommand(f *fleetFlags) *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "set ID KEY=VALUE...",
		Short: "Change settings of a breaker, live, in all processes",
		Long: `Change settings of a breaker, live, in all processes. The keys are those of
"switchgear help settings".` + fleetOrderLong,
		Example: `  switchgear fleet set payments fail_max=10 --reason "too nervous"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage("switchgear fleet set needs an id and at least one KEY=VALUE, as in: switchgear fleet set payments fail_max=10")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			patch, err := patchOf(args[1:])
			if err == nil {
				err = o.check(cmd)
			}
			if err != nil {
				return err
			}
			return f.carryOut(cmd, o.orders(ops.VerbSet, args[:1], patch)[0], &o)
		},
	}
	o.define(cmd)
	return cmd
}

// carryOut tries the order in all processes, and then gives it.
func (f *fleetFlags) carryOut(cmd *cobra.Command, order ops.Order, o *orderFlags) error {
	if o.ifVersion != 0 {
		return usage("--if-version with fleet, want none: each process has its own version, and the order is given only if none has changed since the dry run")
	}
	w, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer w.Close()
	try := fleet.Order{Order: order}
	try.DryRun = true
	dry, err := f.give(cmd, w, try, false)
	if err != nil {
		return err
	}
	if o.dryRun || len(dry.Done) == 0 {
		return f.reportFleet(cmd, dry)
	}
	total, most := 0, 0
	for _, m := range dry.Done {
		total += m.Receipt.Matched
		most = max(most, m.Receipt.Matched)
	}
	given := fleet.Order{Order: order}
	if order.Wildcard() {
		if o.yes < total {
			return refused("this is for %s in %s: look with --dry-run, and add --yes %d",
				plain.Count(total, "breaker", "breakers"), plain.Count(len(dry.Done), "process", "processes"), total)
		}
		given.Confirm = most
	} else {
		given.Versions = dry.Versions()
	}
	done, err := f.give(cmd, w, given, !f.json && isTerminal(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	return f.reportFleet(cmd, done)
}

// give gives an order, and reports the receipts as they come in.
func (f *fleetFlags) give(cmd *cobra.Command, w fleetWay, o fleet.Order, tell bool) (*fleet.Receipts, error) {
	ctx, cancel := f.bound(cmd)
	defer cancel()
	var progress func(*fleet.Receipts)
	if tell {
		progress = func(r *fleet.Receipts) { fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", plain.Text(r.String())) }
	}
	r, err := w.Order(ctx, o, progress)
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, breaker.ErrOrder), errors.Is(err, fleet.ErrStanding), errors.Is(err, context.Canceled):
		return nil, err
	case errors.Is(err, fleet.ErrUnsigned):
		return nil, usage("orders are signed, want --key-file FILE, or SWITCHGEAR_FLEET_KEY_FILE")
	}
	var answer *ops.Error
	if errors.As(err, &answer) && answer.Code != "store" {
		return nil, err
	}
	return nil, noFleet(err)
}

// reportFleet says what became of an order, and decides the exit code.
func (f *fleetFlags) reportFleet(cmd *cobra.Command, r *fleet.Receipts) error {
	if f.json {
		if err := writeJSON(cmd, r); err != nil {
			return err
		}
	} else {
		out := cmd.OutOrStdout()
		would := ""
		if r.Order.DryRun {
			would = "dry run: "
		}
		fmt.Fprintln(out, plain.Text(would+r.String()))
		for _, m := range r.Done {
			fmt.Fprintln(out, plain.Text("  "+m.Member+": "+receiptLine(m.Receipt)))
		}
		for _, m := range r.Refused {
			fmt.Fprintln(out, plain.Text("  "+m.Member+": refused: "+m.Error))
		}
		for _, m := range r.Silent {
			fmt.Fprintln(out, plain.Text("  "+m+": silent"))
		}
	}
	switch {
	case r.Members == 0:
		return unreachable("the fleet has no processes")
	case len(r.Done) == r.Members:
		return nil
	case len(r.Done) > 0:
		return &codeError{exitPartly, fmt.Errorf("%s", r)}
	case len(r.Refused) > 0:
		return refused("%s", r)
	}
	return unreachable("%s", r)
}

// receiptLine is what an order did in one process.
func receiptLine(r *ops.Receipt) string {
	if len(r.Results) == 1 {
		x := &r.Results[0]
		if x.SettingsBefore != nil {
			return fmt.Sprintf("settings changed, version %d", x.Version)
		}
		return fmt.Sprintf("%s -> %s, version %d", x.Before, x.After, x.Version)
	}
	return fmt.Sprintf("%d of %d changed", r.Touched, r.Matched)
}
