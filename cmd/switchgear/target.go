package main

import (
	"context"

	"github.com/switchgear-go/switchgear/ops"
)

// target is a process that was asked for, behind one of its doors. The errors
// of its methods decide the exit code.
type target interface {
	// name is how people know it: "shop/1234".
	name() string
	overview(context.Context) (ops.Overview, error)
	// status is that of one id, of "name/*", or with "" of all there is.
	status(ctx context.Context, id string) ([]ops.Status, error)
	history(ctx context.Context, id string) (ops.History, error)
	do(context.Context, ops.Order) (ops.Receipt, error)
	// events tells what happens from now on, until ctx is done.
	events(ctx context.Context, tell func(ops.Event)) error
}
