package ops

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	plotStep  = 5 * time.Second
	plotSteps = 60 // five minutes
)

// outcome is what became of a call, as the plots and the metrics count it.
type outcome int

const (
	succeeded outcome = iota
	failed
	rejected
	outcomes
)

var outcomeNames = [outcomes]string{"success", "failure", "rejected"}

// callCounts counts calls by the name of a breaker or a set, for
// Options.CountCalls.
type callCounts struct {
	began time.Time
	by    sync.Map // name -> *callCount
}

type callCount struct {
	total [outcomes]atomic.Uint64
	steps [plotSteps]callStep
}

// callStep is a step of the plot. Who finds an old number in it makes it new;
// what another goroutine counts in that instant may be lost to the plot, and
// never to the totals.
type callStep struct {
	number atomic.Int64
	n      [outcomes]atomic.Uint32
}

// listener hears of every call. Its functions run on the callers' goroutines.
func (c *callCounts) listener() breaker.Listener {
	return breaker.Listener{
		Success:  func(b *breaker.Breaker) { c.add(b.Name(), succeeded) },
		Failure:  func(b *breaker.Breaker, _ error) { c.add(b.Name(), failed) },
		Rejected: func(b *breaker.Breaker, _ error) { c.add(b.Name(), rejected) },
	}
}

func (c *callCounts) add(name string, o outcome) {
	got, ok := c.by.Load(name)
	if !ok {
		got, _ = c.by.LoadOrStore(name, new(callCount))
	}
	n := got.(*callCount)
	n.total[o].Add(1)
	number := c.step()
	step := &n.steps[number%plotSteps]
	if old := step.number.Load(); old != number && step.number.CompareAndSwap(old, number) {
		for i := range step.n {
			step.n[i].Store(0)
		}
	}
	step.n[o].Add(1)
}

// step is the number of the step under way; the first is 1, so that the zero
// callStep is an old one.
func (c *callCounts) step() int64 { return int64(time.Since(c.began)/plotStep) + 1 }

// Plot is what became of the calls of a breaker, or of all keys of a set, over
// the last five minutes, in steps of five seconds, oldest first. The last step
// is under way.
type Plot struct {
	Name     string   `json:"name"`
	Step     Duration `json:"step"`
	Success  []uint32 `json:"success"`
	Failure  []uint32 `json:"failure"`
	Rejected []uint32 `json:"rejected"`
}

func (c *callCounts) plot(name string) Plot {
	p := Plot{Name: name, Step: Duration(plotStep)}
	var n [outcomes][]uint32
	for o := range n {
		n[o] = make([]uint32, plotSteps)
	}
	p.Success, p.Failure, p.Rejected = n[succeeded], n[failed], n[rejected]
	got, ok := c.by.Load(name)
	if !ok {
		return p
	}
	last := c.step()
	for i := range got.(*callCount).steps {
		step := &got.(*callCount).steps[i]
		if age := last - step.number.Load(); age < plotSteps {
			for o := range n {
				n[o][plotSteps-1-age] = step.n[o].Load()
			}
		}
	}
	return p
}

// names are those with calls, sorted.
func (c *callCounts) names() []string {
	var out []string
	c.by.Range(func(name, _ any) bool {
		out = append(out, name.(string))
		return true
	})
	slices.Sort(out)
	return out
}
