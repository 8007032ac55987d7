package meter

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Tally counts what the breakers of a manager go through, by name. Its counts
// only grow, also when a set forgets a key. Its methods may be called by many
// goroutines at once.
type Tally struct {
	remove func()

	mu     sync.Mutex // guards the fields below
	by     map[Move]uint64
	shut   map[string]*shutTime
	states map[string]breaker.State // by ID: those that are not closed
	counts [5]int                   // of states
}

// Move is a kind of transition.
type Move struct {
	Name  string
	To    breaker.State
	Cause breaker.Cause
}

// shutTime is the time that the breakers of a name reject.
type shutTime struct {
	sum   time.Duration        // of the stretches that are over
	since map[string]time.Time // by ID: those under way
}

// Watch begins a tally of m. It costs the calls nothing.
func Watch(m *breaker.Manager) *Tally {
	t := &Tally{by: make(map[Move]uint64), shut: make(map[string]*shutTime), states: make(map[string]breaker.State)}
	t.remove = m.AddListener(breaker.Listener{StateChange: t.moved})
	t.begin(m)
	return t
}

// Close ends the counting.
func (t *Tally) Close() { t.remove() }

// begin takes in what rejects already. Transitions that are told meanwhile wait
// for it, and are no news to what it saw.
func (t *Tally) begin(m *breaker.Manager) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range m.Status() {
		t.setLocked(s.ID, s.State)
		if rejects(s.State) {
			t.shutOf(s.Name).since[s.ID] = s.Since
		}
	}
}

func rejects(s breaker.State) bool { return s == breaker.Open || s == breaker.ForcedOpen }

func (t *Tally) shutOf(name string) *shutTime {
	s := t.shut[name]
	if s == nil {
		s = &shutTime{since: make(map[string]time.Time)}
		t.shut[name] = s
	}
	return s
}

func (t *Tally) moved(b *breaker.Breaker, m breaker.Transition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by[Move{b.Name(), m.To, m.Cause}]++
	if m.Shadow {
		return
	}
	s, id := t.shutOf(b.Name()), b.ID()
	t.setLocked(id, m.To)
	since, was := s.since[id]
	switch is := rejects(m.To); {
	case is && !was:
		s.since[id] = m.At
	case was && !is:
		s.sum += m.At.Sub(since)
		delete(s.since, id)
	}
}

// setLocked keeps only those that are not closed: a key that is forgotten is.
func (t *Tally) setLocked(id string, is breaker.State) {
	t.counts[t.states[id]]-- // Closed when it is not there, whose count nobody asks for
	t.counts[is]++
	if is == breaker.Closed {
		delete(t.states, id)
	} else {
		t.states[id] = is
	}
}

// NotClosed is how many breakers there are in each state but Closed, as far as
// listeners have been told. It takes the same time however many there are.
func (t *Tally) NotClosed() map[breaker.State]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := make(map[breaker.State]int)
	for _, s := range States[1:] {
		if t.counts[s] > 0 {
			n[s] = t.counts[s]
		}
	}
	return n
}

// EachMove calls f for each kind of transition that there has been, in order.
func (t *Tally) EachMove(f func(Move, uint64)) {
	t.mu.Lock()
	by := maps.Clone(t.by)
	t.mu.Unlock()
	moves := slices.SortedFunc(maps.Keys(by), func(a, b Move) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.To, b.To), cmp.Compare(a.Cause, b.Cause))
	})
	for _, m := range moves {
		f(m, by[m])
	}
}

// EachOpenTime calls f for each name with the time that its breakers have been
// open or forced open, all together, in order.
func (t *Tally) EachOpenTime(now time.Time, f func(name string, d time.Duration)) {
	t.mu.Lock()
	sums := make(map[string]time.Duration, len(t.shut))
	for name, s := range t.shut {
		sums[name] = s.sum
		for _, since := range s.since {
			sums[name] += max(0, now.Sub(since))
		}
	}
	t.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		f(name, sums[name])
	}
}
