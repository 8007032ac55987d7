package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
)

const ordersHelp = `Two kinds of orders:

  open, close, half-open       set the automatic state, from which the breaker
                               continues by itself (an open one probes later)
  force-open, force-closed     set an override: it stays, regardless of how
                               calls end, until it is released or expires
  release                      lifts the override

An override needs a --reason, because other people will find it, and an end:
--for 30m, or explicitly --no-expiry. Overrides and settings survive a restart
of the process if its program keeps them (ops.Options.Standing, or
standing_path in breaker.conf). If the program keeps them but the file cannot
be written, the order is carried out, and a line on standard error says that
it will not survive.

An order for more than one breaker (name/*, *, or an id that several processes
have) must be confirmed: with --yes N, where N is the number of breakers that
it applies to, or interactively on a terminal. --dry-run shows what would
happen, and the number. With --if-version V an order is refused unless the
breaker's version is still V (see status --json). For set and promote of name/*
that is the version of the set's settings (see settings --json).

--state open limits an order to the breakers that are open when the order is
carried out: one that has closed meanwhile is left alone and not counted.

An override for name/* applies to each existing key: keys that are created
later start without it. What set changes for name/* also applies to later keys.

An order never waits for calls in flight. Every order is recorded with who gave
it (--actor, or SWITCHGEAR_ACTOR, or your user name) in the history and, if the
process has one, in the audit log.`

// orderFlags are the flags of an order.
type orderFlags struct {
	reason, actor string
	limit         time.Duration
	noExpiry      bool
	yes           int
	dryRun        bool
	ifVersion     uint64
	states        []string
}

func (o *orderFlags) define(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.reason, "reason", "", "why, in your own `words`")
	o.defineCommon(cmd)
	f.Uint64Var(&o.ifVersion, "if-version", 0, "only if the breaker's `version` is still this one")
}

// defineCommon defines the flags that every order has.
func (o *orderFlags) defineCommon(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.actor, "actor", "", "who gives the order: a `name`\n(default: $SWITCHGEAR_ACTOR, or your user name)")
	f.IntVar(&o.yes, "yes", 0, "confirm an order for more than one breaker: their `number`")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would happen, change nothing")
}

// defineState defines --state for orders that may depend on it.
func (o *orderFlags) defineState(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.states, "state", nil, "only breakers that are in this `state` when the order\nis carried out; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("state", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return stateNames, cobra.ShellCompDirectiveNoFileComp
	})
}

var stateNames = []string{
	breaker.Closed.String(), breaker.Open.String(), breaker.HalfOpen.String(),
	breaker.ForcedOpen.String(), breaker.ForcedClosed.String(),
}

// wanted returns the states in --state.
func (o *orderFlags) wanted() (all []breaker.State, err error) {
	for _, name := range o.states {
		var s breaker.State
		if err := s.UnmarshalText([]byte(name)); err != nil {
			return nil, usage("--state %q, want one of %s", name, strings.Join(stateNames, ", "))
		}
		all = append(all, s)
	}
	return all, nil
}

type verbInfo struct {
	verb        breaker.Verb
	short, long string
}

var verbs = []verbInfo{
	{breaker.VerbOpen, "Open a breaker, as if it had tripped", `Open a breaker, as if it had tripped: it rejects calls for its reset timeout, or
--for, then admits probes and closes when they succeed. An override is lifted.
To keep it open regardless of how calls end, use force-open.`},
	{breaker.VerbClose, "Close a breaker and reset its counts", `Close a breaker and reset its counts. It opens again when a rule is met. An
override is lifted. To keep it closed regardless of how calls end, use
force-closed.`},
	{breaker.VerbHalfOpen, "Let the next calls probe", `Let the next calls probe: the breaker closes when they succeed and opens again
when one fails. An override is lifted.`},
	{breaker.VerbForceOpen, "Reject every call until released, or for a time", `Reject every call until the override is released or expires. The automatic
state is kept behind it; if it is not closed, it then continues as half-open.`},
	{breaker.VerbForceClosed, "Admit every call until released, or for a time", `Admit every call until the override is released or expires. Behind it the
breaker continues to judge calls: status shows its automatic state.`},
	{breaker.VerbRelease, "Lift an override", `Lift an override. If the automatic state is not closed, the breaker continues
as half-open.`},
}

func orderCommands(g *globals) (cmds []*cobra.Command) {
	for _, v := range verbs {
		cmds = append(cmds, orderCommand(g, v))
	}
	return cmds
}

