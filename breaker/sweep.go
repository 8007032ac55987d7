package breaker

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/internal/vtime"
)

// sweeper checks a set from time to time: for keys that have been idle for
// Retention, for history beyond its budget, and for healthy keys beyond
// MaxKeys. Its timer is set only while some key has evidence, so an idle set
// costs nothing, and there is no goroutine to stop (I10).
//
// Idleness is measured in ticks. Each sweep notes its tick and its time, so a
// key that has not been used since a sweep that is Retention old has been idle
// for at least as long.
type sweeper struct {
	mu     sync.Mutex    // guards the fields below; may be taken while a Breaker.mu is held, and takes no other lock
	timer  *vtime.Timer  // nil: not set
	soon   bool          // the timer is set for a sweep as soon as possible
	ended  time.Time     // when the last sweep ended
	took   time.Duration // how long the last sweep took
	stamps []stamp       // past sweeps, oldest first
}

// stamp is the time and the tick of a sweep.
type stamp struct {
	at   time.Time
	tick uint32
}

// sweepsPerRetention is how precisely Retention is kept: evidence lapses up to a
// sixteenth of it late.
const sweepsPerRetention = 16

// sweptSet is what a sweeper needs of its set. It hides the type of the keys.
type sweptSet interface {
	sweep()
	sweepEvery() time.Duration
	source() *vtime.Source
}

// schedule sets the timer unless it is set already. A Breaker.mu may be held.
func (w *sweeper) schedule(s sweptSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		w.timer = s.source().AfterFunc(s.sweepEvery(), s.sweep)
	}
}

// runSoon starts the next sweep in a moment, or shortly after the last one, so
// that sweeping takes at most a twentieth of one processor however much there is
// to do. A Breaker.mu may be held: the sweep itself runs on the timer's goroutine.
// A sweep skips breakers whose lock is held. So it waits until the caller has
// released its breaker's lock: that may be the only breaker that can be dropped.
func (w *sweeper) runSoon(s sweptSet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.soon {
		return
	}
	w.soon = true
	// The regular timer gives way to an earlier one.
	if w.timer != nil {
		w.timer.Stop()
	}
	wait := max(time.Second, 20*w.took) - s.source().Since(w.ended)
	w.timer = s.source().AfterFunc(max(time.Millisecond, wait), s.sweep)
}

// end notes when a sweep ended and how long it took.
func (w *sweeper) end(began, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.took = now, now.Sub(began)
}

// begin notes the time and tick of a sweep. It returns the tick of the newest
// sweep that is at least retention old: a key last used before that tick has
// been idle for long enough. ok is false if there is no such sweep yet.
func (w *sweeper) begin(now time.Time, tick uint32, retention time.Duration) (idle uint32, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// From here on, schedule and runSoon may set the timer again.
	w.timer, w.soon = nil, false
	w.stamps = append(w.stamps, stamp{now, tick})
	for len(w.stamps) > 0 && now.Sub(w.stamps[0].at) >= retention {
		idle, ok = w.stamps[0].tick, true
		// Keep this one: the next sweep needs it until a newer one is old
		// enough.
		if len(w.stamps) == 1 || now.Sub(w.stamps[1].at) < retention {
			break
		}
		w.stamps = w.stamps[1:]
	}
	if most := 4 * sweepsPerRetention; len(w.stamps) > most { // there were many sweeps close together
		// Drop one from the middle: the oldest is needed next, and the newest
		// later.
		w.stamps = slices.Delete(w.stamps, most/2, most/2+1)
	}
	return idle, ok
}

func (s *Set[K]) source() *vtime.Source { return s.cfg.clock }

// sweepEvery returns the time between sweeps. If bad calls in a window keep a
// key, sweeps are more frequent, so that the key is healthy again soon after
// they have left the window.
func (s *Set[K]) sweepEvery() time.Duration {
	every := max(time.Millisecond, s.limits.Retention/sweepsPerRetention)
	if r := s.cfg.settings.Load(); r.flags&flagCounted != 0 {
		every = min(every, max(r.Window, time.Minute))
	}
	return every
}

// sweep is the function of the sweeper's timer. No lock is held.
func (s *Set[K]) sweep() {
	began := s.cfg.clock.Now()
	idle, ok := s.sweeper.begin(began, s.tick.Add(1), s.limits.Retention)
	var light []*Breaker
	for _, b := range s.WithEvidence() {
		switch {
		case ok && int32(b.used.Load()-idle) < 0:
			// Idle for Retention. The difference is signed, because ticks wrap
			// around.
			b.forget(lapseIfIdle)
		case b.load()&evidenceMask != flagKept:
		case b.hasHistory():
			// Healthy apart from its history: it may be dropped below.
			light = append(light, b)
		default:
			b.forget(lapseHistory) // perhaps its bad calls have left the window
		}
	}
	s.shortenHistory(light)
	// Restored keys may have exceeded both limits: see restoreWithEvidence.
	for s.total.Load() > s.most() && s.dropOne() {
	}
	s.evictBeyond()
	s.sweeper.end(began, s.cfg.clock.Now())
	// Without evidence there is nothing left to watch, and the timer stays off.
	if s.evidence.Load() > 0 {
		s.sweeper.schedule(s)
	}
}

// shortenHistory drops histories of keys that are healthy now, the longest idle
// first, until a tenth of the budget is free. The tenth keeps the next sweep
// from having to start again at once.
func (s *Set[K]) shortenHistory(of []*Breaker) {
	most := int64(s.limits.MaxHistory)
	if s.historyOnly.Load() <= most {
		return
	}
	now := s.tick.Load()
	idle := func(b *Breaker) uint32 { return now - b.used.Load() }
	slices.SortFunc(of, func(a, b *Breaker) int { return cmp.Compare(idle(b), idle(a)) })
	// A key that cannot forget now, because it is in use, is simply skipped.
	for _, b := range of {
		if s.historyOnly.Load() <= most-most/10 {
			return
		}
		b.forget(lapseHistory)
	}
}
