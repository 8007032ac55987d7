package main

import (
	"context"
	"sync"

	"github.com/switchgear-go/switchgear/ops"
)

// target is a process that was asked for, behind one of its doors. The errors
// of its methods decide the exit code.
type target interface {
	// name is how people know it: "shop/1234", or "shop/1234 (ana)" when it is
	// another user's.
	name() string
	// user is whose process it is: "" for the one who runs this, and where the
	// process was named by its path.
	user() string
	overview(context.Context) (overview, error)
	// status is that of one id, of "name/*", or with "" of all there is.
	status(ctx context.Context, id string) ([]ops.Status, error)
	// matching is some of those whose id has text in it.
	matching(ctx context.Context, text string) ([]ops.Status, error)
	explain(ctx context.Context, id string) (ops.Explanation, error)
	history(ctx context.Context, id string) (ops.History, error)
	// settings is those of ids, or without ids of all there is.
	settings(ctx context.Context, ids ...string) (ops.SettingsList, error)
	do(context.Context, ops.Order) (ops.Receipt, error)
	// events calls handle for what happens from now on, until ctx is done.
	events(ctx context.Context, handle func(ops.Event)) error
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

// askAll asks all targets at once; of another user's, so many at a time: they may
// answer with as much as is read. The answers come in the targets' order.
func askAll[T any](ctx context.Context, all []target, ask func(context.Context, target) (T, error)) []answer[T] {
	const others = 4
	turns := map[string]chan struct{}{}
	for _, t := range all {
		turns[t.user()] = make(chan struct{}, others)
	}
	out := make([]answer[T], len(all))
	together(len(all), func(i int) {
		t := all[i]
		out[i].target = t
		if t.user() != "" {
			select {
			case turns[t.user()] <- struct{}{}:
				defer func() { <-turns[t.user()] }()
			case <-ctx.Done():
				out[i].err = unreachable("no answer in time")
				return
			}
		}
		out[i].value, out[i].err = ask(ctx, t)
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
