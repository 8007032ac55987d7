package breaker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// This file is the path that nearly every call takes. The rest of a call's
// life is in admit.go, permit.go and settle.go.

// Do runs fn unless the breaker rejects the call, and judges how it ends. It
// returns fn's error as it is, or an error that matches ErrOpen when fn did
// not run. Most callers want Do, or the function Do for calls with a result.
//
// A panic or a runtime.Goexit in fn counts as a failure and goes on to the
// caller untouched. ctx is handed to fn and never waited for: to limit the time
// that a call may take, set a limit on ctx. A call that fn makes under the same
// breaker, with a context made from the one fn is given, belongs to this call
// while the breaker recovers: it needs no probe's place of its own. While the
// breaker is closed each of the two is judged, so a failure counts twice.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) (err error) {
	w := atomic.LoadUint64(&b.word)
	if w&admitMask != 0 {
		if e := b.fastRejection(w); e != nil {
			return e
		}
		return b.doSlow(ctx, w, fn)
	}
	// The result is the flag: it stays as it is here when fn panics or exits
	// the goroutine. A deferred closure with no flag beside it is the cheapest
	// shape that there is.
	err = errAbandoned
	defer func() {
		// Else nothing moved, and this success has nothing to write, or could
		// be counted without the lock (I11).
		if err != nil || atomic.LoadUint64(&b.word) != w || w&countMask != 0 && !b.counted(w, true) {
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
		if e := b.fastRejection(w); e != nil {
			return v, e
		}
		err = b.doSlow(ctx, w, func(ctx context.Context) (err error) {
			v, err = fn(ctx)
			return err
		})
		return v, err
	}
	err = errAbandoned
	defer func() {
		if err != nil || atomic.LoadUint64(&b.word) != w || w&countMask != 0 && !b.counted(w, true) {
			err = b.end(ctx, w, err)
		}
	}()
	return fn(ctx)
}

// DoResult runs fn under b as the function Do does, and lets judge say what its
// result and error mean for the breaker: for answers that carry a failure, such
// as a response with a status. judge runs after each call that returned, on the
// caller's goroutine, outside every lock; where it panics, the call counts as a
// failure. It replaces the breaker's own classification for this call;
// DefaultClassifier is there to be called for the errors it has no opinion on.
func DoResult[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error), judge func(T, error) Outcome) (v T, err error) {
	p, err := b.AllowContext(ctx)
	if err != nil {
		return v, err
	}
	ctx = p.Context(ctx)
	defer p.Abandoned()
	v, err = fn(ctx)
	return v, p.Settle(ctx, b.cfg.judged(func() Outcome { return judge(v, err) }), err)
}

// Wrap makes a guarded function out of fn: PyBreaker's decorator.
func Wrap[A, R any](b *Breaker, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return Do(ctx, b, func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// doSlow is Do for a breaker that does not simply let the call run.
func (b *Breaker) doSlow(ctx context.Context, w uint64, fn func(context.Context) error) error {
	if w&admitMask == flagTimed {
		switch r := b.settings(); {
		case r.timer == nil: // the settings are just changing
		case r.tape != nil:
			return b.doRecorded(ctx, w, r, fn)
		default:
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
func (b *Breaker) doTimed(ctx context.Context, w uint64, r *compiled, fn func(context.Context) error) (err error) {
	var began time.Duration
	if step, ok := r.timer.cached(); ok && !r.exact {
		began = time.Duration(step) * fineStep
	} else {
		began = r.began()
	}
	err = errAbandoned
	defer func() {
		if err != nil || atomic.LoadUint64(&b.word) != w || !r.quickNow(began) && r.slow(r.timer.now(r.exact)-began) || !b.counted(w, true) {
			p := Permit{b: b, word: w, began: began}
			if r.exact {
				p.tag = tagExact
			}
			err = p.end(ctx, err)
		}
	}()
	return fn(ctx)
}

// doRecorded is Do for a closed breaker whose calls are recorded.
func (b *Breaker) doRecorded(ctx context.Context, w uint64, r *compiled, fn func(context.Context) error) (err error) {
	began := r.began()
	err = errAbandoned
	defer func() {
		if err == nil && atomic.LoadUint64(&b.word) == w {
			ended := r.timer.now(true)
			if !r.slow(ended-began) && b.counted(w, true) {
				b.recordPlain(r, w, began, ended)
				return
			}
		}
		err = Permit{b: b, word: w, began: began, tag: tagExact}.end(ctx, err)
	}()
	return fn(ctx)
}

// end settles a call of the common path that has something to tell.
func (b *Breaker) end(ctx context.Context, w uint64, err error) error {
	return Permit{b: b, word: w}.end(ctx, err)
}

// end settles a call, once, however its classification ends.
func (p Permit) end(ctx context.Context, err error) error {
	g := settleOnce{p: p, running: true}
	defer g.unwind()
	if err == errAbandoned { // our own value: fn did not return
		return err // the panic goes on, and unwind settles
	}
	return g.end(ctx, err)
}

// run makes the call under the permit.
func (p Permit) run(ctx context.Context, fn func(context.Context) error) error {
	g := settleOnce{p: p}
	if p.word&flagWatched != 0 {
		g.p.announce(ctx)
	}
	g.running = true
	defer g.unwind()
	return g.end(ctx, fn(g.p.Context(ctx)))
}

// errAbandoned stands in the record for a call that did not return.
var errAbandoned = errors.New("the call panicked or exited its goroutine")

// settleOnce sees that a permit is settled once, however the call or the
// classification of its error ends. running says that there is no outcome yet:
// a flag, because recover cannot tell a Goexit, and would hide where a panic
// came from.
type settleOnce struct {
	p       Permit
	running bool
}

func (g *settleOnce) end(ctx context.Context, err error) error {
	o := g.p.classify(ctx, err)
	g.running = false
	return g.p.settle(o, err)
}

func (g *settleOnce) unwind() {
	if g.running {
		g.running = false
		_ = g.p.settle(Failure, errAbandoned)
	}
}
