package metrics

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// Watcher counts the transitions of a manager's breakers, and the time they are
// open, by name. The counts never decrease, even if a set forgets a key. All
// methods may be called by many goroutines at once.
type Watcher struct {
	remove func() // removes the listener

	mu          sync.Mutex // guards the fields below
	transitions map[Transition]uint64
	heldBack    map[string]uint64 // by name
	openTime    map[string]*openTime
	states      map[string]breaker.State // by id, of breakers that are not closed
	counts      [5]int                   // of states; the count of Closed is not used
}

// Transition is a kind of transition.
type Transition struct {
	Name  string
	To    breaker.State
	Cause breaker.Cause
}

// openTime is how long the breakers with one name have been open or forced open,
// in sum. It does not depend on their number: calls wait while it is read.
type openTime struct {
	sum  time.Duration // until at
	at   time.Time
	open int // breakers that are open now
}

// until returns the sum until now.
func (o *openTime) until(now time.Time) time.Duration {
	return o.sum + time.Duration(o.open)*now.Sub(o.at)
}

// changed notes that the number of open breakers has changed at t. Transitions
// of different breakers may come in any order, so t may be before at.
func (o *openTime) changed(by int, t time.Time) {
	if t.After(o.at) {
		o.sum, o.at = o.until(t), t
	}
	o.open += by
	o.sum += time.Duration(by) * o.at.Sub(t)
}

// Watch starts counting. It adds no cost to calls. Close the Watcher to stop.
func Watch(m *breaker.Manager) *Watcher {
	w := &Watcher{
		transitions: make(map[Transition]uint64),
		heldBack:    make(map[string]uint64),
		openTime:    make(map[string]*openTime),
		states:      make(map[string]breaker.State),
	}
	w.remove = m.AddListener(breaker.Listener{StateChange: w.moved, HeldBack: w.countHeldBack})
	w.begin(m)
	return w
}

// Close stops counting.
func (w *Watcher) Close() { w.remove() }

// begin adds the breakers that are not closed already.
func (w *Watcher) begin(m *breaker.Manager) {
	for _, b := range m.Breakers() {
		if b.State() != breaker.Closed {
			w.beginWith(b)
		}
	}
}

// beginWith adds a breaker. A transition that is delivered meanwhile waits for
// the lock, and is in the status already if it was delivered before.
func (w *Watcher) beginWith(b *breaker.Breaker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := b.Status()
	w.setLocked(b.Name(), s.ID, s.State, s.Since)
}

// rejects reports whether a breaker in this state rejects every call.
func rejects(s breaker.State) bool { return s == breaker.Open || s == breaker.ForcedOpen }

// openTimeLocked returns the open time of a name.
func (w *Watcher) openTimeLocked(name string) *openTime {
	o := w.openTime[name]
	if o == nil {
		o = new(openTime)
		w.openTime[name] = o
	}
	return o
}

// moved is the listener's StateChange.
func (w *Watcher) moved(b *breaker.Breaker, t breaker.Transition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.transitions[Transition{b.Name(), t.To, t.Cause}]++
	if t.Shadow {
		return
	}
	w.setLocked(b.Name(), b.ID(), t.To, t.At)
}

// countHeldBack is the listener's HeldBack.
func (w *Watcher) countHeldBack(b *breaker.Breaker, _ breaker.Transition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heldBack[b.Name()]++
}

// setLocked notes the state of a breaker since a point in time. It keeps only
// those that are not closed, so that forgotten keys do not accumulate: a key
// closes before it is forgotten.
func (w *Watcher) setLocked(name, id string, is breaker.State, since time.Time) {
	was := w.states[id] // a breaker that is not in states is Closed
	w.counts[was]--
	w.counts[is]++
	if is == breaker.Closed {
		delete(w.states, id)
	} else {
		w.states[id] = is
	}
	o := w.openTimeLocked(name)
	switch {
	case rejects(is) && !rejects(was):
		o.changed(1, since)
	case rejects(was) && !rejects(is):
		o.changed(-1, since)
	}
}

// NotClosed returns the number of breakers in each state except Closed,
// according to the transitions delivered so far. Its cost does not depend on
// the number of breakers.
func (w *Watcher) NotClosed() map[breaker.State]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := make(map[breaker.State]int)
	for _, s := range States()[1:] {
		if w.counts[s] > 0 {
			n[s] = w.counts[s]
		}
	}
	return n
}

// Transitions yields each kind of transition and how many there have been, in a
// fixed order.
func (w *Watcher) Transitions() iter.Seq2[Transition, uint64] {
	return func(yield func(Transition, uint64) bool) {
		w.mu.Lock()
		counts := maps.Clone(w.transitions)
		w.mu.Unlock()
		for _, t := range slices.SortedFunc(maps.Keys(counts), func(a, b Transition) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.To, b.To), cmp.Compare(a.Cause, b.Cause))
		}) {
			if !yield(t, counts[t]) {
				return
			}
		}
	}
}

// HeldBack yields each name that Manager.CapOpen has kept from opening and how
// many times, in order of names.
func (w *Watcher) HeldBack() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		w.mu.Lock()
		counts := maps.Clone(w.heldBack)
		w.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			if !yield(name, counts[name]) {
				return
			}
		}
	}
}

// OpenTime yields each name and the total time that its breakers have been open
// or forced open until now, in order of names. Two breakers open for a second
// add up to two seconds.
func (w *Watcher) OpenTime(now time.Time) iter.Seq2[string, time.Duration] {
	return func(yield func(string, time.Duration) bool) {
		w.mu.Lock()
		sums := make(map[string]time.Duration, len(w.openTime))
		for name, o := range w.openTime {
			sums[name] = max(0, o.until(now))
		}
		w.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			if !yield(name, sums[name]) {
				return
			}
		}
	}
}
