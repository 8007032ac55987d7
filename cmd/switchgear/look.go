package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

// errSilent ends a command whose errors have been printed already.
var errSilent = errors.New("already printed")

// writeJSON writes v for programs.
func writeJSON(cmd *cobra.Command, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(plain.JSON(append(text, '\n')))
	return err
}

// lookAt asks every process that the command line selects, and reports those
// that could not be asked.
func lookAt[T any](g *globals, cmd *cobra.Command, ask func(context.Context, target) (T, error)) (found, []answer[T], error) {
	ctx, cancel := g.bound(cmd)
	f, err := g.find(ctx)
	cancel()
	f.warn(cmd)
	if err != nil {
		return f, nil, err
	}
	ctx, cancel = g.bound(cmd) // a process that hangs must not use up the time of the others
	defer cancel()
	good, err := collect(cmd, &f, askAll(ctx, f.targets, ask))
	return f, good, err
}

// collect keeps the answers and combines the errors into one. An id that one
// process knows need not be known to the others. If some processes answered
// and some did not, the exit code says so; a refusal counts as an answer.
func collect[T any](cmd *cobra.Command, f *found, all []answer[T]) (good []answer[T], err error) {
	var unknown, bad []error
	silent := len(f.trouble) + len(f.maybe)
	for _, a := range all {
		switch {
		case a.err == nil:
			good = append(good, a)
			continue
		case errors.Is(a.err, breaker.ErrUnknown) && !f.named:
			unknown = append(unknown, a.err)
			continue
		case exitCode(a.err) == exitUnreachable:
			silent++
		}
		if len(all) > 1 {
			a.err = wrapAt(a.name(), a.err)
		}
		bad = append(bad, a.err)
	}
	whole := silent == 0 && len(bad) == 0
	switch {
	case whole && len(good) == 0:
		return nil, mergeUnknown(unknown)
	case whole:
		return good, nil
	case len(all) == 1 && len(bad) == 1 && len(f.trouble)+len(f.maybe) == 0:
		return nil, bad[0]
	}
	if len(good) == 0 && len(unknown) > 0 {
		bad = append(bad, mergeUnknown(unknown))
	}
	code := exitUnreachable
	for _, err := range bad {
		fmt.Fprintf(cmd.ErrOrStderr(), "switchgear: %s\n", oneLine(err.Error()))
		if exitCode(err) != exitUnreachable {
			code = exitRefused
		}
	}
	if len(good) > 0 || code == exitRefused && silent > 0 {
		code = exitPartly
	}
	return good, &codeError{code, errSilent}
}

// mergeUnknown combines the errors for an id that no process knows.
func mergeUnknown(all []error) error {
	var one *breaker.UnknownError
	for _, err := range all {
		u := unknownOf(err)
		switch {
		case u == nil:
		case one == nil:
			one = &breaker.UnknownError{ID: u.ID, Near: slices.Clone(u.Near)}
		default:
			for _, id := range u.Near {
				if !slices.Contains(one.Near, id) && len(one.Near) < 3 {
					one.Near = append(one.Near, id)
				}
			}
		}
	}
	if one == nil {
		return all[0]
	}
	return one
}

// unknownOf returns the error for an unknown id as it came from another
// process.
func unknownOf(err error) *breaker.UnknownError {
	var reply *ops.Error
	if !errors.As(err, &reply) || reply.Code != "unknown" {
		return nil
	}
	return &breaker.UnknownError{ID: reply.ID, Near: reply.Near}
}

// processStatus is one process's part of status in JSON.
type processStatus struct {
	Process  string       `json:"process"`
	Breakers []ops.Status `json:"breakers"`
}

