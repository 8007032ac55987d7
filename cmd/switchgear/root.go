package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/internal/version"
)

// run is the program without its process. It prints only plain text, whatever
// other processes answer (see package plain).
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, end := context.WithCancel(ctx)
	defer end()
	out, through := newOutput(stdout, end)
	errs := plain.Writer{W: stderr}
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(through)
	root.SetErr(errs)
	err := out.result(root.ExecuteContext(ctx))
	if err != nil && !errors.Is(err, errSilent) {
		fmt.Fprintf(errs, "switchgear: %s\n", oneLine(err.Error()))
	}
	return exitCode(err)
}

// oneLine keeps an error on one line, whatever it quotes.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	return strings.Join(strings.Fields(text), " ")
}

func rootCommand() *cobra.Command {
	cobra.EnableCommandSorting = false
	g := &globals{}
	root := &cobra.Command{
		Use:   "switchgear",
		Short: "See and operate the circuit breakers of running processes",
		Long: `See and operate the circuit breakers of running processes.

Without -p, a command applies to all processes of this host that have opened
their socket (Plane.Listen in their program). See "switchgear help processes"
for other ways to reach them, and "switchgear help orders" about orders.`,
		Example: `  switchgear status                     every breaker of this host, the worst first
  switchgear explain payments           why is it open, and what happens next?
  switchgear force-open payments --for 30m --reason "vendor maintenance"
  switchgear release payments
  switchgear top                        live
  switchgear demo                       a shop to try it on`,
		Version:           version.Text(),
		Args:              noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return g.check() },
		SilenceUsage:      true,
		SilenceErrors:     true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	g.define(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w (see %s --help)", err, cmd.CommandPath())
	})
	look := &cobra.Group{ID: "look", Title: "Look:"}
	order := &cobra.Group{ID: "order", Title: "Order:"}
	replays := &cobra.Group{ID: "replay", Title: "Replay:"}
	more := &cobra.Group{ID: "more", Title: "More:"}
	root.AddGroup(look, order, replays, more)
	add := func(group *cobra.Group, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group.ID
			c.DisableFlagsInUseLine = true
			root.AddCommand(c)
		}
	}
	add(look, psCommand(g), statusCommand(g), explainCommand(g), historyCommand(g), timelineCommand(g), settingsCommand(g), watchCommand(g), topCommand(g), fleetCommand(g), consoleCommand(g))
	add(order, orderCommands(g)...)
	add(order, extendCommand(g), setCommand(g), noteCommand(g), ackCommand(g), markCommand(g))
	add(replays, recordCommand(g), replayCommand(g), tuneCommand(g), shadowCommand(g), promoteCommand(g))
	add(more, notifyCommand(g), auditCommand(g), demoCommand(), manCommand())
	root.SetHelpCommandGroupID(more.ID)
	root.SetCompletionCommandGroupID(more.ID)
	root.AddCommand(helpTopics()...)
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(),
		"{{rpad .CommandPath .CommandPathPadding}}", "switchgear help {{rpad .Name .NamePadding}}", 1) + footer)
	return root
}

// noSuchCommand names the nearest commands on one line.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see switchgear --help"
	cmd.SuggestionsMinimumDistance = max(1, len(args[0])/3)
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage("unknown command %q, %s", args[0], hint)
}
