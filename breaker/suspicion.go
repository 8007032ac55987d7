package breaker

import (
	"fmt"
	"sync"
	"time"
)

const (
	tripsTogether  = 5 * time.Second // trips this close together are one episode
	fewestSuspects = 3               // breakers and sets that must have tripped
	suspectShare   = 0.5             // and their share of all breakers and sets
)

// suspicion finds breakers of a manager that trip together. If a large share of
// breakers that guard different things trips at once, the fault is probably in
// this process or its network, not in all of those things. The keys of a set
// share one dependency, so they count as one.
//
// It receives trips as a listener does, with no lock held. Its own lock is taken
// alone.
type suspicion struct {
	mu      sync.Mutex      // guards the fields below
	trips   []tripOf        // trips of the last five seconds, oldest first
	tripped map[*config]int // how many of them each breaker or set has
	episode Suspicion       // the newest one; Of is 0 if there was none
	report  func(Suspicion) // set by OnSuspicion
}

// tripOf is a trip, and whether its record is marked as suspect.
type tripOf struct {
	b      *Breaker
	t      *Transition
	marked bool
}

// Suspicion reports that many independent breakers tripped together.
type Suspicion struct {
	At     time.Time `json:"at"`     // when their share was reached
	Opened int       `json:"opened"` // breakers and sets that had tripped within five seconds by then
	Of     int       `json:"of"`     // all breakers and sets of the manager at that time
}

// String returns one sentence for a log.
func (s Suspicion) String() string {
	return fmt.Sprintf("%d of %d independent breakers tripped within %s: check this process and its network first", s.Opened, s.Of, tripsTogether)
}

// OnSuspicion calls f once for each episode in which at least three, and at
// least half, of the manager's breakers and sets trip within five seconds. The
// fault is then probably in this process. These transitions are marked
// SuspectLocal. f runs with no lock held; a panic in it is recovered. A later
// OnSuspicion replaces f.
func (m *Manager) OnSuspicion(f func(Suspicion)) {
	m.suspicion.mu.Lock()
	defer m.suspicion.mu.Unlock()
	m.suspicion.report = f
}

// Suspicion returns the newest episode, and reports whether there was one.
func (m *Manager) Suspicion() (Suspicion, bool) {
	m.suspicion.mu.Lock()
	defer m.suspicion.mu.Unlock()
	return m.suspicion.episode, m.suspicion.episode.Of > 0
}

// tripped receives each transition before the listeners do. It returns the
// transition, or a copy that is marked as suspect. No lock is held.
func (m *Manager) tripped(b *Breaker, t *Transition) *Transition {
	if t.From != Closed || t.To != Open || t.Cause == CauseOrder || t.Cause == CauseFleet {
		return t
	}
	total, member := m.count(b.cfg)
	if !member {
		return t
	}
	suspects, news, tell := m.suspicion.note(b, t, total)
	for _, s := range suspects {
		t = s.b.markSuspect(s.t) // at last this one, which is the newest
	}
	if news != nil && tell != nil {
		defer func() {
			if p := recover(); p != nil {
				b.cfg.caught("the function of OnSuspicion", p)
			}
		}()
		tell(*news)
	}
	return t
}

// note adds a trip. It returns the trips to mark: none, or this one, or if a new
// episode begins, all trips that led to it.
func (s *suspicion) note(b *Breaker, t *Transition, total int) (suspects []tripOf, news *Suspicion, tell func(Suspicion)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.trips) > 0 && t.At.Sub(s.trips[0].t.At) > tripsTogether {
		cfg := s.trips[0].b.cfg
		if s.tripped[cfg]--; s.tripped[cfg] == 0 {
			delete(s.tripped, cfg)
		}
		s.trips = s.trips[1:]
	}
	before := suspect(len(s.tripped), total)
	if s.tripped == nil {
		s.tripped = make(map[*config]int)
	}
	s.tripped[b.cfg]++
	s.trips = append(s.trips, tripOf{b: b, t: t})
	if !suspect(len(s.tripped), total) {
		return nil, nil, nil
	}
	if !before {
		s.episode = Suspicion{At: t.At, Opened: len(s.tripped), Of: total}
		e := s.episode
		news, tell = &e, s.report
	}
	for i := range s.trips {
		if x := &s.trips[i]; !x.marked {
			x.marked = true
			suspects = append(suspects, *x)
		}
	}
	return suspects, news, tell
}

// suspect reports whether so many trips are suspicious.
func suspect(tripped, total int) bool {
	return tripped >= fewestSuspects && float64(tripped) >= suspectShare*float64(total)
}

// markSuspect marks a record as suspect. Readers may hold the record, so a copy
// takes its place. mu is not held.
func (b *Breaker) markSuspect(t *Transition) *Transition {
	b.mu.Lock()
	defer b.mu.Unlock()
	marked := *t
	marked.SuspectLocal = true
	c := b.cold.Load()
	c.past.replace(t, &marked)
	if c.last == t {
		c.last = &marked
		c.reject.Store(nil)
	}
	if c.opened == t {
		c.opened = &marked
	}
	return &marked
}
