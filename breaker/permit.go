package breaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// Permit allows one call. Allow and AllowContext return it. A Permit must be
// used by one goroutine at a time, and a copy is the same permit: end only one
// of them. The permit that accompanies a rejection has already ended.
//
// Ending the zero Permit has no effect, except that Done panics on it: a check
// would make Done too large to be inlined.
type Permit struct {
	// Four words, so that a Permit is passed in registers. A larger struct would
	// be passed in memory, which would double the cost of Allow and Done.
	b    *Breaker
	word uint64 // the word at admission; its generation is the period that the outcome counts for
	// began is when the call began, on the clock that times it; 0 means that the
	// call is not timed. With tagAnswered it is how long the answer took.
	began time.Duration
	tag   permitTag
}

// permitTag holds the number of a probe's lease in its low 32 bits (0: not a
// probe), and flags above them.
type permitTag uint64

const (
	tagUnjudged permitTag = 1 << (32 + iota) // admitted by an override: the automatic state ignores the outcome (I5)
	tagIgnored                               // marked to bypass, nested in another call, or begun too late: no evidence
	tagChecked                               // the context was checked before the call and was not over
	tagNested                                // the context must carry the call, see nested.go
	tagExact                                 // began was read from the exact clock
	tagAnswered                              // Answered was called
	tagTimed                                 // and the call was timed until then
	tagProbed                                // a probe that Answered has already counted as a success

	// From flightShift on: the place of the call among those that shadows judge,
	// see flights.go.
)

func (t permitTag) probe() uint32 { return uint32(t) }

// settled is the breaker of every permit that has ended. No breaker has its
// word, so Done needs a single comparison to see whether the permit can be ended
// by the fast path.
var settled = Breaker{word: ^uint64(0)}

// Allow asks to make one call that is not a function, such as a stream or a call
// that ends in a callback. Where the call is a function, use Do, which cannot
// forget to end the permit.
//
// A caller that gets a permit must end it with Done, DoneContext, Settle or
// Ignore. A lost permit does no harm while the breaker is closed. While it is
// half-open, a lost permit holds a probe's place until ProbeTimeout has passed.
//
// Allow and Done are small enough to be inlined into their callers, which halves
// their cost; a test makes sure that they stay so.
func (b *Breaker) Allow() (p Permit, err error) {
	p.b = b
	p.word = atomic.LoadUint64(&b.word)
	if p.word&settleMask != 0 {
		err = p.ask()
	}
	return
}

// AllowContext is Allow for a call that has a context. If ctx is over when
// AllowContext is called, the outcome is not evidence; if it ends later, the
// outcome is, however late the call returns. Marks made by WithBypass are
// honoured, and BeforeCall listeners receive ctx. End the permit with
// DoneContext or Settle. Make the call with the context that Permit.Context
// returns if the call may use the same breaker again.
func (b *Breaker) AllowContext(ctx context.Context) (p Permit, err error) {
	p.b = b
	p.word = atomic.LoadUint64(&b.word)
	if p.word&settleMask != 0 || ctx != nil && ctx.Err() != nil {
		err = p.askContext(ctx)
		return p, err
	}
	if ctx != nil {
		p.tag = tagChecked
	}
	return p, nil
}

// ask is kept out of line, so that Allow stays small enough to be inlined.
//
//go:noinline
func (p *Permit) ask() error {
	// Recorded, and nothing else: as little as in doRecorded.
	if p.word&admitMask == flagTimed {
		if r := p.b.settings(); r.recordedOnly() {
			p.began, p.tag = r.timer.real(), tagExact
			p.word |= permitSlow
			return nil
		}
	}
	err := p.askContext(context.Background())
	// That checked nothing: DoneContext or Settle may come with a context that
	// was over before the call.
	if stateOf(p.word) == Closed {
		p.tag &^= tagChecked
	}
	return err
}

