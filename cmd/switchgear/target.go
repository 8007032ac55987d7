package main

import (
	"context"
	"sync"

	"github.com/switchgear-go/switchgear/ops"
)

// target is a process that the command line selects, behind one of its
// endpoints. The errors of its methods determine the exit code.
type target interface {
	// name is what people call it: "shop/1234", or "shop/1234 (ana)" if it is
	// another user's.
	name() string
	// user is the owner of the process: "" for the user who runs this program,
	// and if the process was named by its path.
	user() string
	overview(context.Context) (overview, error)
	// status returns that of one id, of "name/*", or with "" of everything.
	status(ctx context.Context, id string) ([]ops.Status, error)
	// matching returns some breakers whose id contains text.
	matching(ctx context.Context, text string) ([]ops.Status, error)
	explain(ctx context.Context, id string) (ops.Explanation, error)
	history(ctx context.Context, id string) (ops.History, error)
	// settings returns those of ids, or without ids all of them.
	settings(ctx context.Context, ids ...string) (ops.SettingsList, error)
	do(context.Context, ops.Order) (ops.Receipt, error)
	// events calls handle for what happens from now on, until ctx is done.
	events(ctx context.Context, handle func(ops.Event)) error
}

// overview returns a process on one page, and how its recent calls ended, by
// breaker or set, if it counts them.
type overview struct {
	ops.Overview
	plots map[string]ops.Plot
}

// answer is what one process answered.
type answer[T any] struct {
	target
	value T
	err   error
}

// askAll asks all targets at once; of another user's, only this many at a
// time, because each may answer with as much as is read. The answers are in
// the order of the targets.
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
