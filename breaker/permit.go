package breaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// Permit allows one call. It belongs to one goroutine at a time, and a copy of
// it is the same permit: end one of them. Get it from Allow or AllowContext. The
// one that comes with a rejection has ended already. The zero Permit has too, but
// for Done, which panics: a check would cost it its inlining.
type Permit struct {
	// Four words and no more: so it travels in registers. A larger one travels
	// through memory, which would double the cost of Allow and Done.
	b    *Breaker
	word uint64 // as admitted: the generation its outcome counts for
	// began is when the call began, on the clock that times it; 0: it is not
	// timed. With tagAnswered it is how long the answer took.
	began time.Duration
	tag   permitTag
}

// permitTag is the number of a probe's lease in its low 32 bits (0: not a
// probe), and flags.
type permitTag uint64

const (
	tagUnjudged permitTag = 1 << (32 + iota) // behind an override: the automatic state does not hear of it
	tagIgnored                               // marked to bypass, in another call, or too late: no evidence
	tagChecked                               // the context was not over when the call began
	tagNested                                // its context is to carry the call, see nested.go
	tagExact                                 // began is on the exact clock
	tagAnswered                              // the answer has begun, see Answered
	tagTimed                                 // and it was timed
	tagProbed                                // a probe that has been a success already, see Answered
)

func (t permitTag) probe() uint32 { return uint32(t) }

// settled is the breaker of a permit that has ended. Its word is no breaker's,
// so Done needs one comparison to know that there is something left to do.
var settled = Breaker{word: ^uint64(0)}

// Allow asks for one call that is not a function, such as a stream or one that
// ends in a callback. Where the call is a function, Do is simpler and cannot
// forget. A caller that gets a permit must end it with Done, Settle or Ignore. A
// lost permit does no harm while the breaker is closed; in half-open it holds a
// probe's place until ProbeTimeout has passed.
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

// AllowContext is Allow for a call that has a context. A context that is over
// makes the call no evidence, a mark of WithBypass holds, and listeners see it.
// End the permit with DoneContext or Settle, and make the call with the context
// that Permit.Context returns if it may use the same breaker again.
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

// askContext fills in the permit where a look at the word does not do. That of a
// rejected call has ended.
func (p *Permit) askContext(ctx context.Context) error {
	b, w := p.b, p.word
	if e := b.fastRejection(w); e != nil {
		p.b = &settled
		return e
	}
	if w&(admitMask&^flagTimed) == 0 {
		*p = b.permit(w)
		p.word |= permitSlow
		return nil
	}
	q, err := b.admit(ctx)
	if err != nil {
		p.b = &settled
		return err
	}
	if q.word&flagWatched != 0 {
		q.announce(ctx)
	}
	*p = q
	p.word |= permitSlow
	return nil
}

// permit is that of a call admitted under w.
func (b *Breaker) permit(w uint64) Permit {
	p := Permit{b: b, word: w}
	if w&flagTimed != 0 {
		if r := b.settings(); r.timer != nil { // else the settings are just changing
			if p.began = r.began(); r.exact {
				p.tag = tagExact
			}
		}
	}
	return p
}

// Done ends the call: nil is a success, an error is what the classification
// says. The first call that ends the permit counts, later ones do nothing.
//
// Done panics on the zero Permit.
func (p *Permit) Done(err error) {
	if err == nil && atomic.LoadUint64(&p.b.word) == p.word {
		p.b = &settled
	} else {
		p.done(err)
	}
}

//go:noinline
func (p *Permit) done(err error) {
	_ = p.b.load() // panics as Done does where it compares words
	_ = p.DoneContext(context.Background(), err)
}

// DoneContext is Done for a call that has a context: it tells a caller who gave
// up from a dependency that failed. It returns what the caller is to get: err
// itself, unless WithErrorOnTrip says otherwise.
func (p *Permit) DoneContext(ctx context.Context, err error) error {
	q := *p
	p.b = &settled
	if q.over() {
		return err
	}
	if err == nil && q.tag&(tagUnjudged|tagIgnored) == 0 && q.b.load() == q.word&^permitSlow && q.word&(admitMask&^flagTimed) == 0 &&
		q.endedPlain() {
		return nil
	}
	g := settleOnce{p: q, running: true} // a classifier may exit the goroutine
	defer g.unwind()
	return g.end(ctx, err)
}

// Settle ends the call with an outcome that the caller has judged, instead of
// the breaker's classification. err goes into the record of a trip; it may be
// nil. A context that was over before the call began makes it no evidence,
// whatever o says. Settle returns what DoneContext returns.
func (p *Permit) Settle(ctx context.Context, o Outcome, err error) error {
	q := *p
	p.b = &settled
	if q.over() {
		return err
	}
	if o == Failure && q.overBefore(ctx) {
		o = Ignored
	}
	return q.settle(o, err)
}

// Ignore ends the call without evidence either way.
func (p *Permit) Ignore() { _ = p.Settle(nil, Ignored, nil) } //nolint:staticcheck // no context is a context that is not over

// Abandoned ends the call as a failure unless it has ended. Deferred after
// Allow, it sees to a call that panics or exits its goroutine:
//
//	defer permit.Abandoned()
func (p *Permit) Abandoned() {
	q := *p
	p.b = &settled
	if !q.over() {
		_ = q.settle(Failure, errAbandoned)
	}
}

func (p *Permit) over() bool { return p.b == &settled || p.b == nil }

// Answered says that the answer has begun, for answers that stream in at the
// pace of their reader. Whether the call is slow is decided by the time until
// here, not until Done; and a probe that is answered is a success, so that the
// breaker need not stay half-open until the stream ends. How the stream ends is
// judged in the state of then. The first Answered counts.
func (p *Permit) Answered() {
	if p.over() || p.tag&tagAnswered != 0 {
		return
	}
	began := p.began
	took, timed := p.took()
	p.began, p.tag = took, p.tag|tagAnswered
	if timed {
		p.tag |= tagTimed
	}
	if p.tag.probe() == 0 {
		p.recordAnswered(began, took)
		return
	}
	q := *p
	_ = q.settle(Success, nil)
	// From here on it is a call of whatever period this success has led to. In
	// the same one it cannot succeed twice.
	p.word = p.b.load() | permitSlow
	p.tag = p.tag&^(tagNested|permitTag(p.tag.probe())) | tagProbed
}

// took is how long the call took to be answered, or has taken so far; false if
// it is not timed.
func (p *Permit) took() (time.Duration, bool) {
	switch {
	case p.tag&tagAnswered != 0:
		return p.began, p.tag&tagTimed != 0
	case p.began == 0:
		return 0, false
	}
	now := p.b.cfg.fine.get(p.b.cfg.clock).now(p.tag&tagExact != 0)
	return now - p.began, true
}

// endedPlain counts a success of a closed breaker at the permit's word. It
// reports false, having counted nothing, if the call was slow, or as counted
// does.
func (p *Permit) endedPlain() bool {
	took, timed := p.took()
	if !timed {
		return p.b.counted(p.word&^permitSlow, true)
	}
	r := p.b.settings()
	if r.slow(took) || !p.b.counted(p.word&^permitSlow, true) {
		return false
	}
	switch {
	case r.tape == nil:
	case p.tag == tagExact:
		p.b.recordPlain(r, p.word, p.began, p.began+took)
	default:
		p.recordSettled(r, new(tape.Call), Success, took, false)
	}
	return true
}

// belongs reports whether an outcome counts for the period under way (I1).
func (p *Permit) belongs(w uint64) bool { return genOf(w) == genOf(p.word) }
