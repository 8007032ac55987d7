package fleet

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
)

// Limits of what a member keeps and reports of the keys of its sets (F11).
const (
	maxKeys  = 256
	keyPause = time.Minute // a key is given up after so long without anything to say
)

// pollSet watches the keys of a set that have evidence, and those that the fleet
// asks for. It makes none (I12).
func (f *Fleet) pollSet(name string, now time.Duration) {
	s, err := f.m.LookupSet(name)
	if err != nil {
		delete(f.sets, name)
		return
	}
	bad := slices.DeleteFunc(s.WithEvidence(), func(b *breaker.Breaker) bool { return f.keyed[b] })
	f.omitted += len(bad)
	for _, b := range worst(bad, maxKeys-len(f.keyed)) {
		if f.watchKey(b, now) {
			f.omitted--
		}
	}
	if f.digest == nil {
		return
	}
	for id := range f.digest.Subjects {
		if set, _, keyed := strings.Cut(id, "/"); keyed && set == name {
			if b, err := f.m.Lookup(id); err == nil {
				f.watchKey(b, now)
			}
		}
	}
}

// worst returns the breakers that are in the most trouble, at most this many, the
// worst first. It does not sort all of them, because clients may have invented very
// many keys.
func worst(bad []*breaker.Breaker, most int) (out []*breaker.Breaker) {
	order := func(a, b *breaker.Breaker) int {
		return cmp.Or(-cmp.Compare(a.State(), b.State()), -cmp.Compare(a.FailCount(), b.FailCount()))
	}
	for _, b := range bad {
		if len(out) >= most {
			if most <= 0 || order(b, out[most-1]) >= 0 {
				continue
			}
			out = out[:most-1]
		}
		i, _ := slices.BinarySearchFunc(out, b, order)
		out = slices.Insert(out, i, b)
	}
	return out
}

// pollMoved watches the keys of sets that have opened or closed, before a beat finds
// them.
func (f *Fleet) pollMoved(now time.Duration) {
	for {
		select {
		case b := <-f.moved:
			if name := nameOf(b.ID()); f.sets[name] && f.o.Only(name) {
				f.watchKey(b, now)
			}
		default:
			return
		}
	}
}

// watchKey reports whether a key is watched from now on, or was before.
func (f *Fleet) watchKey(b *breaker.Breaker, now time.Duration) bool {
	if f.keyed[b] {
		return true
	}
	id := b.ID()
	old := f.gauges[id] // of a breaker that the set has forgotten
	if old == nil && len(f.keyed) >= maxKeys || len(id) > wire.MaxID {
		return false
	}
	if old != nil {
		delete(f.keyed, old.b)
	}
	f.gauges[id], f.keyed[b] = f.watch(b, true, now), true
	return true
}

// prune gives up keys that there is nothing to say of, and breakers that were
// removed.
func (f *Fleet) prune(now time.Duration) {
	for id, g := range f.gauges {
		switch {
		case !g.keyed:
			if b, err := f.m.Lookup(id); err == nil && b == g.b {
				continue
			}
		case now-g.active < keyPause:
			continue
		default:
			delete(f.keyed, g.b)
		}
		g.forget()
		delete(f.gauges, id)
	}
}
