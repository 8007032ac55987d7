package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/cmd/switchgear/internal/view"
	"github.com/switchgear-go/switchgear/ops"
)

func watchCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "watch [ID...]",
		Short: "Print each change as it happens",
		Long: `Print each transition and each order as it happens, one line each, until Ctrl-C.
With --json each line is an object. Processes that start later are followed
too, unless -p names others.`,
		Example: `  switchgear watch
  switchgear watch payments 'inventory/*' --json`,
		ValidArgsFunction: g.completeIDs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx, cancel := untilReaderGone(cmd.Context(), cmd.OutOrStdout())
			defer cancel()
			w := &watcher{g: g, cmd: cmd, ids: ids, out: newScreen(cmd.OutOrStdout()), following: map[string]bool{}, over: make(chan error, 1)}
			return w.run(ctx)
		},
	}
}

// watcher follows the events of several processes.
type watcher struct {
	g    *globals
	cmd  *cobra.Command
	ids  []string
	out  io.Writer
	over chan error // receives why there is nothing left to watch

	mu        sync.Mutex // guards the field below, and keeps the lines in out apart
	following map[string]bool
}

const lookForNew = 2 * time.Second

func (w *watcher) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait() // after their context has ended
	defer cancel()
	for first := true; ; first = false {
		f, err := w.g.find(ctx)
		if first {
			f.warn(w.cmd)
		}
		if err != nil && first && len(w.g.processes) > 0 {
			return err
		}
		var fresh []target
		for _, t := range f.targets {
			if p, ok := t.(pipe); ok { // it was named, so this is the first look
				return p.noEvents()
			}
			if w.begin(t) {
				fresh = append(fresh, t)
			}
		}
		for _, t := range fresh {
			all.Go(func() { w.follow(ctx, t) })
		}
		if first {
			w.say(fmt.Sprintf("watching %s, Ctrl-C ends it", plain.Count(len(f.targets), "process", "processes")))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.over:
			return err
		case <-time.After(lookForNew):
		}
	}
}

// say prints a remark that is not an event.
func (w *watcher) say(text string) {
	fmt.Fprintln(w.cmd.ErrOrStderr(), "switchgear: "+oneLine(text))
}

func (w *watcher) begin(t target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.following[t.name()] {
		return false
	}
	w.following[t.name()] = true
	return true
}

func (w *watcher) follow(ctx context.Context, t target) {
	err := t.events(ctx, func(e ops.Event) { w.print(t.name(), e) })
	if ctx.Err() != nil {
		return
	}
	w.say(fmt.Sprintf("%s is lost: %v", t.name(), err))
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.following, t.name())
	if len(w.g.processes) > 0 && len(w.following) == 0 { // it was the last of those that were named
		w.over <- &codeError{exitCode(err), errSilent}
	}
}

// print prints an event. An error ends the command (see output).
func (w *watcher) print(process string, e ops.Event) {
	if !w.wants(e.ID) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.g.json {
		fmt.Fprintf(w.out, "%s  %s  %s\n", view.Clock(e.At), plain.Text(process), eventText(&e))
		return
	}
	text, err := json.Marshal(struct {
		Process string `json:"process"`
		ops.Event
	}{process, e})
	if err == nil {
		_, _ = w.out.Write(plain.JSON(append(text, '\n')))
	}
}

// wants reports whether events of id are wanted. A gap concerns all ids.
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
	id := plain.Text(e.ID)
	switch {
	case e.Kind == ops.EventHeldBack, e.Kind == ops.EventShadow, e.Notice != "":
		return strings.TrimLeft(id+"  ", " ") + plain.Text(view.What(e).Text+"  "+view.Reason(e))
	case e.Transition != nil:
		from, to := view.State(e.Transition.From), view.State(e.Transition.To)
		return fmt.Sprintf("%s  %s -> %s  %s", id, from.Style.Render(from.Text), to.Style.Render(to.Text), plain.Text(view.Story(e.Transition)))
	case e.Order != nil && (e.Order.Verb == ops.VerbNote || e.Order.Verb == ops.VerbAck || e.Order.Verb == ops.VerbMark):
		text := fmt.Sprintf("%s  %s by %s", id, string(e.Order.Verb), e.Order.Actor)
		if e.Order.Reason != "" {
			text += ": " + e.Order.Reason
		}
		return plain.Text(text)
	case e.Order != nil:
		text := fmt.Sprintf("%s  order %s by %s: %d changed", id, string(e.Order.Verb), e.Order.Actor, e.Order.Touched)
		if e.Order.Reason != "" {
			text += fmt.Sprintf(" (%q)", e.Order.Reason)
		}
		return plain.Text(text)
	case e.Override != nil:
		return fmt.Sprintf("%s  half the time of its override has passed, it ends at %s", id, view.Clock(e.Override.Expires))
	}
	if e.Notice != "" {
		return plain.Text(cmp.Or(e.ID, "notice") + "  " + e.Notice)
	}
	return fmt.Sprintf("%d events were missed", e.Missed)
}
