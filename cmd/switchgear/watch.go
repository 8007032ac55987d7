package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/table"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func watchCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "watch [ID...]",
		Short: "Tell each change as it happens",
		Long: `Tell each transition and each order as it happens, one line each, until Ctrl-C.
With --json each line is an object. Processes that start meanwhile are followed
too, unless -p names others.`,
		Example: `  switchgear watch
  switchgear watch payments 'inventory/*' --json`,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			w := &watcher{g: g, ids: ids, out: newScreen(cmd.OutOrStdout()), errs: cmd.ErrOrStderr(), following: map[string]bool{}}
			return w.run(cmd.Context())
		},
	}
}

// watcher follows the events of several processes.
type watcher struct {
	g    *globals
	ids  []string
	out  io.Writer
	errs io.Writer

	mu        sync.Mutex // guards the fields below, and a line's place in out
	following map[string]bool
	lost      error // of a process that was named, or of out
}

const lookForNew = 2 * time.Second

func (w *watcher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for first := true; ; first = false {
		f, err := w.g.find(ctx)
		if err != nil && first && len(w.g.processes) > 0 {
			return err
		}
		for _, t := range f.targets {
			if p, ok := t.(pipe); ok { // it was named, so this is the first look
				return p.noEvents()
			}
			if w.begin(t) {
				all.Go(func() { w.follow(ctx, t) })
			}
		}
		if first {
			w.say(fmt.Sprintf("watching %s, Ctrl-C ends it", processes(len(f.targets))))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookForNew):
		}
		if err := w.over(); err != nil {
			return err
		}
	}
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// say is a remark to people, which is no event.
func (w *watcher) say(text string) { fmt.Fprintln(w.errs, "switchgear: "+text) }

func (w *watcher) begin(t target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.following[t.name()] {
		return false
	}
	w.following[t.name()] = true
	return true
}

// over is why there is no use in going on: nobody reads, or the last of the
// processes that were named is gone.
func (w *watcher) over() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var gone *codeError
	if errors.As(w.lost, &gone) && len(w.following) > 0 {
		return nil
	}
	return w.lost
}

func (w *watcher) follow(ctx context.Context, t target) {
	err := t.events(ctx, func(e ops.Event) { w.tell(t.name(), e) })
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.following, t.name())
	w.say(oneLine(fmt.Sprintf("%s is lost: %v", t.name(), err)))
	if len(w.g.processes) > 0 && w.lost == nil {
		w.lost = &codeError{exitCode(err), errSilent}
	}
}

func (w *watcher) tell(process string, e ops.Event) {
	if !w.wants(e.ID) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	if w.g.json {
		err = json.NewEncoder(w.out).Encode(struct {
			Process string `json:"process"`
			ops.Event
		}{process, e})
	} else {
		_, err = fmt.Fprintf(w.out, "%s  %s  %s\n", view.Clock(e.At), table.Clean(process), eventText(&e))
	}
	if err != nil {
		w.lost = err
	}
}

// wants reports whether somebody asked for id; a gap concerns all.
func (w *watcher) wants(id string) bool {
	if len(w.ids) == 0 || id == "" {
		return true
	}
	for _, ask := range w.ids {
		set, wild := strings.CutSuffix(ask, "*")
		if id == ask || wild && strings.HasPrefix(id, set) {
			return true
		}
	}
	return false
}

func eventText(e *ops.Event) string {
	id := table.Clean(e.ID)
	switch {
	case e.Transition != nil:
		from, to := view.State(e.Transition.From), view.State(e.Transition.To)
		return fmt.Sprintf("%s  %s -> %s  %s", id, from.Style.Render(from.Text), to.Style.Render(to.Text), table.Clean(view.Story(e.Transition)))
	case e.Order != nil:
		text := fmt.Sprintf("%s  order %s by %s: %d changed", id, string(e.Order.Verb), e.Order.Actor, e.Order.Touched)
		if e.Order.Reason != "" {
			text += fmt.Sprintf(" (%q)", e.Order.Reason)
		}
		return table.Clean(text)
	case e.Override != nil:
		return fmt.Sprintf("%s  half the time of its override is over, it ends at %s", id, view.Clock(e.Override.Expires))
	}
	return fmt.Sprintf("%d events were missed", e.Missed)
}
