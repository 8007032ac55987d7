package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func explainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say in two sentences why a breaker is in its state, and what happens next",
		Long: `Say in two sentences why a breaker is in its state, since when, and what happens
next. Below them are who looks after it, the notes on it, the last errors with
their traces, and its owner, runbook and dashboard, as far as they are known.
Every process that knows the ID is asked.`,
		Example: `  switchgear explain payments
  switchgear explain inventory/acme -p shop`,
		Args:              exactly(1, "the id of a breaker"),
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) (ops.Explanation, error) { return t.explain(ctx, ids[0]) })
			type explanation struct {
				Process string `json:"process"`
				ops.Explanation
			}
			var out []explanation
			for _, a := range answers {
				out = append(out, explanation{a.name(), a.value})
			}
			if g.json && len(out) > 0 {
				return errors.Join(err, writeJSON(cmd, out))
			}
			for i, e := range out {
				where := ""
				if f.short(answers[i]) != "" {
					where = e.Process + ": "
				}
				fmt.Fprintln(cmd.OutOrStdout(), plain.Text(where+e.Explain))
				for _, fact := range view.Facts(&e.Explanation) {
					fmt.Fprintln(cmd.OutOrStdout(), "  "+plain.Text(fact))
				}
			}
			return err
		},
	}
}

func historyCommand(g *globals) *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use:   "history ID",
		Short: "Show the past transitions of a breaker, and why they happened",
		Long: `Show the transitions that a breaker remembers (the last 32), oldest first: the
states before and after, and the cause. With --json each transition has all its
details: counts, the newest errors, the open time, the attempt.`,
		Example: `  switchgear history payments
  switchgear history payments -n 5 --json`,
		Args:              exactly(1, "the id of a breaker"),
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			if most < 1 {
				return usage("-n %d, want 1 or more", most)
			}
			f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) (ops.History, error) { return t.history(ctx, ids[0]) })
			type history struct {
				Process string `json:"process"`
				ops.History
			}
			var out []history
			for _, a := range answers {
				h := a.value
				h.Transitions = h.Transitions[max(0, len(h.Transitions)-most):]
				out = append(out, history{a.name(), h})
			}
			if g.json && len(out) > 0 {
				return errors.Join(err, writeJSON(cmd, out))
			}
			for i, h := range out {
				if f.short(answers[i]) != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s:\n", plain.Text(h.Process))
				}
				if len(h.Transitions) == 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "%s has always been closed.\n", plain.Text(h.ID))
					continue
				}
				err = errors.Join(err, printTable(cmd, view.History(h.Transitions)))
			}
			return err
		},
	}
	cmd.Flags().IntVarP(&most, "lines", "n", 32, "show only the newest `count`")
	return cmd
}
