package main

import (
	"context"
	"slices"
	"sync"

	"github.com/switchgear-go/switchgear/ops"
)

// asker asks processes repeatedly who they are, for a screen that follows
// them. It waits for a process that hangs only the first time; afterwards it
// checks whether the answer has arrived.
type asker struct {
	mu      sync.Mutex // guards the field below
	pending map[string]<-chan ops.Found
}

// ask asks all processes at once.
func (a *asker) ask(ctx context.Context, sockets []ops.Found) []ops.Found {
	sockets = slices.Clone(sockets)
	together(len(sockets), func(i int) { sockets[i] = a.one(ctx, sockets[i]) })
	return sockets
}

// once is ask for a single look, in which several -p may name the same
// process: it is asked once, and all of them get the same answer.
func (a *asker) once(ctx context.Context) asking {
	answers := map[string]ops.Found{}
	return func(sockets []ops.Found) []ops.Found {
		unasked := slices.DeleteFunc(slices.Clone(sockets), func(x ops.Found) bool {
			_, asked := answers[x.Path]
			return asked
		})
		for _, x := range a.ask(ctx, unasked) {
			answers[x.Path] = x
		}
		out := make([]ops.Found, len(sockets))
		for i, x := range sockets {
			out[i] = answers[x.Path]
		}
		return out
	}
}

func (a *asker) one(ctx context.Context, x ops.Found) ops.Found {
	answer := a.take(x.Path)
	if answer != nil { // it has had its time
		select {
		case x := <-answer:
			return a.heard(x)
		default:
		}
	} else {
		answer = begin(x)
		select {
		case x := <-answer:
			return a.heard(x)
		case <-ctx.Done():
		}
	}
	a.keep(x.Path, answer)
	x.Problem = "no answer in time: it may be stopped"
	return x
}

// heard handles an answer. A process that still hangs is asked again, so that
// the next look need not wait.
func (a *asker) heard(x ops.Found) ops.Found {
	if x.Process == nil && !x.Dead {
		a.keep(x.Path, begin(x))
	}
	return x
}

// begin asks one process. The question continues even if its caller stops
// waiting.
func begin(x ops.Found) <-chan ops.Found {
	answer := make(chan ops.Found, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), findPatience)
		defer cancel()
		x.Ask(ctx)
		answer <- x
	}()
	return answer
}

// take takes over the question in progress, if there is one.
func (a *asker) take(path string) <-chan ops.Found {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := a.pending[path]
	delete(a.pending, path)
	return answer
}

func (a *asker) keep(path string, answer <-chan ops.Found) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending == nil {
		a.pending = make(map[string]<-chan ops.Found)
	}
	a.pending[path] = answer
}
