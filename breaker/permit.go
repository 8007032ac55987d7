package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// Permit is the leave to make one call. It belongs to one goroutine at a time,
// and a copy of it is the same leave: end one of them. It must come from Allow
// or AllowContext: the zero Permit is none, and Done(nil) of it panics. The one
// that comes with a rejection is ended already.
type Permit struct {
	// Four words and no more: so it travels in registers, a larger one through
	// memory, which would double the cost of Allow and Done.
	b    *Breaker
	word uint64        // as admitted: the generation its outcome counts for
	due  time.Duration // on the owner's clock, from when on it is slow; 0: not timed
	tag  permitTag
}

// permitTag is the number of a probe's lease in its low 32 bits (0: not a
// probe), and flags.
type permitTag uint64

const (
	tagUnjudged permitTag = 1 << (32 + iota) // runs behind an override or by bypass: no evidence
	tagLate                                  // admitted before its breaker existed, see Set.Do
	tagExact                                 // due is on the exact clock
	tagAnswered                              // due is the time it took, see Answered
	tagSlow                                  // and that was slow
)

func (t permitTag) probe() uint32 { return uint32(t) }

// nobody is the breaker of a permit that is used up. Its word is no breaker's,
// so Done needs one comparison to know that there is something left to do.
var nobody = Breaker{word: ^uint64(0)}

// permitSlow is set in the word of a permit whose end cannot be told by
// comparing words. No breaker's word has it.
const permitSlow uint64 = 1 << 10

// Allow asks for one call whose end is told later by Permit.Done, for streams
// and callbacks; where the call is a function, Do is simpler and cannot forget.
// A caller that gets a permit must end it with Done or Ignore. A lost permit
// does no harm while the breaker is closed; in half-open it holds a probe's
// place until ProbeTimeout has passed.
//
// Allow and Done are written to be inlined into their callers, which halves
// their cost; a test watches it.
func (b *Breaker) Allow() (p Permit, err error) {
	p.b = b
	p.word = atomic.LoadUint64(&b.word)
	if p.word&settleMask != 0 {
		err = p.ask()
	}
	return
}

// AllowContext is Allow for a call that has a context: a bypass that it is
// marked with holds, and listeners see it. End the permit with DoneContext.
func (b *Breaker) AllowContext(ctx context.Context) (p Permit, err error) {
	p.b = b
	p.word = atomic.LoadUint64(&b.word)
	if p.word&settleMask != 0 {
		err = p.askContext(ctx)
	}
	return p, err
}

//go:noinline
func (p *Permit) ask() error { return p.askContext(context.Background()) }

// askContext fills in the permit where a look at the word does not do. Of a
// rejected call it is ended.
func (p *Permit) askContext(ctx context.Context) error {
	b, w := p.b, p.word
	if e := b.prepared(w); e != nil {
		p.b = &nobody
		return e
	}
	if w&(admitMask&^flagTimed) == 0 {
		*p = b.permit(w)
		p.word |= permitSlow
		return nil
	}
	q, err := b.admit(ctx)
	if err != nil {
		p.b = &nobody
		return err
	}
	if q.word&flagWatched != 0 {
		q.announce(ctx)
	}
	*p = q
	p.word |= permitSlow
	return nil
}

// Done ends the call: nil is a success, an error is what the classification
// says. The first Done or Ignore counts, later ones do nothing.
func (p *Permit) Done(err error) {
	if err == nil && atomic.LoadUint64(&p.b.word) == p.word {
		p.b = &nobody
	} else {
		p.done(err)
	}
}

//go:noinline
func (p *Permit) done(err error) { _ = p.DoneContext(context.Background(), err) }

// DoneContext is Done for a call that has a context: by it a caller who gave up
// is told from a dependency that failed. It returns what the caller is to get:
// err itself but under WithErrorOnTrip.
func (p *Permit) DoneContext(ctx context.Context, err error) error {
	q := *p
	p.b = &nobody
	if q.over() {
		return err
	}
	if err == nil && q.tag&tagUnjudged == 0 && q.b.load() == q.word&^permitSlow && q.word&(admitMask&^flagTimed) == 0 &&
		!bypasses.Load() && q.quick() && q.b.counted(q.word&^permitSlow, true) {
		return nil
	}
	g := slowGuard{p: q, running: true} // a classifier may exit the goroutine
	defer g.unwind()
	return g.end(ctx, err)
}

// Ignore ends the call without evidence either way.
func (p *Permit) Ignore() {
	q := *p
	p.b = &nobody
	if !q.over() {
		_ = q.settle(Ignored, nil)
	}
}

func (p *Permit) over() bool { return p.b == &nobody || p.b == nil }

// Answered says that the answer has begun: by the time until here, not until
// Done, is the call slow. It is for answers that stream in at the pace of
// whoever reads them. The first one counts.
func (p *Permit) Answered() {
	if p.over() || p.due == 0 || p.tag&tagAnswered != 0 {
		return
	}
	took, slow := p.took()
	p.due, p.tag = took, p.tag|tagAnswered
	if slow {
		p.tag |= tagSlow
	}
}

// took is how long the call took to be answered, or has taken so far, and
// whether that is slow; 0 when it is not timed.
func (p *Permit) took() (took time.Duration, slow bool) {
	if p.due == 0 || p.tag&tagAnswered != 0 {
		return p.due, p.tag&tagSlow != 0
	}
	now := p.now()
	return now - p.due + p.b.rules().SlowCall, now >= p.due
}

// now is the time on the clock that the call is timed by.
func (p *Permit) now() time.Duration {
	c := p.b.rules().timer
	if c == nil { // calls are not timed any more, but this one is
		c = p.b.cfg.clocks.of(fineStep)
	}
	return c.now(p.tag&tagExact != 0)
}

// quick reports whether the call is not slow so far.
func (p *Permit) quick() bool {
	if p.tag&tagAnswered != 0 {
		return p.tag&tagSlow == 0
	}
	return p.due == 0 || p.now() < p.due
}

// permit is the leave for a call admitted under w.
func (b *Breaker) permit(w uint64) Permit {
	p := Permit{b: b, word: w}
	if w&flagTimed != 0 {
		r := b.rules()
		if p.due = r.due(); r.exact {
			p.tag = tagExact
		}
	}
	return p
}
