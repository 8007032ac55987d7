package main

import (
	"context"
	"slices"
	"sync"

	"github.com/switchgear-go/switchgear/ops"
)

// asker asks processes who they are, over and over, for a screen that follows
// them. It waits for one that hangs the first time; from then on it looks at
// whether the answer has come by then.
type asker struct {
	mu      sync.Mutex // guards the field below
	pending map[string]<-chan ops.Found
}

// ask asks all at once.
func (a *asker) ask(ctx context.Context, sockets []ops.Found) []ops.Found {
	sockets = slices.Clone(sockets)
	together(len(sockets), func(i int) { sockets[i] = a.one(ctx, sockets[i]) })
	return sockets
}

// once is ask for one look, in which several -p may mean the same process: it is
// asked once, and its answer is the same for all of them.
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
	if answer != nil { // it had its time
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

// heard is an answer. Of a process that still hangs it is asked anew, so that the
// next look need not wait.
func (a *asker) heard(x ops.Found) ops.Found {
	if x.Process == nil && !x.Dead {
		a.keep(x.Path, begin(x))
	}
	return x
}

// begin asks one process, whatever becomes of who wants to know.
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

// take takes the question that is under way, if there is one.
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
