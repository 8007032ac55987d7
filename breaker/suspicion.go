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
	mostMarked     = 512             // earlier trips that are marked when an episode begins
)

// suspicion finds breakers of a manager that trip together. If a large share of
// breakers that guard different things trips at once, the fault is probably in
// this process or its network, not in all of those things. The keys of a set
// share one dependency, so they count as one.
//
// It receives trips as a listener does, with no lock held. Its own lock is taken
// alone, by each call that trips, so what is done under it does not grow with the
// number of trips.
type suspicion struct {
	mu      sync.Mutex      // guards the fields below
	tripped ends            // breakers and sets that have tripped; they end five seconds after their newest trip
	newest  map[*config]end // of each of them; may hold some that have ended
	trips   []tripOf        // the newest trips outside an episode, a ring once there are mostMarked
	next    int             // where the next trip goes in a full ring
	episode Suspicion       // the newest one; Of is 0 if there was none
	during  bool            // the episode is not over
	report  func(Suspicion) // set by OnSuspicion
}

// tripOf is a trip of a breaker.
type tripOf struct {
	b *Breaker
	t *Transition
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
// SuspectLocal: all from then on, and the newest 512 of those before. f runs with
// no lock held; a panic in it is recovered. A later OnSuspicion replaces f.
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
// episode begins, those that led to it as well.
func (s *suspicion) note(b *Breaker, t *Transition, total int) (suspects []tripOf, news *Suspicion, tell func(Suspicion)) {
	until := newEnd(t.At.Add(tripsTogether))
	s.mu.Lock()
	defer s.mu.Unlock()
	count := s.tripped.count(t.At.Add(-1)) // a trip exactly five seconds ago counts
	s.during = s.during && suspect(count, total)
	if count == 0 {
		s.newest, s.trips, s.next = make(map[*config]end), nil, 0
	}
	s.tripped.remove(s.newest[b.cfg])
	s.newest[b.cfg] = s.tripped.add(until)
	count = s.tripped.count(t.At.Add(-1))
	this := tripOf{b, t}
	switch {
	case !suspect(count, total):
		s.keep(this)
		return nil, nil, nil
	case s.during:
		return []tripOf{this}, nil, nil
	}
	for _, x := range s.trips {
		if t.At.Sub(x.t.At) <= tripsTogether {
			suspects = append(suspects, x)
		}
	}
	s.trips, s.next, s.during = nil, 0, true
	s.episode = Suspicion{At: t.At, Opened: count, Of: total}
	e := s.episode
	return append(suspects, this), &e, s.report
}

// keep keeps a trip to be marked if an episode begins. mu is held.
func (s *suspicion) keep(x tripOf) {
	if len(s.trips) < mostMarked {
		s.trips = append(s.trips, x)
		return
	}
	s.trips[s.next] = x
	s.next = (s.next + 1) % mostMarked
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