func orderCommand(g *globals, v verbInfo) *cobra.Command {
	var o orderFlags
	word := string(v.verb)
	override := v.verb == breaker.VerbForceOpen || v.verb == breaker.VerbForceClosed
	example := "  switchgear " + word + " payments --reason \"INC-42\""
	switch {
	case v.verb == breaker.VerbClose:
		example += "\n  switchgear close 'inventory/*' --state open --dry-run    all open keys of inventory"
	case override:
		example = "  switchgear " + word + " payments --for 30m --reason \"INC-42, vendor maintenance\"\n" +
			"  switchgear " + word + " 'inventory/*' --no-expiry --reason \"INC-42\" --dry-run"
	}
	cmd := &cobra.Command{
		Use:               word + " ID...",
		Short:             v.short,
		Long:              v.long + "\n\nSee \"switchgear help orders\" for what all orders have in common.",
		Example:           example,
		Args:              someIDs,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if override {
				if err := o.checkOverride(word); err != nil {
					return err
				}
			}
			if err := o.check(cmd); err != nil {
				return err
			}
			return g.carryOut(cmd, o.orders(v.verb, ids, nil), &o)
		},
	}
	o.define(cmd)
	o.defineState(cmd)
	if override {
		cmd.Flags().DurationVar(&o.limit, "for", 0, "how long the override lasts: a `time` such as 30m")
		cmd.Flags().BoolVar(&o.noExpiry, "no-expiry", false, "let it last until the override is released")
	} else if v.verb == breaker.VerbOpen {
		cmd.Flags().DurationVar(&o.limit, "for", 0, "how long it stays open: a `time` (default: its reset timeout)")
	}
	return cmd
}

func someIDs(cmd *cobra.Command, ids []string) error {
	if len(ids) == 0 {
		return usage("%s needs the id of a breaker, or name/* for the keys of a set", cmd.CommandPath())
	}
	return nil
}

// check refuses invalid numbers, instead of treating them like an absent flag.
func (o *orderFlags) check(cmd *cobra.Command) error {
	given := func(flag string) bool { f := cmd.Flag(flag); return f != nil && f.Changed }
	switch {
	case given("for") && o.limit <= 0:
		return usage("--for %s, want a time above 0", o.limit)
	case len(o.states) > 0 && o.ifVersion != 0:
		return usage("--state with --if-version, want one of them: a version has one state")
	case o.yes < 0:
		return usage("--yes %d, want the number of breakers that the order applies to", o.yes)
	case given("if-version") && o.ifVersion == 0:
		return usage("--if-version 0, want the version of a breaker, which is at least 1")
	}
	_, err := o.wanted()
	return err
}

func (o *orderFlags) checkOverride(word string) error {
	switch {
	case o.limit < 0:
		return usage("--for %s, want a time above 0", o.limit)
	case o.limit == 0 && !o.noExpiry:
		return usage("%s needs an end: --for 30m, or --no-expiry", word)
	case o.limit > 0 && o.noExpiry:
		return usage("%s has --for and --no-expiry, want one of them", word)
	case strings.TrimSpace(o.reason) == "":
		return usage("%s needs a --reason: other people will find the override", word)
	}
	return nil
}

// orders returns an order for each id.
func (o *orderFlags) orders(verb breaker.Verb, ids []string, settings []byte) []ops.Order {
	all := make([]ops.Order, len(ids))
	states, _ := o.wanted() // check has refused invalid values
	for i, id := range ids {
		all[i] = ops.Order{
			ID: id, Verb: verb, Actor: o.who(), Reason: o.reason, For: ops.Duration(o.limit),
			NoExpiry: o.noExpiry, States: states, IfVersion: o.ifVersion, Settings: settings,
		}
	}
	return all
}

func (o *orderFlags) who() string { return cmp.Or(o.actor, defaultActor()) }

func defaultActor() string {
	if name := os.Getenv("SWITCHGEAR_ACTOR"); name != "" {
		return name
	}
	return myName()
}

// myName returns the name of the user who runs this program, or the number.
func myName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

// plannedOrder is one order in one process.
type plannedOrder struct {
	target
	order   ops.Order
	receipt ops.Receipt
	err     error
}

