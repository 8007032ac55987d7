package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/demo"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/fleetdemo"
)

func demoCommand() *cobra.Command {
	var limit time.Duration
	var file string
	var ofFleet bool
	var store string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop whose servers are stopped, hung and slowed",
		Long: `Run a small shop on loopback: real HTTP servers, real clients behind breakers,
and traffic. One server is stopped, hung and slowed in turn, again and again;
each change of a breaker is printed with its cause. The first lines say how to
watch and change the breakers from a second terminal.

With --fleet it is a shop of six real processes in two zones whose breakers act
as one. One process's network, a zone's, the dependency and the store are broken
in turn. The store is part of the demo, unless --redis names one.

It ends after --for, or with Ctrl-C, and removes everything that it created,
except for the recording of its calls that --record asks for.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flag("for").Changed && limit <= 0 {
				return usage("--for %s, want a time above 0", limit)
			}
			if store != "" && !ofFleet {
				return usage("--redis without --fleet, want both")
			}
			out := newScreen(cmd.OutOrStdout())
			if ofFleet && file != "" {
				return usage("--record with --fleet, want one of them")
			}
			if ofFleet {
				return fleetdemo.Run(cmd.Context(), fleetdemo.Config{Out: out, For: limit, Redis: store, Members: 6})
			}
			return demo.Run(cmd.Context(), demo.Config{Out: out, Width: out.width, For: limit, Record: file})
		},
	}
	cmd.Flags().DurationVar(&limit, "for", 0, "end after this time (default: run until Ctrl-C)")
	cmd.Flags().StringVar(&file, "record", "", "write a recording of its calls to this `file`, to be replayed")
	cmd.Flags().Lookup("record").NoOptDefVal = "demo.sgr"
	cmd.Flags().BoolVar(&ofFleet, "fleet", false, "a shop of several processes that act as one")
	cmd.Flags().StringVar(&store, "redis", "", "the `URL` of the store of --fleet, such as redis://127.0.0.1:6379")
	return cmd
}
