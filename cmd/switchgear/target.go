package main

import (
	"context"
	"sync"

	"github.com/switchgear-go/switchgear/ops"
)

// target is a process that was asked for, behind one of its doors. The errors
// of its methods decide the exit code.
type target interface {
	// name is how people know it: "shop/1234".
	name() string
	overview(context.Context) (overview, error)
	// status is that of one id, of "name/*", or with "" of all there is.
	status(ctx context.Context, id string) ([]ops.Status, error)
	explain(ctx context.Context, id string) (ops.Explanation, error)
	history(ctx context.Context, id string) (ops.History, error)
	do(context.Context, ops.Order) (ops.Receipt, error)
	// events tells what happens from now on, until ctx is done.
	events(ctx context.Context, tell func(ops.Event)) error
}

// overview is a process on one page, and what became of its calls of late, by
// breaker or set, if it counts them.
type overview struct {
	ops.Overview
	plots map[string]ops.Plot
}

// answer is what one process said.
type answer[T any] struct {
	target
	value T
	err   error
}

// askAll asks all targets at once. The answers come in the targets' order.
func askAll[T any](ctx context.Context, all []target, ask func(context.Context, target) (T, error)) []answer[T] {
	out := make([]answer[T], len(all))
	together(len(all), func(i int) {
		v, err := ask(ctx, all[i])
		out[i] = answer[T]{all[i], v, err}
	})
	return out
}

// together runs f for 0 to n-1, all at once.
func together(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
