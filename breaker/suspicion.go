package breaker

import (
	"fmt"
	"sync"
	"time"
)

const (
	tripsTogether  = 5 * time.Second // trips this close together are one episode
	fewestSuspects = 3
	suspectShare   = 0.5 // of the breakers and sets: from here on the fault is likely here
)

// suspicion is a manager's view of breakers that trip together. When a large
// share of breakers that guard different things trip at once, the fault is
// likely in this process or its network, not in all those things. The keys of
// one set count as one: they have their dependency in common.
//
// It hears of trips as a listener does, outside every lock. Its own is taken
// alone.
type suspicion struct {
	mu      sync.Mutex
	trips   []tripOf        // of the last tripsTogether, oldest first
	tripped map[*config]int // how many of them each has
	episode Suspicion       // the newest; Of 0: there was none
	report  func(Suspicion)
}

type tripOf struct {
	b      *Breaker
	t      *Transition
	marked bool
}

// Suspicion says that many independent breakers tripped together.
type Suspicion struct {
	At     time.Time `json:"at"`     // when their share was reached
	Opened int       `json:"opened"` // breakers and sets that had tripped within five seconds then
	Of     int       `json:"of"`     // breakers and sets there were
}

// String is one sentence for a log.
func (s Suspicion) String() string {
	return fmt.Sprintf("%d of %d independent breakers tripped within %s: look for the fault in this process or its network first", s.Opened, s.Of, tripsTogether)
}

// OnSuspicion calls f, once for each episode, when at least half of the
// manager's breakers and sets, and no fewer than three, trip within five
// seconds: then the fault is likely in this process. Those transitions are
// marked SuspectLocal. f runs outside every lock; a panic in it is recovered.
func (m *Manager) OnSuspicion(f func(Suspicion)) {
	m.suspicion.mu.Lock()
	defer m.suspicion.mu.Unlock()
	m.suspicion.report = f
}

// Suspicion is the newest episode, if there was one.
func (m *Manager) Suspicion() (Suspicion, bool) {
	m.suspicion.mu.Lock()
	defer m.suspicion.mu.Unlock()
	return m.suspicion.episode, m.suspicion.episode.Of > 0
}

// tripped hears of a transition before any listener does, and returns it, or a
// copy that is marked.
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
		if marked := s.b.markSuspect(s.t); s.b == b && s.t == t {
			t = marked
		}
	}
	if news != nil && tell != nil {
		defer func() {
			if p := recover(); p != nil {
				b.cfg.caught("function of OnSuspicion", p)
			}
		}()
		tell(*news)
	}
	return t
}

// note enters a trip. It returns the trips to mark: none, or this one, or with
// it all that led to a new episode.
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

func suspect(tripped, total int) bool {
	return tripped >= fewestSuspects && float64(tripped) >= suspectShare*float64(total)
}

// markSuspect marks a record. Readers may hold it, so a copy takes its place.
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
