package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/ops"
)

// The exit codes, for scripts.
const (
	exitDone        = 0
	exitRefused     = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitPartly      = 4
	exitTampered    = 5
)

const exitCodesText = `For scripts:

  0  done
  1  refused: an unknown id, a version that has changed, or an order that was
     not confirmed or not permitted; nothing was changed
  2  usage: the command line is invalid; nothing was asked or changed
  3  unreachable: the process does not exist or did not answer in time
  4  partly: done in some processes or breakers, but not in all
  5  the audit log does not verify: it was edited or is damaged

Errors are printed as one line on standard error.`

// codeError is an error that determines the exit code.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

func refused(format string, args ...any) error {
	return &codeError{exitRefused, fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) error {
	return &codeError{exitUsage, fmt.Errorf(format, args...)}
}

func unreachable(format string, args ...any) error {
	return &codeError{exitUnreachable, fmt.Errorf(format, args...)}
}

// exitCode returns the exit code for the error of a command.
func exitCode(err error) int {
	var coded *codeError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, ops.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable
	default:
		return exitRefused
	}
}

// exactly is cobra.ExactArgs with one clear line: want says what is missing.
func exactly(n int, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usage("%s needs %s, as in: %s", cmd.CommandPath(), want, cmd.UseLine())
		case len(args) > n:
			return usage("%s takes %s and no more, not %q", cmd.CommandPath(), want, args[n])
		}
		return nil
	}
}

// nothing is cobra.NoArgs with one clear line.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no %q (see %s --help)", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}
