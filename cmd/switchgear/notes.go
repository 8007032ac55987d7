package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/ops"
)

func extendCommand(g *globals) *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "extend ID... TIME",
		Short: "Add a time to the end of an override",
		Long: `Add TIME to the end of an override: one that would end at 15:00 ends at 15:30
after "extend ID 30m". The override keeps its reason, unless --reason gives a
new one, and from then on you are its actor. With name/* the order applies to
the keys that have an override with an end.

See "switchgear help orders" for what all orders have in common.`,
		Example: `  switchgear extend payments 30m
  switchgear extend 'inventory/*' 1h --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage("switchgear extend needs an id and a time, as in: switchgear extend payments 30m")
			}
			return nil
		},
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, text := args[:len(args)-1], args[len(args)-1]
			by, err := time.ParseDuration(text)
			if err != nil || by <= 0 {
				return usage("extend by %q, want a time above 0 after the ids, such as 30m", text)
			}
			o.limit = by
			if err := o.check(cmd); err != nil {
				return err
			}
			return g.carryOut(cmd, o.orders(ops.VerbExtend, ids, nil), &o)
		},
	}
	o.define(cmd)
	o.defineState(cmd)
	return cmd
}

func noteCommand(g *globals) *cobra.Command {
	var o orderFlags
	var clearAll bool
	cmd := &cobra.Command{
		Use:   "note ID TEXT",
		Short: "Put a note on a breaker",
		Long: `Put a note on a breaker: other people see it in status, explain, top and on the
dashboard, with who wrote it and when. A breaker keeps its newest five notes
until the process ends; the audit log keeps them all. --clear removes them.`,
		Example: `  switchgear note payments "flaky since the 14:00 deployment, see INC-42"
  switchgear note payments --clear`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case clearAll && len(args) != 1:
				return usage("switchgear note --clear needs the id of a breaker and nothing else")
			case !clearAll && len(args) != 2:
				return usage("switchgear note needs the id of a breaker and a text in quotes, as in: switchgear note payments \"see INC-42\"")
			case !clearAll && strings.TrimSpace(args[1]) == "":
				return usage("switchgear note without a text, want one, or --clear to remove the notes")
			}
			return nil
		},
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !clearAll {
				o.reason = args[1]
			}
			return g.carryOut(cmd, o.orders(ops.VerbNote, args[:1], nil), &o)
		},
	}
	o.defineCommon(cmd)
	cmd.Flags().BoolVar(&clearAll, "clear", false, "remove all notes")
	return cmd
}

func ackCommand(g *globals) *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "ack ID...",
		Short: "Say that you are looking after a breaker that is not closed",
		Long: `Acknowledge that a breaker is not closed, so that others see that you are looking
after it. It changes nothing else, and ends when the breaker closes. With name/*
it applies to the keys that are not closed.`,
		Example: `  switchgear ack payments --reason "looking into it"
  switchgear ack 'inventory/*' --yes 3`,
		Args:              someIDs,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return g.carryOut(cmd, o.orders(ops.VerbAck, ids, nil), &o)
		},
	}
	o.defineCommon(cmd)
	cmd.Flags().StringVar(&o.reason, "reason", "", "a message for others, in your own `words`")
	o.defineState(cmd)
	return cmd
}

func markCommand(g *globals) *cobra.Command {
	var o orderFlags
	id := ""
	cmd := &cobra.Command{
		Use:   "mark TEXT",
		Short: "Put a mark on the timeline, such as for a deployment",
		Long: `Put a mark on the timeline of each process: something that happens now outside
the breakers, such as a deployment. A mark is an event and is written to the
audit log. It changes nothing.`,
		Example: `  switchgear mark "deploy v1.42" -p shop --actor ci
  switchgear mark "new endpoint" --id payments`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
				return usage("switchgear mark needs a text in quotes, as in: switchgear mark \"deploy v1.42\"")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.reason = args[0]
			return g.carryOut(cmd, o.orders(ops.VerbMark, []string{cmp.Or(id, "*")}, nil), &o)
		},
	}
	o.defineCommon(cmd)
	cmd.Flags().StringVar(&id, "id", "", "the `id` of the breaker or set that the mark is about")
	return cmd
}