// carryOut finds out what the orders apply to, asks for confirmation if that
// is more than one breaker, and gives them. If something is wrong with one of
// them, none is given.
func (g *globals) carryOut(cmd *cobra.Command, orders []ops.Order, o *orderFlags) error {
	ctx, cancel := g.bound(cmd)
	f, err := g.find(ctx)
	cancel()
	if err == nil {
		err = f.forOrders()
	}
	f.warn(cmd)
	if err != nil {
		return err
	}
	ctx, cancel = g.bound(cmd) // a process that hangs must not use up the time of the others
	plan, err := makePlan(ctx, cmd, &f, orders)
	cancel()
	if err != nil {
		return err
	}
	if o.dryRun {
		return g.report(cmd, &f, plan)
	}
	if countOf(plan) == 0 && !isMark(plan) && !isOfSets(plan) {
		return g.report(cmd, &f, plan)
	}
	if err := confirmed(cmd, plan, o); err != nil {
		return err
	}
	ctx, cancel = g.bound(cmd) // the answer may have taken a while
	defer cancel()
	return g.report(cmd, &f, give(ctx, plan))
}

// forOrders leaves out processes to which orders must not go: those of other
// users, which can choose any name. It is an error if a process that was named
// is not there, or belongs to another user and was not named by its path.
func (f *found) forOrders() error {
	if f.named && len(f.trouble) > 0 {
		return f.takeTrouble()
	}
	var others []error
	f.targets = slices.DeleteFunc(f.targets, func(t target) bool {
		if t.user() == "" {
			return false
		}
		path := ""
		switch t := t.(type) {
		case plane:
			path = t.path
		case pipe:
			path = "pipe:" + t.client.Input
		}
		others = append(others, fmt.Errorf("%s belongs to another user, want the path of its socket or pipe: -p %s", t.name(), path))
		return true
	})
	switch {
	case len(f.targets) == 0 && len(others) > 0:
		return &codeError{exitRefused, errors.Join(others...)}
	case f.named:
		f.maybe = append(f.maybe, others...)
	case len(others) == 1:
		f.maybe = append(f.maybe, others[0])
	case len(others) > 1:
		f.maybe = append(f.maybe, fmt.Errorf("%d processes of other users are left out: give them orders by their paths, see ps", len(others)))
	}
	return nil
}

// makePlan does a dry run of each order in each process. A process that was
// not named and does not answer is reported and left out.
func makePlan(ctx context.Context, cmd *cobra.Command, f *found, orders []ops.Order) (plan []plannedOrder, err error) {
	for _, o := range orders {
		dry := o
		dry.DryRun = true
		if err := dry.Check(); err != nil {
			return nil, &codeError{exitUsage, err}
		}
		var unknown, silent []error
		touches := false
		for _, a := range askAll(ctx, f.targets, func(ctx context.Context, t target) (ops.Receipt, error) { return t.do(ctx, dry) }) {
			switch {
			case a.err == nil:
				touches = true
				plan = append(plan, plannedOrder{target: a.target, order: o, receipt: a.value})
			case errors.Is(a.err, breaker.ErrUnknown) && !f.named:
				unknown = append(unknown, a.err)
			case exitCode(a.err) == exitUnreachable && !f.named && len(f.targets) > 1:
				silent = append(silent, within(f, a.target, a.err))
			default:
				return nil, within(f, a.target, a.err)
			}
		}
		for _, err := range silent {
			fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s\n", oneLine(err.Error()))
		}
		switch {
		case touches:
		case len(unknown) > 0:
			return nil, mergeUnknown(unknown)
		default:
			return nil, &codeError{exitUnreachable, errSilent}
		}
	}
	// The settings of a set have one version, whatever the number of its keys.
	ofSet := len(plan) == 1 && (orders[0].Verb == ops.VerbSet || orders[0].Verb == ops.VerbPromote)
	if n := countOf(plan); n > 1 && orders[0].IfVersion != 0 && !ofSet {
		return nil, usage("--if-version is for one breaker in one process, this order applies to %d: name one, with -p", n)
	}
	return plan, nil
}

// within adds the process to an error, if there are several processes.
func within(f *found, t target, err error) error {
	if f.short(t) == "" {
		return err
	}
	return &codeError{exitCode(err), wrapAt(t.name(), err)}
}

// countOf returns how many breakers the orders apply to.
func countOf(plan []plannedOrder) (n int) {
	for _, d := range plan {
		n += d.receipt.Matched
	}
	return n
}

// give gives all orders at once.
func give(ctx context.Context, plan []plannedOrder) []plannedOrder {
	done := slices.Clone(plan)
	together(len(done), func(i int) {
		d := &done[i]
		if d.order.Wildcard() {
			d.order.Confirm = d.receipt.Matched
		}
		d.receipt, d.err = d.do(ctx, d.order)
	})
	return done
}
