package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit codes, for scripts.
const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

// run is the program without its process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "switchgear: %v\n", err)
		return exitRefused
	}
	return exitDone
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "switchgear",
		Short:         "See and operate the circuit breakers of running processes",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand())
	return root
}
