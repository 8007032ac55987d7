package main

import (
	"context"
	"strings"

	"github.com/switchgear-go/switchgear/ops"
)

// plane is a process behind its socket or its URL.
type plane struct {
	client *ops.Client
	label  string
}

func (p plane) name() string { return p.label }

func (p plane) overview(ctx context.Context) (ops.Overview, error) {
	return p.client.Overview(ctx)
}

func (p plane) status(ctx context.Context, id string) ([]ops.Status, error) {
	ask := ops.StatusQuery{IDs: []string{id}, Full: true}
	if set, wild := strings.CutSuffix(id, "/*"); wild {
		ask = ops.StatusQuery{Name: set, Full: true}
	} else if id == "" {
		ask = ops.StatusQuery{}
	}
	return p.client.Status(ctx, ask)
}

func (p plane) explain(ctx context.Context, id string) (string, error) {
	all, err := p.client.Explain(ctx, id)
	if err != nil {
		return "", err
	}
	return all[0].Text, nil
}

func (p plane) history(ctx context.Context, id string) (ops.History, error) {
	all, err := p.client.History(ctx, id)
	if err != nil {
		return ops.History{}, err
	}
	return all[0], nil
}

func (p plane) do(ctx context.Context, o ops.Order) (ops.Receipt, error) {
	return p.client.Order(ctx, o)
}

func (p plane) events(ctx context.Context, tell func(ops.Event)) error {
	for e, err := range p.client.Events(ctx, "") {
		if err != nil {
			return err
		}
		tell(e.Event)
	}
	return nil
}
