package ops

import (
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	plotStep  = 5 * time.Second
	plotSteps = 60 // five minutes
)

// plots counts how the calls of each name ended, step by step. The breakers
// count; a timer reads the counts once per step.
type plots struct {
	m    *breaker.Manager
	stop func() // stops the counting

	mu     sync.Mutex // guards the fields below
	by     map[string]*series
	number int // start of the current step
	timer  *time.Timer
	closed bool
}

// series is the calls of one name. The ring's slot of the current step is
// empty: its calls are those counted since start.
type series struct {
	since  breaker.Calls // the counts when the current step began
	ring   [plotSteps]breaker.Calls
	recent uint64 // calls in the ring
}

// newPlots starts counting the calls of m.
func newPlots(m *breaker.Manager) *plots {
	p := &plots{m: m, by: make(map[string]*series)}
	p.stop = m.Observe()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, c := range m.Calls() { // another observer may have counted before
		p.by[name] = &series{since: c}
	}
	p.timer = time.AfterFunc(plotStep, p.step)
	return p
}

// step ends the current step.
func (p *plots) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for name, c := range p.m.Calls() {
		s := p.by[name]
		if s == nil {
			if c == (breaker.Calls{}) {
				continue // it has no calls yet
			}
			s = new(series)
			p.by[name] = s
		}
		over := &s.ring[(p.number+1)%plotSteps]
		s.ring[p.number%plotSteps] = less(c, s.since)
		s.recent += all(less(c, s.since)) - all(*over)
		*over = breaker.Calls{}
		s.since = c
	}
	p.number++
	p.timer.Reset(plotStep)
}

func (p *plots) close() {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.timer.Stop()
}

// less returns what was counted from b to a.
func less(a, b breaker.Calls) breaker.Calls {
	return breaker.Calls{
		Successes: a.Successes - b.Successes, Failures: a.Failures - b.Failures,
		Ignored: a.Ignored - b.Ignored, Rejected: a.Rejected - b.Rejected, Slow: a.Slow - b.Slow,
	}
}

func all(c breaker.Calls) uint64 { return c.Successes + c.Failures + c.Ignored + c.Rejected }

// Plot is how the calls of a breaker, or of all keys of a set, ended over the
// last five minutes, in steps of five seconds, oldest first. The last step is
// not over yet. Calls that are not evidence are left out.
type Plot struct {
	Name     string   `json:"name"`
	Step     Duration `json:"step"`
	Success  []uint32 `json:"success"`
	Failure  []uint32 `json:"failure"`
	Rejected []uint32 `json:"rejected"`
}

// of returns the plots of the given names.
func (p *plots) of(names []string) []Plot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := make(map[string]breaker.Calls)
	for name, c := range p.m.Calls() {
		now[name] = c
	}
	out := make([]Plot, 0, len(names))
	for _, name := range names {
		out = append(out, p.plot(name, now[name]))
	}
	return out
}

// plot returns the steps of a name. mu is held.
func (p *plots) plot(name string, now breaker.Calls) Plot {
	out := Plot{Name: name, Step: Duration(plotStep)}
	out.Success, out.Failure, out.Rejected = make([]uint32, plotSteps), make([]uint32, plotSteps), make([]uint32, plotSteps)
	s := p.by[name]
	if s == nil {
		s = new(series)
	}
	for i := range plotSteps {
		c := s.ring[(p.number+1+i)%plotSteps]
		if i == plotSteps-1 {
			c = less(now, s.since)
		}
		out.Success[i], out.Failure[i], out.Rejected[i] = uint32(c.Successes), uint32(c.Failures), uint32(c.Rejected)
	}
	return out
}

// recent returns the number of calls of each name in these five minutes,
// including those that were rejected or are not evidence.
func (p *plots) recent() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]uint64)
	for name, c := range p.m.Calls() {
		n := all(c)
		if s := p.by[name]; s != nil {
			n = s.recent + all(less(c, s.since))
		}
		out[name] = n
	}
	return out
}
