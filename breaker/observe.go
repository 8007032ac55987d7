package breaker

import (
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// Calls counts how the calls of one breaker, or of all keys of one set, ended
// while they were observed. The counts never decrease.
type Calls struct {
	Successes uint64 `json:"successes"`
	Failures  uint64 `json:"failures"`
	Ignored   uint64 `json:"ignored"`  // neither success nor failure, including calls that their callers cancelled
	Rejected  uint64 `json:"rejected"` // rejected by the breaker: they did not run
	Slow      uint64 `json:"slow"`     // took SlowCall or longer, and are evidence, or were cancelled by their callers; also counted above

	// Latency is how long calls took, where calls are timed: those that
	// succeeded, failed, or were slow when their callers cancelled them.
	Latency Latency `json:"-"`
}

// callCount holds the counters behind Calls: one slot of a cell for each
// Outcome, then those below. A breaker has one; all keys of a set share one.
type callCount struct {
	on atomic.Bool // counting now; the counts stay when it ends
	striped
	latency latencyCount
}

const (
	// Slots after those of the outcomes.
	countRejected = Canceled + 1
	countSlow     = Canceled + 2
)

// read adds up the cells.
func (c *callCount) read() (n Calls) {
	c.each(func(x *cell) {
		n.Successes += x[Success].Load()
		n.Failures += x[Failure].Load()
		n.Ignored += x[Ignored].Load() + x[Canceled].Load()
		n.Rejected += x[countRejected].Load()
		n.Slow += x[countSlow].Load()
	})
	n.Latency = c.latency.read()
	return n
}

// untimed is the duration of a call that was not timed, or not yet.
const untimed time.Duration = -1

// count counts a call that was settled or rejected, and that took so long. A nil
// callCount counts nothing: that is found out without a call.
func (c *callCount) count(what Outcome, slow bool, took time.Duration) {
	if c != nil {
		c.countCall(what, slow, took)
	}
}

func (c *callCount) countCall(what Outcome, slow bool, took time.Duration) {
	if !c.on.Load() {
		return
	}
	c.add(int(what))
	if slow {
		c.add(int(countSlow))
	}
	// A call that its caller gave up says how slow the dependency is only if it
	// was slow by then.
	if took != untimed && (what == Success || what == Failure || slow) {
		c.latency.add(took)
	}
}

// observe counts a call for Manager.Observe and for Peer.Watch, if they want it.
func (b *Breaker) observe(what Outcome, slow bool, took time.Duration) {
	b.cfg.calls.Load().count(what, slow, took)
	if c := b.cold.Load(); c != nil {
		c.calls.Load().count(what, slow, took)
	}
}

// observe starts or stops counting. The words of the breakers follow in refresh.
func (c *config) observe(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls.Load() == nil {
		c.calls.Store(new(callCount))
	}
	c.calls.Load().on.Store(on)
}

func (b *Breaker) setObserved(on bool) {
	b.cfg.observe(on)
	b.refresh()
}

func (s *Set[K]) setObserved(on bool) {
	s.cfg.observe(on)
	s.refresh()
}

// Observe starts counting the calls of every breaker and set, including those
// that are created later. Counting ends when stop is called; if Observe was
// called several times, when every stop has been called. Calls returns the
// counts. Observing adds about 6 ns to a call, or 20 ns if calls are timed, and
// nothing while it is off.
func (m *Manager) Observe() (stop func()) {
	m.observe(1)
	return sync.OnceFunc(func() { m.observe(-1) })
}

func (m *Manager) observe(more int) {
	m.changing.Lock()
	defer m.changing.Unlock()
	was := m.observers.Load() > 0
	on := m.observers.Add(int32(more)) > 0
	if on != was {
		for _, x := range m.all() {
			x.setObserved(on)
		}
	}
}

// Calls yields the name of each breaker and set that has ever been observed,
// and how its calls ended, in no particular order.
func (m *Manager) Calls() iter.Seq2[string, Calls] {
	return func(yield func(string, Calls) bool) {
		for _, x := range m.all() {
			if n := x.conf().calls.Load(); n != nil && !yield(x.Name(), n.read()) {
				return
			}
		}
	}
}

// Watch makes this breaker count its own calls, in addition to what its set
// counts. Watch(false) stops counting and forgets the counts.
func (p Peer) Watch(on bool) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.coldLocked()
	switch {
	case !on:
		c.calls.Store(nil)
		b.unkeepLocked()
	case c.calls.Load() == nil:
		n := new(callCount)
		n.on.Store(true)
		c.calls.Store(n)
		b.keepLocked()
	}
	b.refreshLocked()
}

// Calls returns what Watch has counted.
func (p Peer) Calls() Calls {
	if c := p.b.cold.Load(); c != nil {
		if n := c.calls.Load(); n != nil {
			return n.read()
		}
	}
	return Calls{}
}

func (b *Breaker) conf() *config { return b.cfg }
func (s *Set[K]) conf() *config  { return s.cfg }
