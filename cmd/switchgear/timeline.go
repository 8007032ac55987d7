package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/page"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func timelineCommand(g *globals) *cobra.Command {
	var since, html string
	var ids []string
	cmd := &cobra.Command{
		Use:   "timeline",
		Short: "Show what happened to all breakers, in order, with who and why",
		Long: `Show what happened in all processes, oldest first: transitions, overrides and
their ends, orders, changes of settings, and reports of the programs, with who
did it and why. An order for one breaker is shown as the transition it caused.

A process keeps its past events in bounded memory. The breaker with the most
events loses its oldest ones first, so one that flaps does not push out the
others. If events may be missing, a remark says so.

--html writes a single page that needs no other file and no network, with a
timeline for each breaker: for an incident report, or to send to others.`,
		Example: `  switchgear timeline --since 1h
  switchgear timeline --since 2026-01-02T03:00:00Z --id payments --id 'inventory/*'
  switchgear timeline --since 8h --html incident.html`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			from, err := startOf(since, now)
			if err != nil {
				return err
			}
			f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) (ops.Timeline, error) {
				p, ok := t.(plane)
				if !ok {
					return ops.Timeline{}, refused("%s is a pipe, which has no timeline; name the socket or the URL of the process", t.name())
				}
				return p.client.Timeline(ctx, from, ids...)
			})
			if len(answers) == 0 {
				return err
			}
			var all []view.Happening
			var gaps []gap
			for _, a := range answers {
				if !a.value.CompleteSince.IsZero() {
					gaps = append(gaps, gap{a.name(), a.value.CompleteSince})
				}
				for _, e := range a.value.Events {
					all = append(all, view.Happening{Process: a.name(), Event: e})
				}
			}
			all = view.Merge(all)
			if html != "" {
				return errors.Join(err, writePage(cmd, html, &page.Incident{From: from, To: now, IDs: ids, Events: all, Gaps: remarks(gaps)}))
			}
			if g.json {
				return errors.Join(err, writeJSON(cmd, struct {
					Events []view.Happening `json:"events"`
					Gaps   []gap            `json:"gaps,omitempty"`
				}{append([]view.Happening{}, all...), gaps}))
			}
			for _, text := range remarks(gaps) {
				fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s\n", text)
			}
			if len(all) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "Nothing has happened since %s.\n", view.Clock(from))
				return err
			}
			return errors.Join(err, printTable(cmd, view.Timeline(all, f.short(answers[0]) != "")))
		},
	}
	cmd.Flags().StringVar(&since, "since", "1h", "how `long` ago to start, or the time, such as 2026-01-02T15:04:05Z")
	cmd.Flags().StringArrayVar(&ids, "id", nil, "show only this `id`, or name/* for the keys of a set; may be repeated")
	cmd.Flags().StringVar(&html, "html", "", "write an HTML page to this `file` (- is standard output)")
	_ = cmd.RegisterFlagCompletionFunc("id", g.completeIDs)
	return cmd
}

// gap returns a remark if events of a process may be missing.
type gap struct {
	Process string    `json:"process"`
	Before  time.Time `json:"before"`
}

func remarks(gaps []gap) (out []string) {
	for _, x := range gaps {
		out = append(out, fmt.Sprintf("%s: events before %s may be missing", plain.Text(x.Process), view.Clock(x.Before)))
	}
	return out
}

// startOf parses --since.
func startOf(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil && at.Before(now) {
			return at, nil
		}
	}
	return time.Time{}, usage("--since %q, want how long ago, such as 1h30m, or a past time such as \"2026-01-02 15:04\" or 2026-01-02T15:04:05Z", text)
}

// writePage writes the page completely or not at all.
func writePage(cmd *cobra.Command, path string, incident *page.Incident) error {
	var text bytes.Buffer
	if err := incident.Write(&text); err != nil {
		return err
	}
	if path == "-" {
		_, err := cmd.OutOrStdout().Write(text.Bytes())
		return err
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil { //nolint:gosec // it is for others to read
		return refused("%w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s has %d events.\n", plain.Text(path), len(incident.Events))
	return nil
}
