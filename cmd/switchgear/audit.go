package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/ops"
)

func auditCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show and check audit logs",
		Long: `An audit log is a file of JSON lines. There is one line for each order that a
process was given, including refused ones: who claimed to give it, who gave it
according to the kernel, and what it did; and one for each start of the
process. A program writes one if it names the file (ops.Options.Audit, or
audit_path in breaker.conf).`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditShowCommand(g), auditVerifyCommand(g))
	return cmd
}

func auditVerifyCommand(g *globals) *cobra.Command {
	var end string
	cmd := &cobra.Command{
		Use:                   "verify FILE...",
		DisableFlagsInUseLine: true,
		Short:                 "Check that no line of an audit log was changed",
		Long: `Check that no line of an audit log was edited, removed, inserted or moved: each
line contains the hash of the one before. If the log was rotated, name all of
its files, oldest first. FILE may be - for standard input.

A line that a crash left unfinished is not an error: it is the beginning of a
line, after which the log continues with the start of a process, or ends.

The files alone cannot show that lines were cut off at the end. Keep the last
hash or number, which this command prints, somewhere else, and give it as --end
the next time: the log must contain it, and may continue after it. Exit code 5
means that the log was edited or is damaged.`,
		Example: `  switchgear audit verify /var/log/shop/breakers.audit
  switchgear audit verify breakers.audit.2 breakers.audit.1 breakers.audit --end 1742
  switchgear audit verify --json - < breakers.audit | jq -r .ends`,
		Args: someFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := ops.VerifyAuditTo(end); err != nil && !errors.Is(err, ops.ErrAudit) {
				return &codeError{exitUsage, fmt.Errorf("--end: %w", err)}
			}
			report, err := verify(cmd, end, args)
			if err != nil && !errors.Is(err, ops.ErrAudit) {
				return err
			}
			if g.json {
				return errors.Join(err, writeJSON(cmd, auditResult{report, err == nil}))
			}
			printAudit(cmd, &report, len(args))
			return err
		},
	}
	cmd.Flags().StringVar(&end, "end", "", "a `hash or number` that the log must reach")
	return cmd
}

type auditResult struct {
	ops.AuditReport
	OK bool `json:"ok"`
}

// openLogs opens all files of an audit log, or none of them.
func openLogs(cmd *cobra.Command, paths []string) (files []io.Reader, closeAll func(), err error) {
	var opened []*os.File
	closeAll = func() {
		for _, f := range opened {
			f.Close()
		}
	}
	for _, path := range paths {
		if path == "-" {
			files = append(files, cmd.InOrStdin())
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			closeAll()
			return nil, nil, refused("%w", err)
		}
		opened = append(opened, f)
		files = append(files, f)
	}
	return files, closeAll, nil
}

// verify gives the error for an edited log its exit code.
func verify(cmd *cobra.Command, end string, paths []string) (ops.AuditReport, error) {
	files, closeAll, err := openLogs(cmd, paths)
	if err != nil {
		return ops.AuditReport{}, err
	}
	defer closeAll()
	report, err := ops.VerifyAuditTo(end, files...)
	var bad *ops.AuditError
	if errors.As(err, &bad) {
		at := paths[max(1, bad.File)-1]
		if bad.File == 0 { // it is not in a line, but at the end
			at = paths[len(paths)-1]
		}
		bad.File = 0 // the path says it
		err = &codeError{exitTampered, wrapAt(at, bad)}
	}
	return report, err
}

func printAudit(cmd *cobra.Command, r *ops.AuditReport, files int) {
	out := cmd.OutOrStdout()
	if r.Entries+r.Starts+r.Notices == 0 {
		fmt.Fprintln(out, "0 orders verified.")
		return
	}
	fmt.Fprintf(out, "%d orders verified, from %s to %s.\n", r.Entries, r.From.Local().Format(time.DateTime), r.To.Local().Format(time.DateTime))
	fmt.Fprintf(out, "Starts of the process: %d.\n", r.Starts)
	if r.Notices > 0 {
		fmt.Fprintf(out, "Notices of the process, of orders applied again and of recordings: %d.\n", r.Notices)
	}
	if r.Repeats > 0 {
		fmt.Fprintf(out, "%d more orders were refused like others, and are only counted.\n", r.Repeats)
	}
	if r.Missed > 0 {
		fmt.Fprintf(out, "%d orders could not be written when they were given.\n", r.Missed)
	}
	switch {
	case len(r.Torn) > 0 && files > 1:
		fmt.Fprintf(out, "Lines that a crash left unfinished: %d.\n", len(r.Torn))
	case len(r.Torn) > 0:
		fmt.Fprintf(out, "Lines that a crash left unfinished: %v.\n", r.Torn)
	}
	if r.Chains > 1 {
		fmt.Fprintf(out, "The process found no log when it started, and began a new chain: %d times. Whether\nlines are missing at the end of the previous file cannot be seen.\n", r.Chains-1)
	}
	if r.Begins != "" {
		fmt.Fprintf(out, "It continues a log that ends with %s.\n", plain.Text(r.Begins))
	}
	fmt.Fprintf(out, "The last hash is %s, its number %d.\n", r.Ends, r.Last)
}
