package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// What no breaker can beat: the bare call, the cheapest wrappers, and the cost
// of the parts of a breaker.

const limit = "limit"

// limits returns the rows with which the others are compared. Those that share
// something between workers are measured with each number of procs.
func limits(procs []int) []*Case {
	var cs []*Case
	for _, p := range procs {
		cs = append(cs,
			&Case{Group: limit, Who: "bare call", Procs: p, Check: allRan, Build: bareCall},
			&Case{Group: limit, Who: "bare call with a context", Procs: p, Check: allRan, Build: bareCtxCall},
			&Case{Group: limit, Who: "empty wrapper", Procs: p, Check: allRan, Build: emptyWrapper},
			&Case{Group: limit, Who: "empty wrapper, deferred closure", Procs: p, Check: allRan, Build: deferredWrapper},
			&Case{Group: limit, Who: "empty wrapper, deferred closure, context", Procs: p, Check: allRan, Build: deferredCtxWrapper},
			&Case{Group: limit, Who: "atomic load", Procs: p, Build: atomicLoad},
			&Case{Group: limit, Who: "atomic add, own line", Procs: p, Build: atomicOwn},
			&Case{Group: limit, Who: "atomic add, shared line", Procs: p, Build: atomicShared},
			&Case{Group: limit, Who: "compare-and-swap loop, shared line", Procs: p, Build: casShared},
			&Case{Group: limit, Who: "mutex, lock and unlock", Procs: p, Build: mutex},
			&Case{Group: limit, Who: "time.Now", Procs: p, Build: timeNow},
			&Case{Group: limit, Who: "time.Since", Procs: p, Build: timeSince},
		)
	}
	return append(cs, &Case{Group: limit, Who: cycleRow, Build: dependentChain, Per: 10})
}

// cycleRow is the time of one cycle of the core, measured by a chain of
// operations that depend on each other. It converts ns into cycles where the
// kernel has no counters, as on most virtual machines.
const cycleRow = "one cycle of the core"

var sink atomic.Uint64

func dependentChain() maker {
	return func(*work) loop {
		x := uint64(0x9e3779b97f4a7c15)
		return func(n int) int {
			for range n { // a shift and a xor, one cycle each, five times
				x ^= x >> 1
				x ^= x >> 3
				x ^= x >> 5
				x ^= x >> 7
				x ^= x >> 9
			}
			sink.Store(x)
			return 0
		}
	}
}

func bareCall() maker {
	return func(w *work) loop {
		fn := w.plain()
		return func(n int) (errs int) {
			for range n {
				if err := fn(); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func bareCtxCall() maker {
	return func(w *work) loop {
		fn, ctx := w.ctx(), context.Background()
		return func(n int) (errs int) {
			for range n {
				if err := fn(ctx); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

type wrapper struct{ failed int }

//go:noinline
func (w *wrapper) bare(fn func() error) error { return fn() }

// deferred does what a wrapper must that settles a call whose function panics.
//
//go:noinline
func (w *wrapper) deferred(fn func() error) (err error) {
	done := false
	defer func() {
		if !done {
			w.failed++
		}
	}()
	err = fn()
	done = true
	return err
}

//go:noinline
func (w *wrapper) deferredCtx(ctx context.Context, fn func(context.Context) error) (err error) {
	done := false
	defer func() {
		if !done {
			w.failed++
		}
	}()
	err = fn(ctx)
	done = true
	return err
}

func emptyWrapper() maker {
	return func(w *work) loop {
		fn, wrap := w.plain(), new(wrapper)
		return func(n int) (errs int) {
			for range n {
				if err := wrap.bare(fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func deferredWrapper() maker {
	return func(w *work) loop {
		fn, wrap := w.plain(), new(wrapper)
		return func(n int) (errs int) {
			for range n {
				if err := wrap.deferred(fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

func deferredCtxWrapper() maker {
	return func(w *work) loop {
		fn, ctx, wrap := w.ctx(), context.Background(), new(wrapper)
		return func(n int) (errs int) {
			for range n {
				if err := wrap.deferredCtx(ctx, fn); err != nil {
					errs++
				}
			}
			return errs
		}
	}
}

// padded keeps a counter alone on its cache lines.
type padded struct {
	_ [128]byte
	v atomic.Int64
	_ [128]byte
}

func atomicLoad() maker {
	p := new(padded)
	return func(*work) loop {
		return func(n int) (sum int) {
			for range n {
				sum += int(p.v.Load())
			}
			return sum
		}
	}
}

func atomicOwn() maker { return func(*work) loop { return addTo(new(padded)) } }

func atomicShared() maker {
	p := new(padded)
	return func(*work) loop { return addTo(p) }
}

func addTo(p *padded) loop {
	return func(n int) int {
		for range n {
			p.v.Add(1)
		}
		return 0
	}
}

func casShared() maker {
	p := new(padded)
	return func(*work) loop {
		return func(n int) int {
			for range n {
				for {
					v := p.v.Load()
					if p.v.CompareAndSwap(v, v+1) {
						break
					}
				}
			}
			return 0
		}
	}
}

func mutex() maker {
	var s struct {
		_ [128]byte
		sync.Mutex
		n int
		_ [128]byte
	}
	return func(*work) loop {
		return func(n int) int {
			for range n {
				s.Lock()
				s.n++
				s.Unlock()
			}
			return 0
		}
	}
}

func timeNow() maker {
	return func(*work) loop {
		return func(n int) int {
			var last time.Time
			for range n {
				last = time.Now()
			}
			sink.Store(uint64(last.Nanosecond()))
			return 0
		}
	}
}

func timeSince() maker {
	start := time.Now()
	return func(*work) loop {
		return func(n int) int {
			var last time.Duration
			for range n {
				last = time.Since(start)
			}
			sink.Store(uint64(last))
			return 0
		}
	}
}