// askContext fills in the permit when one look at the word does not admit the
// call. The permit of a rejected call has ended.
func (p *Permit) askContext(ctx context.Context) error {
	b, w := p.b, p.word
	if e := b.fastRejection(w); e != nil {
		p.b = &settled
		return e
	}
	// Closed: only counting, timing or failures to take back keep the call from
	// the fast path.
	if w&(admitMask&^flagTimed) == 0 && (ctx == nil || ctx.Err() == nil) {
		if w&flagTimed != 0 {
			r := b.settings()
			p.start(r)
			if r.shadows != nil {
				p.beginShadows(r.shadows)
			}
		}
		if ctx != nil {
			p.tag |= tagChecked
		}
		p.word |= permitSlow
		return nil
	}
	q, err := b.admit(ctx)
	if err != nil {
		p.b = &settled
		return err
	}
	q.begun()
	// If a listener exits the goroutine, announce hands q back.
	if q.word&flagWatched != 0 {
		q.announce(ctx)
	}
	*p = q
	// From here on the fast path of Done never matches.
	p.word |= permitSlow
	return nil
}

// permit returns the permit of a call admitted under w, and starts its time.
func (b *Breaker) permit(w uint64) Permit {
	p := Permit{b: b, word: w}
	if w&flagTimed != 0 {
		p.start(b.settings())
	}
	return p
}

// start starts the time of a call, if r times calls.
func (p *Permit) start(r *compiled) {
	if r.timer == nil {
		return // for a moment while Update switches SlowCall off, or only shadows want to see calls
	}
	if p.began = r.began(); r.exact {
		p.tag = tagExact
	}
}

// Done ends the call. A nil error is a success; any other error is classified as
// described in the package documentation. The first method that ends the permit
// counts; later ones do nothing.
//
// Done panics on the zero Permit.
func (p *Permit) Done(err error) {
	// The word is still the one that admitted the call: nothing has moved (I1),
	// and this success has nothing to write.
	if err == nil && atomic.LoadUint64(&p.b.word) == p.word {
		p.b = &settled
	} else {
		p.done(err)
	}
}

// done is kept out of line, so that Done stays small enough to be inlined.
//
//go:noinline
func (p *Permit) done(err error) {
	_ = p.b.load() // panics on the zero Permit, as Done does for a nil error
	switch {
	case err != nil || p.b == &settled:
	case p.tag == tagExact && p.recordedPlain():
		p.b = &settled
		return
	case p.tag.flying() && p.shadowedPlain():
		return
	}
	_ = p.DoneContext(context.Background(), err)
}

// DoneContext is Done for a call that has a context. The context distinguishes a
// caller that gave up from a dependency that failed. DoneContext returns the
// error to give to the caller: err itself, unless WithErrorOnTrip changes it.
func (p *Permit) DoneContext(ctx context.Context, err error) error {
	// Field by field: a copy of the whole would wait for the stores that have just
	// written its fields.
	q := Permit{b: p.b, word: p.word, began: p.began, tag: p.tag}
	// Ended first, so that nothing below can end the permit twice.
	p.b = &settled
	if q.over() {
		return err
	}
	// The fast path: a success, not slow so far, under an unchanged word of a
	// closed breaker. counted takes care of windows and of Observe, without the
	// lock.
	if err == nil && q.tag&(tagUnjudged|tagIgnored) == 0 && !q.tag.flying() && q.b.load() == q.word&^permitSlow && q.word&(admitMask&^flagTimed) == 0 &&
		q.countedPlain() {
		return nil
	}
	if err == nil && q.tag.flying() && q.shadowedPlain() {
		return nil
	}
	var g settleOnce
	g.p.b, g.p.word, g.p.began, g.p.tag, g.running = q.b, q.word, q.began, q.tag, true
	defer g.unwind() // the classifier is user code, and may exit the goroutine
	return g.end(ctx, err)
}

// Settle ends the call with an outcome that the caller has judged, in place of
// the breaker's classification. err is recorded if the call trips the breaker;
// it may be nil. A Failure becomes Ignored if the deadline of ctx had passed
// before the call began. Settle returns what DoneContext would return.
func (p *Permit) Settle(ctx context.Context, o Outcome, err error) error {
	q := *p
	p.b = &settled
	if q.over() {
		return err
	}
	if o == Failure && q.overBefore(ctx) {
		o = Ignored
	}
	return q.settle(ctx, known(o), err)
}

// Ignore ends the call without evidence either way.
func (p *Permit) Ignore() { _ = p.Settle(nil, Ignored, nil) } //nolint:staticcheck // no context is a context that is not over

