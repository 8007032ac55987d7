package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/demo"
)

func demoCommand() *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop whose servers are stopped, hung and slowed",
		Long: `Run a small shop on loopback: real HTTP servers, real clients behind breakers,
and traffic. One server is stopped, hung and slowed in turn, again and again;
each change of a breaker is told with its reason. The first lines say how to
look at it and change it from a second terminal.

It ends after --for, or by Ctrl-C, and removes everything that it made.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flag("for").Changed && limit <= 0 {
				return usage("--for %s, want a time above 0", limit)
			}
			out := newScreen(cmd.OutOrStdout())
			return demo.Run(cmd.Context(), demo.Config{Out: out, Width: out.width, For: limit})
		},
	}
	cmd.Flags().DurationVar(&limit, "for", 0, "end after this time (default: go on until Ctrl-C)")
	return cmd
}
