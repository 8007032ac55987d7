package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/demo"
)

func demoCommand() *cobra.Command {
	var limit time.Duration
	var file string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop whose servers are stopped, hung and slowed",
		Long: `Run a small shop on loopback: real HTTP servers, real clients behind breakers,
and traffic. One server is stopped, hung and slowed in turn, again and again;
each change of a breaker is printed with its cause. The first lines say how to
watch and change the breakers from a second terminal.

It ends after --for, or with Ctrl-C, and removes everything that it created,
except for the recording of its calls that --record asks for.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flag("for").Changed && limit <= 0 {
				return usage("--for %s, want a time above 0", limit)
			}
			out := newScreen(cmd.OutOrStdout())
			return demo.Run(cmd.Context(), demo.Config{Out: out, Width: out.width, For: limit, Record: file})
		},
	}
	cmd.Flags().DurationVar(&limit, "for", 0, "end after this time (default: run until Ctrl-C)")
	cmd.Flags().StringVar(&file, "record", "", "write a recording of its calls to this `file`, to be replayed")
	cmd.Flags().Lookup("record").NoOptDefVal = "demo.sgr"
	return cmd
}
