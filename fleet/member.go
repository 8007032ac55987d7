package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

const (
	// storeTime is how long the fleet waits for one operation of the store.
	storeTime = 500 * time.Millisecond
	// ticks of a member in a beat: calls are read, and breakers held, so often.
	ticks = 5
	// aloneAfter is how many beats without the coordinator, or beats that failed one
	// after the other, make a member alone.
	aloneAfter = 3
)

// member is the goroutine that watches the breakers and acts on them. It never
// waits for the store (F1, F6).
func (f *Fleet) member(ctx context.Context) {
	tick := time.NewTicker(f.o.Beat / ticks)
	defer tick.Stop()
	defer func() {
		for _, g := range f.gauges {
			g.forget()
		}
	}()
	fresh, beat := true, true
	for n := 1; ; {
		f.turn(fresh, beat)
		select {
		case <-tick.C:
			fresh = n%ticks == 0
			beat = fresh
			n++
		case <-f.news:
			fresh, beat = true, false
			rest(ctx, f.o.Beat/50)
		case <-f.wake:
			fresh, beat = false, false
		case <-ctx.Done():
			return
		}
	}
}

// tellMoved is called on the goroutine of the call or order that moved a breaker. It
// waits for nothing.
func (f *Fleet) tellMoved(b *breaker.Breaker) {
	select {
	case f.moved <- b:
	default:
	}
	poke(f.news)
}

// turn is one step of the member. fresh: breakers are read even if they seem
// unchanged. beat: keys of sets are looked for, which takes time if there are many.
func (f *Fleet) turn(fresh, beat bool) {
	now := f.now()
	f.mu.Lock()
	f.digest, f.heardAt, f.clock, f.missed = f.heard.digest, f.heard.At, f.heard.clock, f.failures
	f.mu.Unlock()
	f.poll(now, fresh, beat)
	t := f.step(now, fresh)
	alone := f.heardAt == 0 || now-f.heardAt > aloneAfter*f.o.Beat || f.missed >= aloneAfter
	f.mu.Lock()
	soon := newsWorthy(f.summary.claims, t.claims)
	f.summary = t
	f.mu.Unlock()
	if soon {
		poke(f.summaryChanged)
	}
	f.change(func(s *State) {
		if alone && !s.Alone {
			s.AloneSince = time.Now()
		}
		if s.Alone = alone; !alone {
			s.Joined, s.AloneSince = true, time.Time{}
		}
	})
}

// newsWorthy reports whether the others should hear at once: of new failures,
// and of breakers that moved.
func newsWorthy(was, is []verdict.Claim) bool {
	old := make(map[string]*verdict.Claim, len(was))
	for i := range was {
		old[was[i].ID] = &was[i]
	}
	for i := range is {
		c := &is[i]
		o := old[c.ID]
		if o == nil || o.Auto != c.Auto || o.Probe != c.Probe || o.Under != c.Under || o.Tripped != c.Tripped ||
			c.Spans[0].Failures > o.Spans[0].Failures || c.Spans[0].Slow > o.Spans[0].Slow {
			return true
		}
	}
	return len(is) < len(was)
}

// view is what the member has heard.
func (f *Fleet) view(now time.Duration) verdict.View {
	v := verdict.View{Member: f.boot, Zone: f.o.Zone, Advise: f.o.Advise}
	if f.digest != nil && f.heardAt > 0 {
		v.Clock, v.Age = f.clock, now-f.heardAt
		// A member that cannot be heard has no part in verdicts, so none may
		// hold it: a store that is full can still be read.
		v.Heard = v.Age < f.params.Patience() && f.missed < f.params.Silence
	}
	return v
}

