package breaker

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Calls is how the calls of one breaker, or of all keys of one set, ended while
// they were observed. The counts only grow.
type Calls struct {
	Successes uint64 `json:"successes"`
	Failures  uint64 `json:"failures"`
	Ignored   uint64 `json:"ignored"`  // no evidence either way, those included whose callers gave up
	Rejected  uint64 `json:"rejected"` // turned away: they did not run
	Slow      uint64 `json:"slow"`     // those that took SlowCall or longer, whatever they returned
}

// callCount is Calls as they are counted, a slot for each outcome, then those
// below. A name's breaker, or all keys of its set, count in one.
type callCount struct {
	on atomic.Bool
	striped
}

const (
	countRejected = Canceled + 1
	countSlow     = Canceled + 2
)

func (c *callCount) read() (n Calls) {
	c.each(func(x *cell) {
		n.Successes += x[Success].Load()
		n.Failures += x[Failure].Load()
		n.Ignored += x[Ignored].Load() + x[Canceled].Load()
		n.Rejected += x[countRejected].Load()
		n.Slow += x[countSlow].Load()
	})
	return n
}

// count counts a call that was settled or rejected.
func (c *callCount) count(what Outcome, slow bool) {
	if c == nil || !c.on.Load() {
		return
	}
	n := &c.own()[what]
	if old := n.Load(); !n.CompareAndSwap(old, old+1) {
		c.contended()
		c.own()[what].Add(1)
	}
	if slow {
		c.count(countSlow, false)
	}
}

// observe counts a call where it is observed: for the name, and for Peer.Watch.
func (b *Breaker) observe(what Outcome, slow bool) {
	b.cfg.calls.Load().count(what, slow)
	if c := b.cold.Load(); c != nil {
		c.calls.Load().count(what, slow)
	}
}

// observe begins or ends the counting. The breakers' words follow by refresh.
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

// Observe counts the calls of every breaker and set, those included that are
// made later, until stop is called or, where several observe, until all of them
// have stopped. Calls tells the counts. It costs a call some 4 ns; it costs
// nothing while no one observes.
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

// Calls is how the calls of each breaker and set ended that was ever observed,
// by name, in no order.
func (m *Manager) Calls() iter.Seq2[string, Calls] {
	return func(yield func(string, Calls) bool) {
		for _, x := range m.all() {
			if n := x.conf().calls.Load(); n != nil && !yield(x.Name(), n.read()) {
				return
			}
		}
	}
}

// Watch makes this breaker count its own calls, beside what its set counts,
// until it is switched off. What was counted is then forgotten.
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

// Calls is what Watch has counted.
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