func statusCommand(g *globals) *cobra.Command {
	var sort string
	var keys bool
	cmd := &cobra.Command{
		Use:   "status [ID...]",
		Short: "Show breakers, the worst first",
		Long: `Show breakers, the worst first: what each does with the next call, since when,
what happens next, and why.

  STATE              the state that applies to the next call
  AUTO               the automatic state, if it is behind an override
  SINCE              how long it has been in this state
  NEXT               what happens next, and when
  60s OK/FAIL/REJ    calls of the last minute that succeeded, failed, and were
                     rejected, if the process counts calls
  WINDOW N/FAIL/SLOW what the window of its rates holds
  TRIPS/24h          how often it opened automatically
  WHY                why it is in this state

Empty columns are left out, and so are the least important ones if the terminal
is too narrow. The keys of a set are added up on one line, followed by up to
five that are not healthy; --keys shows them all. An ID is a name, or name/key,
or name/* for all keys of a set.`,
		Example: `  switchgear status
  switchgear status payments
  switchgear status 'inventory/*' --sort trips
  switchgear status --json | jq '.[].breakers[] | select(.state == "open") | .id'`,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			by, err := orderOf(sort)
			if err != nil {
				return err
			}
			return g.status(cmd, ids, by, keys)
		},
	}
	defineSort(cmd, &sort)
	cmd.Flags().BoolVar(&keys, "keys", false, "show each key of each set")
	return cmd
}

func defineSort(cmd *cobra.Command, sort *string) {
	var names []string
	for _, o := range view.Orders {
		names = append(names, string(o))
	}
	cmd.Flags().StringVar(sort, "sort", names[0], "sort by "+strings.Join(names, ", "))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

func orderOf(name string) (view.Order, error) {
	if !slices.Contains(view.Orders, view.Order(name)) {
		return "", usage("--sort %s, want one of %v", name, view.Orders)
	}
	return view.Order(name), nil
}

func (g *globals) status(cmd *cobra.Command, ids []string, by view.Order, keys bool) error {
	var page view.Page
	var out []processStatus
	omitted := 0
	if len(ids) == 0 && !keys && !g.json {
		f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) (overview, error) { return t.overview(ctx) })
		for _, a := range answers {
			page.AddOverview(a.name(), &a.value.Overview, a.value.plots, nil)
			omitted += a.value.Omitted
		}
		f.owners(&page)
		return show(cmd, &f, page.Lines(by, ""), omitted, err)
	}
	f, answers, err := lookAt(g, cmd, func(ctx context.Context, t target) ([]ops.Status, error) { return statusOf(ctx, t, ids) })
	for _, a := range answers {
		page.Add(a.name(), a.value)
		out = append(out, processStatus{a.name(), a.value})
	}
	if g.json && len(out) > 0 {
		return errors.Join(err, writeJSON(cmd, out))
	}
	f.owners(&page)
	return show(cmd, &f, page.Lines(by, ""), 0, err)
}

// owners adds to the page which user owns each process, if any belongs to
// another user.
func (f *found) owners(page *view.Page) {
	if !slices.ContainsFunc(f.targets, func(t target) bool { return t.user() != "" }) {
		return
	}
	for _, t := range f.targets {
		page.Owned(t.name(), cmp.Or(t.user(), myName()))
	}
}

// statusOf asks for each id, or for everything.
func statusOf(ctx context.Context, t target, ids []string) ([]ops.Status, error) {
	if len(ids) == 0 {
		return t.status(ctx, "")
	}
	var all []ops.Status
	for _, id := range ids {
		some, err := t.status(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// show prints lines, if there are any, says how many breakers and sets are
// left out, and returns err.
func show(cmd *cobra.Command, f *found, lines []view.Line, omitted int, err error) error {
	out := cmd.OutOrStdout()
	switch {
	case len(lines) > 0:
		err = errors.Join(err, printTable(cmd, view.Table(lines, len(f.targets) > 1, time.Now())))
	case err == nil:
		_, err = fmt.Fprintln(out, "No breakers.")
	}
	if omitted > 0 {
		fmt.Fprintf(out, "... and %d more that are no worse, see --keys and ID\n", omitted)
	}
	return err
}

func printTable(cmd *cobra.Command, t *table.Table) error {
	out := newScreen(cmd.OutOrStdout())
	_, err := fmt.Fprint(out, t.String(out.width))
	return err
}
