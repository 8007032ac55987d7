package ops

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// overviewCache keeps the last overview. To make one, every breaker must be
// visited, and there may be a hundred thousand. So it is kept for ten times as
// long as it took to make: overviews take at most a tenth of one processor, no
// matter how many are requested.
type overviewCache struct {
	mu   sync.Mutex // guards the fields below; held while the breakers are visited
	at   time.Time
	cost time.Duration
	page Overview // without the process and the calls
}

const overviewKept = 10 // times the time it took

// forget makes the next overview a new one: an order was carried out, and its
// sender wants to see the result.
func (c *overviewCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Time{}
}

// get returns the overview, with the recent calls by name. The caller may
// modify it.
func (c *overviewCache) get(m *breaker.Manager, recent map[string]uint64) Overview {
	c.mu.Lock()
	defer c.mu.Unlock()
	if began := time.Now(); c.at.IsZero() || began.Sub(c.at) >= overviewKept*c.cost {
		c.page = overviewOf(m)
		c.at = time.Now()
		c.cost = c.at.Sub(began)
	}
	return c.page.with(recent)
}

// overviewOf visits all breakers of m, one after the other.
func overviewOf(m *breaker.Manager) Overview {
	o := Overview{Breakers: []Status{}, Sets: []Set{}}
	sets := map[string]int{}
	var s breaker.Status // one value for all breakers, because it is large
	for _, b := range m.Breakers() {
		if s = b.Status(); s.ID == s.Name {
			o.Breakers = append(o.Breakers, shown(&s))
			continue
		}
		at, ok := sets[s.Name]
		if !ok {
			at = len(o.Sets)
			sets[s.Name] = at
			o.Sets = append(o.Sets, Set{Name: s.Name, States: map[string]int{}, Worst: []Status{}})
			if set, err := m.LookupSet(s.Name); err == nil {
				o.Sets[at].SettingsVersion = set.Version()
			}
		}
		o.Sets[at].add(&s)
	}
	return o
}

// with returns a copy of o with the recent calls by name, worst first. It has
// at most maxListed breakers, and as many sets.
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

// annotate adds what there is to say about the breakers. The worst keys of a set
// belong to the cache, so they are copied.
func (o *Overview) annotate(p *Plane) {
	others := p.annotators()
	for i := range o.Breakers {
		p.annotate(&o.Breakers[i], others)
	}
	for i := range o.Sets {
		o.Sets[i].Worst = slices.Clone(o.Sets[i].Worst)
		for j := range o.Sets[i].Worst {
			p.annotate(&o.Sets[i].Worst[j], others)
		}
	}
}

func compareSets(a, b Set) int {
	switch {
	case len(a.Worst) > 0 && len(b.Worst) > 0:
		return compareKeys(&a.Worst[0].Status, &b.Worst[0].Status)
	case len(a.Worst)+len(b.Worst) > 0:
		return len(b.Worst) - len(a.Worst)
	}
	return cmp.Or(cmp.Compare(b.Calls, a.Calls), strings.Compare(a.Name, b.Name))
}