// Abandoned ends the call as a failure, unless it has already ended. Defer it
// after Allow to cover a call that panics or exits its goroutine:
//
//	defer permit.Abandoned()
func (p *Permit) Abandoned() {
	q := *p
	p.b = &settled
	if !q.over() {
		_ = q.settle(nil, Failure, errAbandoned) //nolint:staticcheck // the context is not known any more
	}
}

// over reports whether the permit has ended, or is the zero Permit.
func (p *Permit) over() bool { return p.b == &settled || p.b == nil }

// Answered reports that the answer has begun to arrive, for answers that are
// streamed at the pace of their reader. Two things follow. The call is slow or
// not by the time until Answered, not until Done. And a probe counts as a
// success here, so that the breaker need not stay half-open until the stream
// ends. The end of the stream is judged in the breaker's state at that time.
// Only the first Answered counts.
func (p *Permit) Answered() {
	if p.over() || p.tag&tagAnswered != 0 {
		return
	}
	p.answeredShadows()
	// Freeze the time, so that the rest of the stream does not make the call
	// slow.
	took, timed := p.took()
	p.began, p.tag = took, p.tag|tagAnswered
	if timed {
		p.tag |= tagTimed
	}
	// Only a probe reports early: otherwise a stream that breaks later would
	// count twice, as a success and as a failure.
	if p.tag.probe() == 0 {
		return
	}
	q := *p
	// Only judged and recorded: it is one call, and is observed and reported at
	// its end.
	q.settleAnswer(took)
	// From here on the permit belongs to the period that this success has led
	// to, which judges the end of the stream. If that is still the same period,
	// tagProbed keeps the probe from succeeding twice.
	p.word = p.b.load() | permitSlow
	p.tag = p.tag&^(tagNested|permitTag(p.tag.probe())) | tagProbed
}

// settleAnswer reports the success of a probe whose answer took so long to begin.
// mu is not held.
func (p *Permit) settleAnswer(took time.Duration) {
	r := p.b.settings()
	slow := r.slow(took)
	var rec *tape.Call
	if r.tape != nil {
		rec = new(tape.Call)
	}
	_ = p.b.judge(nil, p, Success, slow, took, nil, rec) //nolint:staticcheck // a success leaves no trace
	if rec != nil {
		p.recordSettled(r, *rec, Success, took, slow)
	}
	p.b.deliver()
}

// took returns how long the call took to be answered, or has taken so far. It
// returns false if the call is not timed.
func (p *Permit) took() (took time.Duration, timed bool) {
	if p.began != 0 || p.tag&tagAnswered != 0 { // small enough to be inlined
		took, timed = p.tookTimed()
	}
	return
}

func (p *Permit) tookTimed() (time.Duration, bool) {
	if p.tag&tagAnswered != 0 {
		return p.began, p.tag&tagTimed != 0
	}
	now := p.b.cfg.fine.get(p.b.cfg.clock).now(p.tag&tagExact != 0)
	return now - p.began, true
}

// countedPlain counts a success of a closed breaker whose word is still the
// permit's, unless it was slow, as counted does, and records it.
func (p *Permit) countedPlain() bool {
	if p.tag&^tagChecked == tagExact && p.recordedPlain() {
		return true
	}
	took, timed := p.took()
	if w := p.word &^ permitSlow; !timed {
		return p.b.countedFast(w) || p.b.counted(w, true)
	}
	r := p.b.settings()
	// If the call is recorded, the word must not have changed by the time that
	// took was read, as in doRecorded.
	var rec tape.Call
	if r.tape != nil {
		rec.Ended = p.endedAt(r, took)
	}
	switch w := p.word &^ permitSlow; {
	case r.slow(took):
		return false
	case r.tape == nil && !p.b.counted(w, false), r.tape != nil && (w&flagHeld != 0 || p.b.load() != w || !p.b.countedAt(w, rec.Ended)):
		return false
	}
	if p.word&flagObserved != 0 {
		p.b.observe(Success, false, atMost(took, p.tag&tagExact != 0))
	}
	if r.tape != nil {
		p.recordSettled(r, rec, Success, took, false)
	}
	return true
}

// exactly reports whether began is the beginning of the call by the exact clock.
func (p *Permit) exactly() bool { return p.tag&(tagExact|tagAnswered) == tagExact }

// belongs reports whether an outcome counts for the current period (I1).
func (p *Permit) belongs(w uint64) bool { return genOf(w) == genOf(p.word) }
