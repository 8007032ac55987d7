package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// This file is the path that nearly every call takes. It loads the word, runs
// the call and loads the word again: if the word has not changed and the call
// succeeded, there is nothing to write. No lock is taken and no clock is read.
// All other calls go through admit.go, permit.go and settle.go.

// Do runs fn unless the breaker rejects the call, and judges the outcome. It
// returns fn's error unchanged, or an error that matches ErrOpen if fn did not
// run. Use Do for calls without a result, and the function Do for calls with
// one.
//
// A panic or a runtime.Goexit in fn counts as a failure and continues to the
// caller. Do passes ctx to fn and does not wait for it: to limit how long a call
// may take, give ctx a deadline, at which fn must return. If it returns more than
// 100 ms later, the first such call of a closed breaker, and those in flight
// beside it, are taken for calls whose deadline had passed before they began, and
// do not count.
//
// fn may call the same breaker again with a context derived from the one it
// received. While the breaker is half-open or in a ramp, such a nested call is
// part of the outer call and needs no probe of its own. While the breaker is
// closed, both calls are judged, so a failure counts twice.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) (err error) {
	w := atomic.LoadUint64(&b.word)
	if w&admitMask != 0 {
		if e := b.fastRejection(w); e != nil {
			return e
		}
		return b.doSlow(ctx, w, fn)
	}
	// The result doubles as the flag that fn has not returned: it keeps this
	// value if fn panics or exits its goroutine. A deferred closure without a
	// separate flag is the cheapest form.
	err = errAbandoned
	defer func() {
		// While the word is unchanged, the breaker is in the period that
		// admitted the call (I1). A success then writes nothing, or counts
		// itself without the lock. Everything else takes the long way.
		if err != nil || atomic.LoadUint64(&b.word) != w || w&countMask != 0 && !b.countedFast(w) && !b.counted(w, true) {
			err = b.end(ctx, w, err)
		}
	}()
	return fn(ctx)
}

// Do runs fn under b as Breaker.Do does, for calls with a result. It returns
// fn's result unchanged, even if fn also returns an error.
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
	// As in Breaker.Do. It is written out, because a call of Breaker.Do would
	// need a closure to pass the result through.
	err = errAbandoned
	defer func() {
		if err != nil || atomic.LoadUint64(&b.word) != w || w&countMask != 0 && !b.countedFast(w) && !b.counted(w, true) {
			err = b.end(ctx, w, err)
		}
	}()
	return fn(ctx)
}

// DoResult runs fn under b as the function Do does, and lets judge decide what
// the result and the error mean for the breaker. Use it where a result can be a
// failure, such as a response with a status code. judge runs after each call
// that returned, on the caller's goroutine, with no lock held; if it panics, the
// call counts as a failure. It replaces the breaker's own classification for
// this call, and may call DefaultClassifier for errors that it does not know.
func DoResult[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error), judge func(T, error) Outcome) (v T, err error) {
	p, err := b.AllowContext(ctx)
	if err != nil {
		return v, err
	}
	ctx = p.Context(ctx)
	// If fn panics or exits its goroutine, Settle is never reached and this
	// counts the failure and frees the probe (I2).
	defer p.Abandoned()
	v, err = fn(ctx)
	return v, p.Settle(ctx, b.cfg.judged(func() Outcome { return judge(v, err) }), err)
}

// Wrap returns fn guarded by b. It is the counterpart of PyBreaker's decorator.
func Wrap[A, R any](b *Breaker, fn func(context.Context, A) (R, error)) func(context.Context, A) (R, error) {
	return func(ctx context.Context, a A) (R, error) {
		return Do(ctx, b, func(ctx context.Context) (R, error) { return fn(ctx, a) })
	}
}

// doSlow is Do for a breaker whose word does not simply admit the call.
func (b *Breaker) doSlow(ctx context.Context, w uint64, fn func(context.Context) error) error {
	if w&admitMask == flagTimed {
		switch r := b.settings(); {
		case r.recordedOnly():
			return b.doRecorded(ctx, w, r, fn)
		case r.shadows != nil && r.timer == nil:
			return b.doShadowed(ctx, w, r.shadows, fn)
		case r.shadows != nil:
			p := b.permit(w)
			p.begun()
			return p.run(ctx, fn)
		case r.timer == nil: // for a moment, while Update switches SlowCall off
		default:
			return b.doTimed(ctx, w, r, fn)
		}
	}
	p, err := b.admit(ctx)
	if err != nil {
		return err
	}
	p.begun()
	return p.run(ctx, fn)
}

