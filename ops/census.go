package ops

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/meter"
)

// census is what a look at every single breaker comes to. There may be a hundred
// thousand, so it is kept for ten times as long as it took to make: looks at all
// breakers, by whoever asks, take a tenth of one processor at the most.
type census struct {
	mu   sync.Mutex // guards the fields below; held while the breakers are looked at
	at   time.Time
	cost time.Duration
	page Overview     // without the process and the calls
	sums []*meter.Sum // by name
}

const censusKept = 10 // times its cost

// look makes the census anew if it is too old. mu is held.
func (c *census) look(m *breaker.Manager) {
	if began := time.Now(); c.at.IsZero() || began.Sub(c.at) >= censusKept*c.cost {
		c.page, c.sums = takeCensus(m, began)
		c.at = time.Now()
		c.cost = c.at.Sub(began)
	}
}

// forget makes the next look a fresh one: an order was carried out, and its
// giver wants to see what became of it.
func (c *census) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Time{}
}

// overview is the page with the calls of late by name. It belongs to the caller.
func (c *census) overview(m *breaker.Manager, recent map[string]uint64) Overview {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(m)
	return c.page.with(recent)
}

// each calls f for the sums of each name.
func (c *census) each(m *breaker.Manager, f func(sums []*meter.Sum)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(m)
	f(c.sums)
}

// takeCensus looks at all breakers of m, one after the other.
func takeCensus(m *breaker.Manager, now time.Time) (o Overview, sums []*meter.Sum) {
	o.Breakers, o.Sets = []Status{}, []Set{}
	sets, byName := map[string]int{}, map[string]*meter.Sum{}
	var s breaker.Status // one for all: it is large
	for _, b := range m.Breakers() {
		s = b.Status()
		sum := byName[s.Name]
		if sum == nil {
			sum = &meter.Sum{Name: s.Name}
			byName[s.Name], sums = sum, append(sums, sum)
		}
		sum.Add(&s, now)
		if !sum.Keyed {
			o.Breakers = append(o.Breakers, shown(&s))
			continue
		}
		at, ok := sets[s.Name]
		if !ok {
			at = len(o.Sets)
			sets[s.Name] = at
			o.Sets = append(o.Sets, Set{Name: s.Name, States: map[string]int{}, Worst: []Status{}})
		}
		o.Sets[at].add(&s)
	}
	slices.SortFunc(sums, func(a, b *meter.Sum) int { return cmp.Compare(a.Name, b.Name) })
	return o, sums
}

// with is a copy of o with the calls of late by name, the worst first. It has as
// many breakers, and sets, as a list may have.
func (o *Overview) with(recent map[string]uint64) Overview {
	out := Overview{Breakers: slices.Clone(o.Breakers), Sets: slices.Clone(o.Sets)}
	for i := range out.Breakers {
		out.Breakers[i].Calls = recent[out.Breakers[i].Name]
	}
	for i := range out.Sets {
		out.Sets[i].Calls = recent[out.Sets[i].Name]
	}
	slices.SortFunc(out.Breakers, func(a, b Status) int { return CompareStatus(&a, &b) })
	slices.SortFunc(out.Sets, compareSets)
	all := len(out.Breakers) + len(out.Sets)
	out.Breakers = out.Breakers[:min(len(out.Breakers), maxListed)]
	out.Sets = out.Sets[:min(len(out.Sets), maxListed)]
	out.Omitted = all - len(out.Breakers) - len(out.Sets)
	return out
}

func compareSets(a, b Set) int {
	switch {
	case len(a.Worst) > 0 && len(b.Worst) > 0:
		return Compare(&a.Worst[0].Status, &b.Worst[0].Status)
	case len(a.Worst)+len(b.Worst) > 0:
		return len(b.Worst) - len(a.Worst)
	}
	return cmp.Or(cmp.Compare(b.Calls, a.Calls), strings.Compare(a.Name, b.Name))
}
