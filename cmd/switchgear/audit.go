package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/ops"
)

func auditCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check an audit log",
		Long: `An audit log is a file of JSON lines, one for each order that a process was
given, refused ones too: who claimed to give it, who the kernel says gave it,
what it did. A program keeps one when it names the file (ops.Options.Audit, or
audit_path in breaker.conf).`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditVerifyCommand(g))
	return cmd
}

func auditVerifyCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:                   "verify FILE",
		DisableFlagsInUseLine: true,
		Short:                 "Check that no line of an audit log was changed",
		Long: `Check that no line of an audit log was changed, taken out, put in or moved: each
carries the hash of the one before. FILE may be - for the standard input.

Lines cut off at the end do not show in the file: keep the last hash, which this
prints, somewhere else, and compare. Exit status 5 means that the log does not
hold together.`,
		Example: `  switchgear audit verify /var/log/shop/breakers.audit
  switchgear audit verify --json - < breakers.audit | jq -r .ends`,
		Args: exactly(1, "the file of an audit log"),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := verify(cmd, args[0])
			if err != nil && !errors.Is(err, ops.ErrAudit) {
				return err
			}
			if g.json {
				return errors.Join(err, writeJSON(cmd, auditResult{report, err == nil}))
			}
			printAudit(cmd, &report)
			return err
		},
	}
}

type auditResult struct {
	ops.AuditReport
	OK bool `json:"ok"`
}

// verify gives a log that was tampered with its exit code.
func verify(cmd *cobra.Command, path string) (ops.AuditReport, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return ops.AuditReport{}, refused("%w", err)
		}
		defer f.Close()
		in = io.Reader(f)
	}
	report, err := ops.VerifyAudit(in)
	if errors.Is(err, ops.ErrAudit) {
		err = &codeError{exitTampered, wrapAt(path, err)}
	}
	return report, err
}

func printAudit(cmd *cobra.Command, r *ops.AuditReport) {
	out := cmd.OutOrStdout()
	if r.Entries == 0 {
		fmt.Fprintln(out, "0 orders hold together.")
		return
	}
	fmt.Fprintf(out, "%d orders hold together, from %s to %s.\n", r.Entries, r.From.Local().Format(time.DateTime), r.To.Local().Format(time.DateTime))
	if r.Missed > 0 {
		fmt.Fprintf(out, "%d orders could not be written when they were given.\n", r.Missed)
	}
	if len(r.Torn) > 0 {
		fmt.Fprintf(out, "Lines that a crash left unfinished: %v.\n", r.Torn)
	}
	if r.Begins != "" {
		fmt.Fprintf(out, "It follows a log that ends with %s.\n", r.Begins)
	}
	fmt.Fprintf(out, "The last hash is %s.\n", r.Ends)
}