// doTimed is Do for a closed breaker that times its calls.
func (b *Breaker) doTimed(ctx context.Context, w uint64, r *compiled, fn func(context.Context) error) (err error) {
	var began time.Duration
	// The coarse clock usually costs one load. Only a SlowCall too short for its
	// steps needs the real clock.
	if step, ok := r.timer.cached(); ok && !r.exact {
		began = time.Duration(step) * fineStep
	} else {
		began = r.began()
	}
	err = errAbandoned
	defer func() {
		// The first look at the clock is inlined and shows for most calls that
		// they were not slow. Only if it does not is the clock asked again. The
		// settings in effect now decide, and Update need not change the word.
		took := untimed
		if err != nil || b.settings() != r || atomic.LoadUint64(&b.word) != w || !r.quickNow(began) && r.slowSince(began, &took) || !b.countedFast(w) && !b.counted(w, false) {
			p := Permit{b: b, word: w, began: began}
			if r.exact {
				p.tag = tagExact
			}
			err = p.end(ctx, err)
		} else if w&flagObserved != 0 {
			if took == untimed {
				took = r.timer.now(false) - began // quickNow was enough, so the clock is the coarse one
			}
			b.observe(Success, false, atMost(took, r.exact))
		}
	}()
	return fn(ctx)
}

// doRecorded is Do for a closed breaker whose calls are recorded.
func (b *Breaker) doRecorded(ctx context.Context, w uint64, r *compiled, fn func(context.Context) error) error {
	var g settleOnce
	g.p.b, g.p.word, g.p.tag, g.p.began = b, w, tagExact, r.timer.real()
	g.running = true
	defer g.unwind()
	err := fn(ctx)
	if err == nil && g.p.recordedPlain() {
		g.running = false
		return nil
	}
	return g.end(ctx, err)
}

// end settles a call of the common path that may have something to write.
func (b *Breaker) end(ctx context.Context, w uint64, err error) error {
	return Permit{b: b, word: w}.end(ctx, err)
}

// end settles a call exactly once, even if the classifier panics or exits the
// goroutine.
func (p Permit) end(ctx context.Context, err error) error {
	g := settleOnce{p: p, running: true}
	defer g.unwind()
	if err == errAbandoned { // our own value, compared by identity: fn did not return
		return err // the panic continues, and unwind settles the call
	}
	return g.end(ctx, err)
}

// run makes the call under the permit and settles it.
func (p Permit) run(ctx context.Context, fn func(context.Context) error) error {
	g := settleOnce{p: p}
	if p.word&flagWatched != 0 {
		g.p.announce(ctx)
	}
	// Only now is unwind deferred: if a listener exits the goroutine, announce
	// has handed the permit back already.
	g.running = true
	defer g.unwind()
	return g.end(ctx, fn(g.p.Context(ctx)))
}

// errAbandoned is recorded for a call that did not return. It has a type of its
// own, because errors of different types are compared without a call.
var errAbandoned error = abandoned{}

type abandoned struct{}

func (abandoned) Error() string { return "the call panicked or exited its goroutine" }

// settleOnce settles a permit exactly once, no matter how the call or the
// classification of its error ends. running means that there is no outcome yet.
// It is a flag because recover cannot detect a Goexit, and because recovering
// a panic and raising it again would hide where it came from.
type settleOnce struct {
	p       Permit
	running bool
}

func (g *settleOnce) end(ctx context.Context, err error) error {
	o := g.p.classify(ctx, err)
	// Before settle, which runs listeners: if one of them exits the goroutine,
	// unwind must not count a second outcome.
	g.running = false
	return g.p.settle(ctx, o, err)
}

// unwind is deferred. It counts a failure for a call that did not return, which
// also frees its probe (I2).
func (g *settleOnce) unwind() {
	if g.running {
		_ = g.p.settle(nil, Failure, errAbandoned) //nolint:staticcheck // the context is not known any more
	}
}
