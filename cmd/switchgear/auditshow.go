package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// auditFilter selects the entries that audit show shows.
type auditFilter struct {
	id, actor, since string
	from             time.Time
	dryRuns          bool
}

func auditShowCommand(g *globals) *cobra.Command {
	var f auditFilter
	cmd := &cobra.Command{
		Use:                   "show FILE...",
		DisableFlagsInUseLine: true,
		Short:                 "Show who ordered what, when and why",
		Long: `Show the entries of audit logs: who ordered what, when, why and with what
result, and the starts of processes. The entries of several files, of one or
several processes, are sorted by time. FILE may be - for standard input.

--id shows the orders for one breaker, including those for name/* and *; with
name/*, those for the set and each of its keys. --since is how long ago (2h), or
a date and time (2026-01-31 15:04, or as in RFC 3339).

Dry runs that were not refused are left out, unless --dry-runs is given: this
program makes a dry run before each order.

An edited line is shown and reported on standard error, and the exit code is 5.
Use "switchgear audit verify" for a full check: it also detects missing lines.`,
		Example: `  switchgear audit show /var/log/shop/*.audit --since 2h
  switchgear audit show breakers.audit.1 breakers.audit --id payments --actor ana`,
		Args: someFiles,
		RunE: func(cmd *cobra.Command, paths []string) error {
			var err error
			if f.from, err = sinceTime(f.since, time.Now()); err != nil {
				return err
			}
			entries, err := f.read(cmd, paths)
			var edited *ops.AuditError
			if err != nil && !errors.As(err, &edited) {
				return err
			}
			if g.json {
				return errors.Join(err, writeJSON(cmd, entries))
			}
			if len(entries) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "No entry matches.")
				return err
			}
			return errors.Join(err, printTable(cmd, auditTable(entries)))
		},
	}
	cmd.Flags().StringVar(&f.id, "id", "", "only orders for this `id`, or name/*")
	cmd.Flags().StringVar(&f.actor, "actor", "", "only orders of this `actor`")
	cmd.Flags().BoolVar(&f.dryRuns, "dry-runs", false, "also show dry runs")
	cmd.Flags().StringVar(&f.since, "since", "", "only entries from this `time` on, such as 2h or \"2026-01-31 15:04\"")
	return cmd
}

// someFiles requires the files of an audit log.
func someFiles(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage("%s needs the files of an audit log, as in: %s", cmd.CommandPath(), cmd.UseLine())
	}
	return nil
}

// sinceTime parses --since.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("--since %q, want how long ago, such as 2h, or a date such as \"2026-01-31 15:04\"", text)
}

// read returns the entries that match, in the order of their times. An edited
// line is an error that does not end reading.
func (f *auditFilter) read(cmd *cobra.Command, paths []string) (out []ops.AuditEntry, err error) {
	out = []ops.AuditEntry{}
	files, closeAll, err := openLogs(cmd, paths)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	var edited error
	for i, file := range files {
		for e, err := range ops.ReadAudit(file) {
			var bad *ops.AuditError
			switch {
			case errors.As(err, &bad):
				bad.File = 0 // the path says it
				edited = errors.Join(edited, wrapAt(paths[i], bad))
			case err != nil:
				return nil, refused("%s: %w", paths[i], err)
			}
			if f.matches(&e) {
				out = append(out, e)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b ops.AuditEntry) int { return a.Time.Compare(b.Time) })
	if edited != nil {
		return out, &codeError{exitTampered, edited}
	}
	return out, nil
}

func (f *auditFilter) matches(e *ops.AuditEntry) bool {
	return !e.Time.Before(f.from) &&
		(f.dryRuns || !e.Order.DryRun || e.Error != "") &&
		(f.actor == "" || e.Order.Actor == f.actor) &&
		(f.id == "" || concerns(e.Order.ID, f.id))
}

// concerns reports whether an order for one id also applies to the other.
func concerns(ordered, id string) bool {
	if ordered == id || ordered == "*" || id == "*" && ordered != "" {
		return true
	}
	for _, x := range [][2]string{{ordered, id}, {id, ordered}} {
		if set, wild := strings.CutSuffix(x[0], "/*"); wild && strings.HasPrefix(x[1], set+"/") {
			return true
		}
	}
	return false
}

func auditTable(entries []ops.AuditEntry) *table.Table {
	t := &table.Table{Columns: []table.Column{
		{Title: "TIME"},
		{Title: "PROCESS", Drop: 3},
		{Title: "WHO"},
		{Title: "FROM", Optional: true, Drop: 2},
		{Title: "ORDER", Min: 16},
		{Title: "RESULT", Min: 12},
		{Title: "REASON", Optional: true, Min: 12, Drop: 1},
	}}
	for i := range entries {
		e := &entries[i]
		t.Rows = append(t.Rows, []table.Cell{
			table.Plain(e.Time.Local().Format("2006-01-02 15:04:05")),
			table.Plain(fmt.Sprintf("%s/%d", e.Service, e.PID)),
			table.Plain(e.Order.Actor), table.Plain(peerText(&e.Peer)),
			table.Plain(orderText(&e.Order)), table.Plain(resultText(e)), table.Plain(e.Order.Reason),
		})
	}
	return t
}

// peerText says who sent the order according to the transport, in addition to
// the order's actor.
func peerText(p *ops.Peer) string {
	switch {
	case p.UID != nil:
		return fmt.Sprintf("%s uid %d", p.Transport, *p.UID)
	case p.Addr != "":
		return p.Transport + " " + p.Addr
	case p.Transport == "program":
		return ""
	}
	return p.Transport
}

func orderText(o *ops.Order) string {
	text := strings.TrimSpace(string(o.Verb) + " " + o.ID)
	if len(o.States) > 0 {
		text += fmt.Sprintf(" if %v", o.States)
	}
	if o.For > 0 {
		text += " for " + view.Short(time.Duration(o.For))
	}
	if o.Shadow != "" {
		text += " " + o.Shadow
	}
	if len(o.Settings) > 0 {
		text += " " + string(o.Settings)
	}
	if o.DryRun {
		text += " (dry run)"
	}
	return text
}

func resultText(e *ops.AuditEntry) string {
	switch {
	case e.Start:
		return "the process started"
	case e.Notice != "":
		return "found at the start: " + e.Notice
	case e.Error != "" && e.Repeats > 0:
		return fmt.Sprintf("refused %d times: %s", e.Repeats, e.Error)
	case e.Error != "":
		return "refused: " + e.Error
	case e.Receipt == nil:
		return ""
	case len(e.Receipt.Results) == 1 && e.Receipt.Failed == 0:
		r := &e.Receipt.Results[0]
		if r.SettingsBefore != nil && r.SettingsAfter != nil && e.Receipt.Touched > 0 {
			return settingsChanged(r.SettingsBefore, r.SettingsAfter)
		}
		if e.Order.Shadow != "" {
			return "done" // the state says nothing about it
		}
		return fmt.Sprintf("%s -> %s", r.Before, r.After)
	}
	text := fmt.Sprintf("%d of %d changed", e.Receipt.Touched, e.Receipt.Matched)
	if e.Receipt.SetBefore != nil && e.Receipt.SetAfter != nil {
		text += ": " + settingsChanged(e.Receipt.SetBefore, e.Receipt.SetAfter)
	}
	if e.Receipt.Failed > 0 {
		text += fmt.Sprintf(", %d failed", e.Receipt.Failed)
	}
	return text
}
