package breaker

import (
	"context"
	"errors"
	"sync/atomic"
)

// This file is the path that nearly every call takes. The rest of a call's
// life is in permit.go, admit.go and settle.go.

// Do runs fn unless the breaker rejects the call, and judges its end. It
// returns fn's error as it is, or an error that matches ErrOpen when fn did
// not run. Most callers want Do, or the function Do for calls with a result.
//
// A panic or a runtime.Goexit in fn counts as a failure and goes on to the
// caller untouched. ctx is handed to fn and never waited for: a limit on the
// time a call may take is the caller's to set, on ctx.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	w := atomic.LoadUint64(&b.word)
	if w&settleMask != 0 {
		return b.doMarked(ctx, w, fn)
	}
	g := guard{b: b, word: w, running: true}
	defer g.unwind()
	err := fn(ctx)
	if err == nil && atomic.LoadUint64(&b.word) == w {
		// Nothing moved and no failure is on record: this success has nothing
		// to write (I11).
		g.running = false
		return nil
	}
	return g.end(ctx, err)
}

// Do runs fn under b as Breaker.Do does, for calls with a result. fn's result
// is returned as it is, whatever its error.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	w := atomic.LoadUint64(&b.word)
	if w&settleMask != 0 {
		var v T
		err := b.doMarked(ctx, w, func(ctx context.Context) (err error) {
			v, err = fn(ctx)
			return err
		})
		return v, err
	}
	g := guard{b: b, word: w, running: true}
	defer g.unwind()
	v, err := fn(ctx)
	if err == nil && atomic.LoadUint64(&b.word) == w {
		g.running = false
		return v, nil
	}
	return v, g.end(ctx, err)
}

// Wrap makes a guarded function out of fn: PyBreaker's decorator.
func Wrap[A, R any](b *Breaker, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return Do(ctx, b, func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// doMarked is Do for a breaker whose word has something to say.
func (b *Breaker) doMarked(ctx context.Context, w uint64, fn func(context.Context) error) error {
	switch {
	case w&admitMask&^flagTimed == 0:
		if w&flagTimed != 0 {
			return b.doTimed(ctx, w, fn)
		}
		return b.doCounted(ctx, w, fn)
	case rejects(w) && w&(flagWatched|flagGone) == 0 && !bypasses.Load():
		return b.cfg.rejection(b.cold.Load().reject.Load())
	}
	p, err := b.admit(ctx)
	if err != nil {
		return err
	}
	return p.run(ctx, fn)
}

// doCounted is Do for a closed breaker that counts successes, or has failures
// on record.
func (b *Breaker) doCounted(ctx context.Context, w uint64, fn func(context.Context) error) error {
	g := guard{b: b, word: w, running: true}
	defer g.unwind()
	err := fn(ctx)
	if err == nil && atomic.LoadUint64(&b.word) == w && !bypasses.Load() && b.counted(w) {
		g.running = false
		return nil
	}
	return g.end(ctx, err)
}

// doTimed is Do for a closed breaker that times its calls.
func (b *Breaker) doTimed(ctx context.Context, w uint64, fn func(context.Context) error) error {
	g := slowGuard{p: b.permit(w), running: true}
	defer g.unwind()
	err := fn(ctx)
	if err == nil && atomic.LoadUint64(&b.word) == w && !bypasses.Load() && g.p.took() < g.p.slow && b.counted(w) {
		g.running = false
		return nil
	}
	return g.end(ctx, err)
}

// guard sees that a call is settled once, however it ends. running says that
// fn has begun and its outcome is not told yet: a flag, because recover()
// cannot tell a Goexit, and would hide where a panic came from.
type guard struct {
	b       *Breaker
	word    uint64
	running bool
}

// end settles a call that returned. Classification is user code: a Goexit in
// it finds running still set.
func (g *guard) end(ctx context.Context, err error) error {
	p := Permit{b: g.b, word: g.word}
	o := p.classify(ctx, err)
	g.running = false
	return p.settle(o, err)
}

// unwind is deferred around fn.
func (g *guard) unwind() {
	if g.running {
		g.abandoned()
	}
}

func (g *guard) abandoned() {
	g.running = false
	p := Permit{b: g.b, word: g.word}
	_ = p.settle(Failure, errAbandoned) // the panic goes on: nobody is there to get the error
}

// errAbandoned stands in the record for a call that did not return.
var errAbandoned = errors.New("the call panicked or exited its goroutine")

// slowGuard is a guard with a whole permit.
type slowGuard struct {
	p       Permit
	running bool
}

func (g *slowGuard) end(ctx context.Context, err error) error {
	o := g.p.classify(ctx, err)
	g.running = false
	return g.p.settle(o, err)
}

func (g *slowGuard) unwind() {
	if g.running {
		g.running = false
		_ = g.p.settle(Failure, errAbandoned)
	}
}
