package breaker

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// sweeper looks through a set from time to time, on a timer of its own: for keys
// that have been idle for Retention, for a history beyond its budget, and for
// healthy keys beyond their number. It is set only while some key has evidence,
// so an idle set costs nothing.
//
// A key's idleness is known in ticks. Each sweep notes which tick it was, so a
// key that has not been used since a sweep long enough ago has been idle for as
// long.
type sweeper struct {
	mu     sync.Mutex
	timer  *vtime.Timer  // nil: not set
	soon   bool          // it is set to run as soon as it may
	ended  time.Time     // the last sweep
	took   time.Duration // the last sweep
	stamps []stamp       // of past sweeps, the oldest first
}

type stamp struct {
	at   time.Time
	tick uint32
}

// sweepsPerRetention is how exactly Retention is kept: a sixteenth longer.
const sweepsPerRetention = 16

// sweptSet is a set as its sweeper sees it.
type sweptSet interface {
	sweep()
	sweepEvery() time.Duration
	source() *vtime.Source
}

// schedule sets the timer, as there is something to look after. A breaker's lock
// may be held.
func (w *sweeper) schedule(s sweptSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		w.timer = s.source().AfterFunc(s.sweepEvery(), s.sweep)
	}
}

// runSoon makes the next sweep begin soon: at once, unless the last one was just
// now. However much there is to do, sweeping takes little of a processor. A
// breaker's lock may be held.
func (w *sweeper) runSoon(s sweptSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.soon {
		return
	}
	w.soon = true
	if w.timer != nil {
		w.timer.Stop()
	}
	wait := max(time.Second, 20*w.took) - s.source().Since(w.ended)
	w.timer = s.source().AfterFunc(max(0, wait), s.sweep)
}

// end notes how long a sweep took.
func (w *sweeper) end(began, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.took = now, now.Sub(began)
}

// begin notes the time of a sweep. It returns the tick before which a key was
// used last if it has been idle for long enough; false: there is none yet.
func (w *sweeper) begin(now time.Time, tick uint32, retention time.Duration) (idle uint32, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer, w.soon = nil, false
	w.stamps = append(w.stamps, stamp{now, tick})
	for len(w.stamps) > 0 && now.Sub(w.stamps[0].at) >= retention {
		idle, ok = w.stamps[0].tick, true
		if len(w.stamps) == 1 || now.Sub(w.stamps[1].at) < retention {
			break
		}
		w.stamps = w.stamps[1:]
	}
	if most := 4 * sweepsPerRetention; len(w.stamps) > most { // many in a hurry
		w.stamps = slices.Delete(w.stamps, most/2, most/2+1)
	}
	return idle, ok
}

func (s *Set[K]) source() *vtime.Source { return s.cfg.clock }

// sweepEvery is a part of Retention. Where failures in a window make a key worth
// keeping, it is found healthy again soon after they have left it.
func (s *Set[K]) sweepEvery() time.Duration {
	every := max(time.Millisecond, s.limits.Retention/sweepsPerRetention)
	if r := s.cfg.settings.Load(); r.flags&flagCounted != 0 {
		every = min(every, max(r.Window, time.Minute))
	}
	return every
}

func (s *Set[K]) sweep() {
	began := s.cfg.clock.Now()
	idle, ok := s.sweeper.begin(began, s.tick.Add(1), s.limits.Retention)
	var light []*Breaker
	for _, b := range s.WithEvidence() {
		switch {
		case ok && int32(b.used.Load()-idle) < 0:
			b.forget(lapseIfIdle)
		case b.load()&evidenceMask != flagKept:
		case b.hasHistory():
			light = append(light, b)
		default:
			b.forget(lapseHistory) // its window may have forgotten too
		}
	}
	s.shortenHistory(light)
	for s.total.Load() > s.most() && s.dropOne() {
	}
	for s.healthy() > int64(s.limits.MaxKeys) && s.evictOne() {
	}
	s.sweeper.end(began, s.cfg.clock.Now())
	if s.evidence.Load() > 0 {
		s.sweeper.schedule(s)
	}
}

// shortenHistory drops the histories of keys that are healthy now, the longest
// idle first, until a tenth of what MaxHistory allows is free.
func (s *Set[K]) shortenHistory(of []*Breaker) {
	most := int64(s.limits.MaxHistory)
	if s.historyOnly.Load() <= most {
		return
	}
	now := s.tick.Load()
	idle := func(b *Breaker) uint32 { return now - b.used.Load() }
	slices.SortFunc(of, func(a, b *Breaker) int { return cmp.Compare(idle(b), idle(a)) })
	for _, b := range of {
		if s.historyOnly.Load() <= most-most/10 {
			return
		}
		b.forget(lapseHistory)
	}
}
