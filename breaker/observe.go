package breaker

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Calls is what became of the calls of one breaker, or of all keys of one set,
// while somebody observed them. The counts only grow.
type Calls struct {
	Successes uint64 `json:"successes"`
	Failures  uint64 `json:"failures"`
	Ignored   uint64 `json:"ignored"`  // no evidence either way
	Rejected  uint64 `json:"rejected"` // turned away: they did not run
	Slow      uint64 `json:"slow"`     // those of the first two that took SlowCall or longer
}

// callCount is Calls as they are counted: in one cell until two goroutines meet
// in it, then by stripes, as for a window. A name's breaker, or all keys of its
// set, count in one.
type callCount struct {
	on    atomic.Bool
	first callCell
	more  atomic.Pointer[spread[callStripe]]
}

// callCell counts by outcome, then what is below.
type callCell [Ignored + 3]atomic.Uint64

type callStripe struct {
	callCell
	_ [24]byte
}

const (
	countRejected = Ignored + 1
	countSlow     = Ignored + 2
)

func (c *callCount) add(what Outcome) {
	more := c.more.Load()
	if more == nil {
		n := &c.first[what]
		if old := n.Load(); n.CompareAndSwap(old, old+1) {
			return
		}
		c.more.CompareAndSwap(nil, newSpread[callStripe]())
		more = c.more.Load()
	}
	n := &more.mine().callCell[what]
	if old := n.Load(); !n.CompareAndSwap(old, old+1) {
		more.met()
		n.Add(1)
	}
}

func (c *callCount) sum() (s Calls) {
	s.add(&c.first)
	if more := c.more.Load(); more != nil {
		for i := range more.cells {
			s.add(&more.cells[i].callCell)
		}
	}
	return s
}

func (s *Calls) add(c *callCell) {
	s.Successes += c[Success].Load()
	s.Failures += c[Failure].Load()
	s.Ignored += c[Ignored].Load()
	s.Rejected += c[countRejected].Load()
	s.Slow += c[countSlow].Load()
}

// observed counts a call that was settled, if anyone observes.
func (c *config) observed(o Outcome, slow bool) {
	n := c.calls.Load()
	if n == nil || !n.on.Load() {
		return
	}
	n.add(o)
	if slow {
		n.add(countSlow)
	}
}

// observe begins or ends the counting. The breakers' words follow by refresh:
// mu is held for Set.makeOverflow.
func (c *config) observe(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls.Load() == nil {
		c.calls.Store(new(callCount))
	}
	c.calls.Load().on.Store(on)
}

func (b *Breaker) setObserved(on bool) {
	b = b.lockCurrent(new(Permit))
	defer b.mu.Unlock()
	b.cfg.observe(on)
	b.refreshLocked()
}

func (s *Set[K]) setObserved(on bool) {
	s.cfg.observe(on)
	for _, b := range s.all() {
		b.refresh(false)
	}
}

// Observe counts the calls of every breaker and set, those included that are
// made later, until stop is called or, where several observe, until all of them
// have stopped. Calls tells the counts. It costs a call some 4 ns; nobody
// observing costs nothing.
func (m *Manager) Observe() (stop func()) {
	m.observe(1)
	return sync.OnceFunc(func() { m.observe(-1) })
}

// observe holds mu throughout, as setListener does.
func (m *Manager) observe(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.observers > 0
	m.observers += more
	if on := m.observers > 0; on != was {
		for _, x := range m.members {
			x.setObserved(on)
		}
	}
}

// Calls is what became of the calls of each breaker and set that was ever
// observed, by name, in no order.
func (m *Manager) Calls() iter.Seq2[string, Calls] {
	return func(yield func(string, Calls) bool) {
		for _, x := range m.all() {
			if n := x.conf().calls.Load(); n != nil && !yield(x.Name(), n.sum()) {
				return
			}
		}
	}
}

func (b *Breaker) conf() *config { return b.cfg }
func (s *Set[K]) conf() *config  { return s.cfg }
