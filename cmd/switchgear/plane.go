package main

import (
	"context"

	"github.com/switchgear-go/switchgear/cmd/internal/plain"
	"github.com/switchgear-go/switchgear/ops"
)

// plane is a process behind its socket or its URL.
type plane struct {
	client *ops.Client
	label  string
	path   string // its socket, if it was found by it
	owner  string // the owner, if it is another user
}

func (p plane) name() string { return nameOf(p.label, p.owner) }
func (p plane) user() string { return p.owner }

// nameOf returns plain text, since it appears in the middle of many sentences.
func nameOf(label, owner string) string {
	if owner != "" {
		label += " (" + owner + ")"
	}
	return plain.Text(label)
}

func (p plane) overview(ctx context.Context) (o overview, err error) {
	if o.Overview, err = p.client.Overview(ctx); err != nil || !o.Process.CountsCalls {
		return o, err
	}
	var names []string
	for i := range o.Sets {
		names = append(names, o.Sets[i].Name)
	}
	for i := range o.Breakers {
		names = append(names, o.Breakers[i].Name)
	}
	if len(names) > 0 {
		o.plots, err = p.plots(ctx, names[:min(len(names), mostPlots)]...)
	}
	return o, err
}

// mostPlots is how many plots are requested at once. The breakers come worst
// first, so those that are left out matter least.
const mostPlots = 200

func (p plane) plots(ctx context.Context, names ...string) (map[string]ops.Plot, error) {
	all, err := p.client.Plots(ctx, names...)
	byName := map[string]ops.Plot{}
	for _, x := range all {
		byName[x.Name] = x
	}
	return byName, err
}

func (p plane) status(ctx context.Context, id string) ([]ops.Status, error) {
	return p.client.Status(ctx, statusQuery(id))
}

// statusQuery asks for one breaker or for the keys of a set in full, or with
// "" for a summary of all.
func statusQuery(id string) ops.StatusQuery {
	if id == "" {
		return ops.StatusQuery{}
	}
	return ops.StatusQuery{IDs: []string{id}, Full: true}
}

func (p plane) matching(ctx context.Context, text string) ([]ops.Status, error) {
	return p.client.Status(ctx, ops.StatusQuery{Match: text, Limit: mostCompletions})
}

func (p plane) explain(ctx context.Context, id string) (ops.Explanation, error) {
	all, err := p.client.Explain(ctx, id)
	if err != nil {
		return ops.Explanation{}, err
	}
	return all[0], nil
}

func (p plane) history(ctx context.Context, id string) (ops.History, error) {
	all, err := p.client.History(ctx, id)
	if err != nil {
		return ops.History{}, err
	}
	return all[0], nil
}

func (p plane) settings(ctx context.Context, ids ...string) (ops.SettingsList, error) {
	return p.client.Settings(ctx, ids...)
}

func (p plane) do(ctx context.Context, o ops.Order) (ops.Receipt, error) {
	return p.client.Order(ctx, o)
}

func (p plane) events(ctx context.Context, handle func(ops.Event)) error {
	for e, err := range p.client.Events(ctx, "") {
		if err != nil {
			return err
		}
		handle(e)
	}
	return nil
}
