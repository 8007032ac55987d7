package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/ops"
)

// completionPatience is the longest that the tab key may take.
const completionPatience = time.Second

const mostCompletions = 500

// completeIDs offers the ids that the processes know.
func (g *globals) completeIDs(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience/2)
	f, _ := g.find(ctx) // answers of some processes are enough
	cancel()
	var out []cobra.Completion
	seen := map[string]bool{}
	offer := func(id, what string) {
		// An id that is not plain cannot be typed, and must not reach the
		// shell.
		if strings.HasPrefix(id, begun) && !seen[id] && len(out) < mostCompletions && plain.Text(id) == id {
			seen[id] = true
			out = append(out, cobra.CompletionWithDesc(id, what))
		}
	}
	ctx, cancel = context.WithTimeout(cmd.Context(), completionPatience/2)
	defer cancel()
	text := strings.TrimSuffix(begun, "/*")
	for _, a := range askAll(ctx, f.targets, func(ctx context.Context, t target) ([]ops.Status, error) { return t.matching(ctx, text) }) {
		for _, s := range a.value {
			if s.ID != s.Name {
				offer(s.Name+"/*", "all keys")
			}
			offer(s.ID, s.State.String())
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeSet offers an id first and then the keys of settings.
func (g *globals) completeSet(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return g.completeIDs(cmd, args, begun)
	}
	var out []cobra.Completion
	for key, value := range (breaker.Settings{}).WithDefaults().All() {
		if strings.HasPrefix(key, begun) {
			out = append(out, cobra.CompletionWithDesc(key+"=", "default "+cmp.Or(value, "0")))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func completeProcesses(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	var out []cobra.Completion
	for _, x := range ops.Processes(ctx) {
		if x.Process != nil {
			out = append(out, cobra.CompletionWithDesc(stem(&x), nameOf(x.Process.Service, userOf(x.UID))))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
