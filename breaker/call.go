package breaker

import (
	"context"
	"errors"
	"time"
)

// Do runs fn unless the breaker rejects the call, and judges its end. It
// returns fn's error as it is, or an error that matches ErrOpen when fn did
// not run. Most callers want Do, or the function Do for calls with a result.
//
// A panic or a runtime.Goexit in fn counts as a failure and goes on to the
// caller untouched. ctx is handed to fn and never waited for: a limit on the
// time a call may take is the caller's to set, on ctx.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	w := b.word.Load()
	if w&admitMask != 0 {
		return b.doSlow(ctx, fn)
	}
	g := guard{b: b, word: w, running: true}
	defer g.unwind()
	err := fn(ctx)
	if err == nil && w&settleMask == 0 && b.word.Load() == w {
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
	w := b.word.Load()
	if w&admitMask != 0 {
		var v T
		err := b.doSlow(ctx, func(ctx context.Context) (err error) {
			v, err = fn(ctx)
			return err
		})
		return v, err
	}
	g := guard{b: b, word: w, running: true}
	defer g.unwind()
	v, err := fn(ctx)
	if err == nil && w&settleMask == 0 && b.word.Load() == w {
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

// Allow asks for one call whose end is told later by Permit.Done, for streams
// and callbacks; where the call is a function, Do is simpler and cannot forget.
// A caller that gets a permit must end it with Done or Ignore. A lost permit
// does no harm while the breaker is closed; in half-open it holds a probe's
// place until ProbeTimeout has passed.
func (b *Breaker) Allow() (Permit, error) { return b.AllowContext(context.Background()) }

// AllowContext is Allow for a call that has a context: a bypass that it is
// marked with holds, and listeners see it. End the permit with DoneContext.
func (b *Breaker) AllowContext(ctx context.Context) (Permit, error) {
	w := b.word.Load()
	if w&admitMask == 0 {
		return Permit{b: b, word: w}, nil
	}
	return b.allowSlow(ctx)
}

// Permit is the leave to make one call. It belongs to one goroutine at a time,
// and a copy of it is the same leave: end one of them. The zero Permit is
// ended.
type Permit struct {
	b        *Breaker
	word     uint64        // as admitted: the generation its outcome counts for
	start    time.Duration // on the owner's clock, when timed; once answered, the time it took
	slow     time.Duration // from here on it is slow; 0: not timed
	probe    uint32        // number of its lease; 0: not a probe
	answered bool          // see Answered
	unjudged bool          // runs behind an override or by bypass: no evidence
	late     bool          // admitted before its breaker existed, see Set.Do
}

// Done ends the call: nil is a success, an error is what the classification
// says. The first Done or Ignore counts, later ones do nothing.
func (p *Permit) Done(err error) {
	if b := p.b; err == nil && b != nil && p.word&settleMask == 0 && b.word.Load() == p.word {
		p.b = nil
		return
	}
	_ = p.done(context.Background(), err)
}

// DoneContext is Done for a call that has a context: by it a caller who gave up
// is told from a dependency that failed. It returns what the caller is to get:
// err itself but under WithErrorOnTrip.
func (p *Permit) DoneContext(ctx context.Context, err error) error {
	if b := p.b; err == nil && b != nil && p.word&settleMask == 0 && b.word.Load() == p.word {
		p.b = nil
		return nil
	}
	return p.done(ctx, err)
}

func (p *Permit) done(ctx context.Context, err error) error {
	q := *p
	p.b = nil
	if q.b == nil {
		return err
	}
	g := slowGuard{p: q, running: true} // a classifier may exit the goroutine
	defer g.unwind()
	return g.end(ctx, err)
}

// Answered says that the answer has begun: by the time until here, not until
// Done, is the call slow. It is for answers that stream in at the pace of
// whoever reads them. The first one counts.
func (p *Permit) Answered() {
	if p.b != nil && p.slow > 0 && !p.answered {
		p.start, p.answered = p.took(), true
	}
}

// took is how long the call took to be answered, or has taken so far; 0 when
// it is not timed.
func (p *Permit) took() time.Duration {
	if p.slow == 0 || p.answered {
		return p.start
	}
	return p.b.cfg.clocks.now(p.slow < exactBelow) - p.start
}

// Ignore ends the call without evidence either way.
func (p *Permit) Ignore() {
	q := *p
	p.b = nil
	if q.b != nil {
		_ = q.settle(Ignored, nil)
	}
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
		g.running = false
		p := Permit{b: g.b, word: g.word}
		_ = p.settle(Failure, errAbandoned) // the panic goes on: nobody is there to get the error
	}
}

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

// classify says what a call's error is evidence of; work that is marked to
// bypass makes none.
func (p *Permit) classify(ctx context.Context, err error) Outcome {
	if bypasses.Load() && bypassing(ctx) == bypassPlain {
		p.unjudged = true
	}
	if err == nil {
		return Success
	}
	return p.b.cfg.outcome(ctx, err)
}

// errAbandoned stands in the record for a call that did not return.
var errAbandoned = errors.New("the call panicked or exited its goroutine")

// doSlow is Do for a breaker that is not plainly closed.
func (b *Breaker) doSlow(ctx context.Context, fn func(context.Context) error) error {
	p, err := b.admit(ctx)
	if err != nil {
		return err
	}
	return p.run(ctx, fn)
}

// run makes the call under the permit.
func (p Permit) run(ctx context.Context, fn func(context.Context) error) error {
	g := slowGuard{p: p}
	if p.word&flagWatched != 0 {
		g.p.announce(ctx)
	}
	g.running = true
	defer g.unwind()
	return g.end(ctx, fn(ctx))
}

// announce tells the listeners that the call is about to run. Should one of
// them exit the goroutine, the permit goes back (I2).
func (p *Permit) announce(ctx context.Context) {
	told := false
	defer func() {
		if !told {
			p.Ignore()
		}
	}()
	p.b.notifyBefore(ctx)
	told = true
}

func (b *Breaker) allowSlow(ctx context.Context) (Permit, error) {
	p, err := b.admit(ctx)
	if err == nil && p.word&flagWatched != 0 {
		p.announce(ctx)
	}
	return p, err
}

// admit decides whether a call may run.
func (b *Breaker) admit(ctx context.Context) (Permit, error) {
	b = b.current()
	w := b.word.Load()
	switch {
	case w&flagForcedOpen != 0,
		w&(stateMask|flagForcedClosed|flagDue) == withState(Open):
		return b.turnAway(ctx)
	case w&(stateMask|flagRamp) == withState(Closed):
		return b.permit(w), nil
	}
	p, ok := b.admitLocking(false)
	if !ok {
		return b.turnAway(ctx)
	}
	return p, nil
}

// admitLocking admits a call while the breaker is half-open, due, ramping or
// overridden. early lets it probe before the open time is over.
func (b *Breaker) admitLocking(early bool) (p Permit, ok bool) {
	now := time.Now()
	b.mu.Lock()
	p, ok = b.admitLocked(now, early)
	b.mu.Unlock()
	b.deliver()
	return p, ok
}

func (b *Breaker) admitLocked(now time.Time, early bool) (Permit, bool) {
	w := b.word.Load()
	if w&flagForcedOpen != 0 {
		return Permit{}, false
	}
	forced := w&flagForcedClosed != 0
	switch stateOf(w) {
	case Closed:
		if w&flagRamp != 0 && !b.rampOverLocked(now) && !b.cold.Load().ramp.admit(now) && !forced {
			return Permit{}, false
		}
		return b.permit(b.word.Load()), true
	case Open:
		if w&flagDue == 0 && !early {
			return Permit{b: b, word: w, unjudged: true}, forced
		}
		b.stepLocked(event{kind: evProbe}, now, Transition{})
	}
	c := b.cold.Load()
	r := b.rules()
	p := b.permit(b.word.Load())
	if p.probe, _ = c.probes.take(r.Probes, now, r.ProbeTimeout); p.probe == 0 {
		return Permit{b: b, word: w, unjudged: true}, forced
	}
	return p, true
}

// permit is the leave for a call admitted under w.
func (b *Breaker) permit(w uint64) Permit {
	p := Permit{b: b, word: w}
	if w&flagTimed != 0 {
		r := b.rules()
		p.slow = r.SlowCall
		p.start = b.cfg.clocks.now(r.exact)
	}
	return p
}

// turnAway rejects, with the error prepared for this open period, unless the
// call is marked to pass.
func (b *Breaker) turnAway(ctx context.Context) (Permit, error) {
	if bypasses.Load() {
		if p, ok := b.letBy(ctx); ok {
			return p, nil
		}
	}
	w := b.word.Load()
	err := b.cfg.rejection(b.cold.Load().reject.Load())
	if w&flagWatched != 0 {
		b.notifyRejected(err)
	}
	return Permit{}, err
}

// rejection is what the caller gets for e.
func (c *config) rejection(e *OpenError) error {
	if c.openError != nil {
		return c.openError(e)
	}
	return e
}
