package verdict

import (
	"hash/maphash"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// The key of a world is what distinguishes states that can behave differently from
// here on. Numbers that only grow count by their order: those of reports, terms and
// digests, and the moments at which the ghosts saw something, as far as invariants
// compare them.

var seed = maphash.MakeSeed()

func mix[T comparable](h *uint64, v T) {
	*h = *h*0x9e3779b97f4a7c15 ^ maphash.Comparable(seed, v)
}

func (r *report) sum() (h uint64) {
	mix(&h, r.claim)
	mix(&h, [...]uint64{r.id, uint64(r.clock)})
	mix(&h, r.knew)
	return h
}

func (c *Coordinator) sum() (h uint64) {
	mix(&h, c.Clock)
	mix(&h, c.zones)
	s := c.Subjects[subject]
	if s == nil {
		return h
	}
	mix(&h, [...]time.Duration{s.Suspect, s.Asked, s.idle})
	s.Fleet.sum(&h)
	for _, z := range slices.Sorted(maps.Keys(s.Zones)) {
		mix(&h, z)
		s.Zones[z].sum(&h)
	}
	return h
}

func (x *Scope) sum(h *uint64) {
	mix(h, [...]uint64{uint64(x.Since), uint64(x.Epoch), uint64(x.Attempt), uint64(x.Passed)})
	mix(h, [...]time.Duration{x.Wait, x.OpenFor, x.empty, x.quiet, x.window})
	mix(h, x.Open)
	mix(h, x.Rule)
	mix(h, x.Probe)
	mix(h, x.Why.Tally)
	mix(h, [...]int{int(x.Why.Kind), x.Why.Span})
	for _, z := range slices.Sorted(maps.Keys(x.Why.Zones)) {
		mix(h, z)
		mix(h, x.Why.Zones[z])
	}
	for _, a := range x.Arms {
		mix(h, a)
	}
}

// order maps numbers to how many of those that were added are below. It holds those
// up to 2047.
type order [32]uint64

func (o *order) add(ns ...int) {
	for _, n := range ns {
		o[n/64] |= 1 << (n % 64)
	}
}

func (o *order) rank(n int) (below int) {
	for i := range n / 64 {
		below += bits.OnesCount64(o[i])
	}
	return below + bits.OnesCount64(o[n/64]&(1<<(n%64)-1))
}

// moments are the orders of what the ghosts saw: verdicts and digests, clearings.
type moments struct{ made, cleared order }

func (t *moments) add(p *past, made int) {
	t.made.add(made, p.tenure)
	t.made.add(p.born[:]...)
	t.cleared.add(p.cleared[:]...)
}

func (t *moments) addDigest(d *digest) {
	if d != nil {
		t.add(&d.past, d.made)
	}
}

func (t *moments) past(h *uint64, p *past) {
	mix(h, t.made.rank(p.tenure))
	for i := range p.born {
		mix(h, [2]int{t.made.rank(p.born[i]), t.cleared.rank(p.cleared[i])})
	}
}

// keys is what the key of one world is made with.
type keys struct {
	w     *world
	h     uint64
	at    moments
	terms order
	seqs  order // of digests
	told  [8]order
}

func (w *world) key() uint64 {
	k := keys{w: w}
	k.gather()
	mix(&k.h, w.now)
	mix(&k.h, w.left)
	mix(&k.h, w.ghosts.over)
	mix(&k.h, w.nextID)
	for i := range w.members {
		k.member(&w.members[i])
	}
	k.store(&w.store)
	if w.left.failovers > 0 {
		k.store(w.backup)
	}
	if w.left.late > 0 {
		k.digest(w.late)
	}
	for _, o := range w.offices {
		k.office(o)
	}
	return k.h
}

// gather adds all the numbers that are compared with others.
func (k *keys) gather() {
	w := k.w
	digests := []*digest{w.store.digest, w.late, nil, nil, nil}[:2]
	if w.backup != nil {
		digests = append(digests, w.backup.digest)
		k.terms.add(int(w.backup.term), int(w.backup.terms))
		for _, r := range w.backup.reports {
			k.told[r.id].add(int(r.seq))
		}
	}
	k.terms.add(int(w.store.term), int(w.store.terms))
	for _, r := range w.store.reports {
		k.told[r.id].add(int(r.seq))
	}
	for i := range w.members {
		m := &w.members[i]
		k.at.add(&m.ghost.past, m.ghost.made)
		k.terms.add(int(m.ear.Term), int(m.ear.late))
		k.seqs.add(int(m.ear.Seq), int(m.ear.lateSeq))
		k.told[m.id].add(int(m.ghost.ended))
		if m.late != nil {
			k.told[m.id].add(int(m.late.seq))
		}
	}
	for _, o := range w.offices {
		if o == nil {
			continue
		}
		k.at.add(&o.past, 0)
		k.terms.add(int(o.term))
		k.seqs.add(int(o.seq))
		digests = append(digests, o.pending)
		for i := range o.seen {
			k.told[o.seen[i].id].add(int(o.seen[i].Seq))
		}
	}
	for _, d := range digests {
		if d != nil {
			k.at.addDigest(d)
			k.terms.add(int(d.term))
			k.seqs.add(int(d.seq))
		}
	}
}

func (k *keys) member(m *process) {
	o := m.own
	switch {
	case o.opened == 0:
	case o.opened == m.opened:
		o.opened = 1
	default:
		o.opened = 2
	}
	mix(&k.h, o)
	mix(&k.h, [...]int{int(m.id), int(m.state), m.row})
	mix(&k.h, [...]bool{m.probing, m.passed})
	if m.state != breaker.Closed {
		mix(&k.h, m.cause)
		mix(&k.h, m.by)
	}
	if m.state == breaker.Open {
		mix(&k.h, m.due)
	}
	mix(&k.h, [...]int{k.terms.rank(int(m.ear.Term)), k.seqs.rank(int(m.ear.Seq)), k.terms.rank(int(m.ear.late)), k.seqs.rank(int(m.ear.lateSeq))})
	mix(&k.h, m.ear.At)
	mix(&k.h, m.clock)
	if m.heard != nil {
		mix(&k.h, m.heard.hash)
	}
	g := &m.ghost
	mix(&k.h, [...]time.Duration{g.alone, g.good, g.bad})
	mix(&k.h, [...]int{k.at.cleared.rank(g.lastBad), k.at.made.rank(g.closedAt), k.at.made.rank(g.made), k.told[m.id].rank(int(g.ended))})
	k.at.past(&k.h, &g.past)
	for _, l := range []lot{g.armed, g.probe, g.result} {
		mix(&k.h, l.Probe)
		mix(&k.h, k.at.made.rank(l.born))
	}
	if k.w.left.late > 0 && m.late != nil {
		k.report(m.late)
	}
}

func (k *keys) report(r *report) {
	mix(&k.h, r.hash)
	mix(&k.h, [2]int{k.told[r.id].rank(int(r.seq)), k.at.cleared.rank(r.bad)})
}

func (k *keys) digest(d *digest) {
	if d == nil {
		return
	}
	mix(&k.h, d.hash)
	mix(&k.h, [...]int{k.terms.rank(int(d.term)), k.seqs.rank(int(d.seq)), k.at.made.rank(d.made)})
	k.at.past(&k.h, &d.past)
}

func (k *keys) store(s *store) {
	mix(&k.h, [...]int{s.holder, k.terms.rank(int(s.term)), k.terms.rank(int(s.terms)), len(s.reports)})
	mix(&k.h, max(0, s.lease-k.w.now))
	for _, r := range s.reports {
		k.report(r)
	}
	k.digest(s.digest)
}

func (k *keys) office(o *office) {
	if o == nil {
		mix(&k.h, 0)
		return
	}
	mix(&k.h, o.hash)
	mix(&k.h, [2]int{k.terms.rank(int(o.term)), k.seqs.rank(int(o.seq))})
	k.at.past(&k.h, &o.past)
	k.digest(o.pending)
	for i := range o.seen {
		s := &o.seen[i]
		p := s.Presence
		p.Seq = uint64(k.told[s.id].rank(int(s.Seq)))
		mix(&k.h, p)
		k.report(s.report)
	}
}

// sum is that of what does not depend on the rest of the world.
func (o *office) sum() (h uint64) {
	mix(&h, o.k.sum())
	mix(&h, o.was.sum())
	mix(&h, o.counted)
	return h
}