// talk is the goroutine that beats: each beat, and soon after news, it says what
// there is to report, and reads the digest. A store that is away is tried again
// after pauses drawn by chance, of three quarters of a beat on average. So the
// attempts of a fleet are no more than its beats are, its members come back
// spread over a beat and a half, and no one has to wait for long.
func (f *Fleet) talk(ctx context.Context) {
	seq, failed := uint64(0), false
	pause := f.share(f.o.Beat) // not all at once after a deploy
	var last time.Duration
	for {
		f.pause(ctx, pause, last, !failed)
		if ctx.Err() != nil {
			return
		}
		seq++
		last = f.now()
		err := f.beat(ctx, seq)
		if ctx.Err() != nil {
			return
		}
		failed = err != nil
		pause = f.o.Beat*3/4 + f.share(f.o.Beat/2)
		if failed {
			pause = max(f.share(f.o.Beat*3/2), f.o.Beat/ticks)
		}
	}
}

// share is a random part of d.
func (f *Fleet) share(d time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(d) + 1))
}

// pause waits, and less if there is news, but for a fifth of a beat since the
// last.
func (f *Fleet) pause(ctx context.Context, d, last time.Duration, hurry bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	news := f.summaryChanged
	if !hurry {
		news = nil
	}
	for {
		select {
		case <-news:
			news = nil
			timer.Reset(min(d, max(0, last+f.o.Beat/ticks-f.now())))
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// beat reports to the store what there is to report.
func (f *Fleet) beat(ctx context.Context, seq uint64) error {
	report := f.report(seq)
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	digest, err := f.store.Beat(ctx, f.field, f.seal.Close(wire.KindReport, report.Append()))
	if err != nil {
		f.failedBeat(err)
		return err
	}
	f.change(func(s *State) {
		if f.failures > 0 || !s.Alone { // else another error is why
			s.LastError = ""
		}
		f.failures = 0
		s.Beats++
	})
	if digest != nil {
		f.hear(digest, false)
	}
	return nil
}

func (f *Fleet) failedBeat(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	f.change(func(s *State) {
		f.failures++
		s.Failed++
		s.LastError = err.Error()
	})
}

func (f *Fleet) report(seq uint64) *wire.Report {
	done := f.book.through()
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &wire.Report{
		Boot: f.boot, Seq: seq, Zone: f.o.Zone, Member: f.o.Member, Build: f.o.Build, Breakers: f.m.Len(),
		Omitted: f.summary.omitted, Partial: f.summary.partial, Advise: f.o.Advise, Orders: f.takesOrders(), Interval: f.o.Beat,
		Claims: f.summary.claims, Well: f.summary.well, Done: done, Clock: f.heard.clock,
	}
	return r
}

func (f *Fleet) takesOrders() bool { return f.o.Plane != nil && len(f.o.Key) > 0 && !f.o.Advise }

// listen is the goroutine that hears digests as they are published. That is
// only quicker: what counts is read with each beat. So it waits for a beat that the
// store takes: when a store comes back, the beats of all members go before it.
func (f *Fleet) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if !f.beats() {
			rest(ctx, f.o.Beat/ticks)
			continue
		}
		err := f.store.Listen(ctx, func(digest []byte) { f.hear(digest, true) })
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.change(func(s *State) { s.LastError = err.Error() })
		}
		rest(ctx, f.o.Beat/10+f.share(f.o.Beat))
	}
}

// beats reports whether the store took the last beat.
func (f *Fleet) beats() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Beats > 0 && f.failures == 0
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hear takes in a digest, if it is newer than what was heard.
func (f *Fleet) hear(message []byte, pushed bool) {
	body, err := f.seal.Open(wire.KindDigest, message)
	if err != nil {
		f.dropped(err)
		return
	}
	d, err := wire.ReadDigest(body)
	if err != nil {
		f.dropped(err)
		return
	}
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &f.heard
	if !h.Take(&f.params, now, d.Term, d.Seq, pushed) {
		return // (F8)
	}
	h.digest, h.clock = d, max(h.clock, d.Clock)
	if h.At == 0 {
		return
	}
	f.state.Members, f.state.Silent, f.state.Beyond = d.Members, d.Silent, d.Beyond
	poke(f.wake)
	if d.Orders != f.read {
		poke(f.fetch)
	}
}
