package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/top"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func topCommand(g *globals) *cobra.Command {
	var sort string
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show breakers live, with keys for orders",
		Long: `Show breakers live: sorted, filtered and explained, with keys for orders. Each
order asks for its reason (and an override for its end), shows what it would do,
and asks for confirmation.

` + strings.Join(top.Keys, "\n") + `

It refreshes every second (--every) and follows processes that come and go.`,
		Example: `  switchgear top
  switchgear top -p shop --sort trips --every 250ms`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			by, err := orderOf(sort)
			switch {
			case err != nil:
				return err
			case g.json:
				return usage("switchgear top is a screen without JSON output: see watch --json and status --json")
			case every < 100*time.Millisecond:
				return usage("--every %s, want 100ms or more", every)
			case !isTerminal(cmd.InOrStdin()) || !isTerminal(cmd.OutOrStdout()):
				return usage("switchgear top needs a terminal: see status, and watch")
			}
			return g.top(cmd, top.Config{Every: every, Sort: by})
		},
	}
	defineSort(cmd, &sort)
	cmd.Flags().DurationVar(&every, "every", time.Second, "time between two looks")
	return cmd
}

func (g *globals) top(cmd *cobra.Command, c top.Config) error {
	ctx, cancel := g.bound(cmd)
	f, err := g.find(ctx)
	cancel()
	if err != nil && f.named {
		return err // processes may still start on this host
	}
	s := &source{g: g, last: f, gone: map[string]time.Time{}}
	c.Look, c.Detail, c.Do, c.Actor = s.look, s.detail, s.do, (&orderFlags{}).who()
	opts := []tea.ProgramOption{tea.WithInput(cmd.InOrStdin()), tea.WithOutput(bare(cmd.OutOrStdout()))}
	if withoutColour(colorprofile.TrueColor) != colorprofile.TrueColor {
		opts = append(opts, tea.WithColorProfile(colorprofile.ASCII))
	}
	return top.Run(cmd.Context(), c, opts...)
}

// source is where top reads from. It looks for processes again each time,
// because they come and go.
type source struct {
	g *globals

	mu   sync.Mutex // guards the fields below
	last found
	gone map[string]time.Time // processes that were there, and when they disappeared
}

// goneShown is how long a process that has ended is still mentioned.
const goneShown = time.Minute

func (s *source) look(ctx context.Context, unfold []top.Ref) top.Look {
	ctx, cancel := context.WithTimeout(ctx, s.g.timeout)
	defer cancel()
	f, err := s.g.find(ctx)
	if err != nil {
		f.trouble = append(f.trouble, err)
	}
	l := s.ask(ctx, f, unfold)
	l.Trouble = append(s.remember(f), l.Trouble...)
	return l
}

// remember stores which processes were found, and reports those that are
// missing.
func (s *source) remember(f found) (missing []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := func(name string) func(target) bool { return func(t target) bool { return t.name() == name } }
	for _, t := range s.last.targets {
		if name := t.name(); !slices.ContainsFunc(f.targets, is(name)) {
			s.gone[name] = time.Now()
		}
	}
	for name, since := range s.gone {
		if slices.ContainsFunc(f.targets, is(name)) || time.Since(since) > goneShown {
			delete(s.gone, name)
			continue
		}
		missing = append(missing, name+" is gone")
	}
	slices.Sort(missing)
	s.last = f
	return missing
}

func (s *source) ask(ctx context.Context, f found, unfold []top.Ref) top.Look {
	l := top.Look{Several: len(f.targets) > 1}
	type page struct {
		overview
		keys map[string][]ops.Status
	}
	for _, a := range askAll(ctx, f.targets, func(ctx context.Context, t target) (p page, err error) {
		p.keys, err = unfolded(ctx, t, unfold)
		if err == nil {
			p.overview, err = t.overview(ctx)
		}
		return p, err
	}) {
		if a.err != nil {
			f.trouble = append(f.trouble, within(&f, a.target, a.err))
			continue
		}
		l.Processes++
		l.Page.AddOverview(a.name(), &a.value.Overview, a.value.plots, a.value.keys)
	}
	for _, err := range f.trouble {
		l.Trouble = append(l.Trouble, oneLine(err.Error()))
	}
	l.At = time.Now()
	return l
}

// unfolded returns the keys of the sets that are to be shown key by key.
func unfolded(ctx context.Context, t target, unfold []top.Ref) (map[string][]ops.Status, error) {
	keys := map[string][]ops.Status{}
	for _, ref := range unfold {
		if ref.Process != t.name() {
			continue
		}
		all, err := t.status(ctx, ref.ID)
		if err != nil {
			return nil, err
		}
		keys[strings.TrimSuffix(ref.ID, "/*")] = all
	}
	return keys, nil
}

// target returns the process that a line of the screen belongs to.
func (s *source) target(process string) (target, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.last.targets {
		if t.name() == process {
			return t, nil
		}
	}
	return nil, unreachable("%s is gone", process)
}

func (s *source) detail(ctx context.Context, ref top.Ref) (d top.Detail, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.g.timeout)
	defer cancel()
	t, err := s.target(ref.Process)
	if err != nil {
		return d, err
	}
	e, err := t.explain(ctx, ref.ID)
	if err != nil {
		return d, err
	}
	d.Text, d.Facts = e.Explain, view.Facts(&e)
	h, err := t.history(ctx, ref.ID)
	d.History = h.Transitions
	if p, ok := t.(plane); ok && err == nil {
		name, _, _ := strings.Cut(ref.ID, "/")
		all, _ := p.plots(ctx, name) // a missing plot is simply not shown
		d.Plot = all[name]
	}
	return d, err
}

func (s *source) do(ctx context.Context, process string, o ops.Order) (ops.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, s.g.timeout)
	defer cancel()
	t, err := s.target(process)
	if err != nil {
		return ops.Receipt{}, err
	}
	return t.do(ctx, o)
}
