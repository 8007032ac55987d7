package breaker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
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
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) (err error) {
	w := atomic.LoadUint64(&b.word)
	if w&admitMask != 0 {
		if e := b.prepared(w); e != nil {
			return e
		}
		return b.doMarked(ctx, w, fn)
	}
	// The result is the flag: it stays as it is here when fn panics or exits
	// the goroutine. A deferred closure with no flag beside it is the cheapest
	// shape that there is.
	err = errAbandoned
	defer func() {
		// Else nothing moved, and this success has nothing to write, or could
		// be counted without the lock (I11).
		if err != nil || atomic.LoadUint64(&b.word) != w || w&countMask != 0 && (bypasses.Load() || !b.counted(w, true)) {
			err = b.end(ctx, w, err)
		}
	}()
	return fn(ctx)
}

// Do runs fn under b as Breaker.Do does, for calls with a result. fn's result
// is returned as it is, whatever its error.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (v T, err error) {
	w := atomic.LoadUint64(&b.word)
	if w&admitMask != 0 {
		if e := b.prepared(w); e != nil {
			return v, e
		}
		err = b.doMarked(ctx, w, func(ctx context.Context) (err error) {
			v, err = fn(ctx)
			return err
		})
		return v, err
	}
	err = errAbandoned
	defer func() {
		if err != nil || atomic.LoadUint64(&b.word) != w || w&countMask != 0 && (bypasses.Load() || !b.counted(w, true)) {
			err = b.end(ctx, w, err)
		}
	}()
	return fn(ctx)
}

// Wrap makes a guarded function out of fn: PyBreaker's decorator.
func Wrap[A, R any](b *Breaker, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return Do(ctx, b, func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// doMarked is Do for a breaker that does not simply let the call run.
func (b *Breaker) doMarked(ctx context.Context, w uint64, fn func(context.Context) error) error {
	if w&admitMask == flagTimed {
		if r := b.rules(); r.timer != nil { // else the settings are just changing
			return b.doTimed(ctx, w, r, fn)
		}
	}
	p, err := b.admit(ctx)
	if err != nil {
		return err
	}
	return p.run(ctx, fn)
}

// doTimed is Do for a closed breaker that times its calls.
func (b *Breaker) doTimed(ctx context.Context, w uint64, r *rules, fn func(context.Context) error) (err error) {
	step, ok := r.timer.glance()
	due := time.Duration(step)*fineStep + r.SlowCall
	if r.exact || !ok {
		due = r.due()
	}
	err = errAbandoned
	defer func() {
		if err != nil || atomic.LoadUint64(&b.word) != w || !r.early(due) && r.late(due) || bypasses.Load() || !b.counted(w, true) {
			p := Permit{b: b, word: w, due: due}
			if r.exact {
				p.tag = tagExact
			}
			err = p.end(ctx, err)
		}
	}()
	return fn(ctx)
}

// end settles a call of the common path that has something to tell.
func (b *Breaker) end(ctx context.Context, w uint64, err error) error {
	return Permit{b: b, word: w}.end(ctx, err)
}

// end settles a call, once, however its classification ends.
func (p Permit) end(ctx context.Context, err error) error {
	g := slowGuard{p: p, running: true}
	defer g.unwind()
	if err == errAbandoned { // our own value: there is no outcome
		return err // and nobody to get it: the panic goes on
	}
	return g.end(ctx, err)
}

// errAbandoned stands in the record for a call that did not return.
var errAbandoned = errors.New("the call panicked or exited its goroutine")

// slowGuard sees that a permit is settled once, however the classification of
// its error ends. running says that there is no outcome yet: a flag, because
// recover cannot tell a Goexit, and would hide where a panic came from.
type slowGuard struct {
	p       Permit
	running bool
}

func (g *slowGuard) end(ctx context.Context, err error) error {
	o := g.p.b.cfg.evidence(ctx, err)
	g.running = false
	return g.p.settle(o, err)
}

func (g *slowGuard) unwind() {
	if g.running {
		g.running = false
		_ = g.p.settle(Failure, errAbandoned)
	}
}
