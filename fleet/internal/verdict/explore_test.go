package verdict

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
)

// action is one thing that can happen next.
type action struct {
	name string
	do   func(*world)
}

// bounds of a world's exploration.
const (
	mostBursts, mostTicks, mostCrashes, mostFlushes, mostTakeovers, mostOrders, mostLosses = 3, 4, 1, 1, 1, 1, 2
)

// actions are all that can happen in this state.
func (w *world) actions(bounded bool) (out []action) {
	add := func(name string, do func(*world)) { out = append(out, action{name, do}) }
	within := func(n *int, most int) bool { return !bounded || *n < most }
	for i, m := range w.members {
		if !m.probing && within(&w.bursts, mostBursts) && (m.state != breaker.Open || w.now >= m.due) {
			add(fmt.Sprint("fails ", i), func(w *world) { w.bursts++; w.call(w.members[i], true) })
			if m.state == breaker.Closed {
				add(fmt.Sprint("works ", i), func(w *world) { w.bursts++; w.call(w.members[i], false) })
			}
		}
		if m.probing {
			add(fmt.Sprint("probe fails ", i), func(w *world) { w.end(w.members[i], true) })
			add(fmt.Sprint("probe passes ", i), func(w *world) { w.end(w.members[i], false) })
		}
		add(fmt.Sprint("beat ", i), func(w *world) { w.beat(w.members[i], true, true) })
		if within(&w.losses, mostLosses) {
			add(fmt.Sprint("answer lost ", i), func(w *world) { w.losses++; w.beat(w.members[i], true, false) })
			add(fmt.Sprint("report lost ", i), func(w *world) { w.losses++; w.beat(w.members[i], false, true) })
		}
		if within(&w.crashes, mostCrashes) {
			add(fmt.Sprint("crash ", i), func(w *world) { w.crashes++; w.crash(i) })
		}
		if m.state != breaker.Closed && within(&w.orders, mostOrders) {
			add(fmt.Sprint("close ", i), func(w *world) { w.orders++; w.order(w.members[i]) })
		}
	}
	add("count", func(w *world) { w.count() })
	if within(&w.ticks, mostTicks) {
		add("tick", func(w *world) { w.ticks++; w.now += time.Second })
	}
	if within(&w.flushes, mostFlushes) {
		add("flush", func(w *world) { w.flushes++; w.flush() })
	}
	if within(&w.takeovers, mostTakeovers) {
		add("other counts", func(w *world) { w.takeovers++; w.replace(w.members[2]) })
	}
	return out
}

func (w *world) do(a action) {
	w.seq++
	a.do(w)
}

// round lets everyone act in turn, with a call of each of callers.
func (w *world) round(bad bool, callers ...int) {
	w.seq++
	for _, i := range callers {
		m := w.members[i]
		w.call(m, bad)
		w.seq++
		w.end(m, bad)
		w.seq++
	}
	for _, m := range w.members {
		w.beat(m, true, true)
		w.seq++
	}
	w.count()
	w.seq++
	for _, m := range w.members {
		w.beat(m, true, true)
		w.seq++
	}
	w.now += time.Second
}

// starts are states from which everything is explored: those that matter are too
// many steps away from the beginning.
func starts() map[string]*world {
	out := map[string]*world{"new": newWorld()}
	told := newWorld()
	for _, m := range told.members {
		told.seq++
		told.call(m, true)
		told.beat(m, true, true)
	}
	out["failing"] = told
	open := newWorld()
	open.round(true, 0, 1, 2)
	out["open"] = open
	silent := open.clone()
	silent.now += 3 * time.Second
	out["silent"] = silent
	flushed := open.clone()
	flushed.seq++
	flushed.flush()
	flushed.crash(2)
	out["flushed"] = flushed
	armed := open.clone()
	for range 3 {
		armed.round(true)
	}
	out["armed"] = armed
	running := armed.clone()
	for _, m := range running.members {
		running.seq++
		running.call(m, true)
	}
	out["running"] = running
	unheard := running.clone()
	unheard.seq++
	unheard.end(unheard.members[0], true)
	unheard.beat(unheard.members[0], true, true)
	unheard.seq++
	unheard.count()
	for range 2 {
		unheard.now += time.Second
		unheard.seq++
		unheard.beat(unheard.members[0], true, false)
	}
	out["unheard"] = unheard
	cleared := armed.clone()
	for _, m := range cleared.members {
		cleared.seq++
		cleared.call(m, false)
		cleared.end(m, false)
		cleared.beat(m, true, true)
	}
	cleared.seq++
	cleared.count()
	out["cleared"] = cleared
	second := open.clone()
	for range 8 {
		second.round(true, 0, 1, 2)
	}
	out["second attempt"] = second
	zone := newWorld()
	zone.round(false, 2)
	zone.round(true, 0, 1)
	out["zone"] = zone
	for _, w := range out {
		w.bursts, w.ticks = 0, 0
	}
	return out
}

// explore visits every state that so many actions lead to, breadth first.
func explore(t *testing.T, start *world, depth int) (states, transitions int) {
	type node struct {
		w    *world
		path string
	}
	seed := maphash.MakeSeed()
	seen := map[uint64]bool{maphash.String(seed, start.key()): true}
	level := []node{{start, ""}}
	states = 1
	for d := range depth {
		var next []node
		for _, n := range level {
			for _, a := range n.w.actions(true) {
				w := n.w.clone()
				w.do(a)
				transitions++
				path := n.path + ", " + a.name
				if w.broken != "" {
					t.Fatalf("%s\nafter%s", w.broken, strings.TrimPrefix(path, ","))
				}
				k := maphash.String(seed, w.key())
				if seen[k] {
					continue
				}
				seen[k] = true
				states++
				if d+1 < depth {
					next = append(next, node{w, path})
				}
				if states%101 == 0 {
					recovers(t, w, path)
				}
			}
		}
		level = next
	}
	return states, transitions
}

// recovers checks the liveness: with a dependency that works, and calls of one
// member only, that member closes in the end, also while probes of others hang
// for ever. With calls of all, all close.
func recovers(t *testing.T, from *world, path string) {
	t.Helper()
	for i := range from.members {
		w := from.clone()
		if w.members[i].probing {
			continue // it hangs
		}
		for range 60 {
			w.round(false, i)
		}
		stuck := w.members[i].state != breaker.Closed
		if w.broken != "" || stuck {
			t.Fatalf("F7: with calls of member %d alone the fleet does not recover: %s\n%s\nafter%s", i, w.broken, w.show(), path)
		}
	}
	w := from.clone()
	for _, m := range w.members {
		m.probing = false // their results were no evidence
	}
	for range 60 {
		w.round(false, 0, 1, 2)
	}
	for i, m := range w.members {
		if m.state != breaker.Closed {
			t.Fatalf("member %d stays %s\n%s\nafter%s", i, m.state, w.show(), path)
		}
	}
	// And it protects: with calls that fail, all open before long.
	w.bursts = 0
	for range 90 {
		w.round(true, 0, 1, 2)
	}
	for i, m := range w.members {
		if m.state == breaker.Closed || m.own.Under == 0 {
			t.Fatalf("all calls fail, and member %d is %s, under the verdict of epoch %d\n%s\nafter%s", i, m.state, m.own.Under, w.show(), path)
		}
	}
	if w.broken != "" {
		t.Fatalf("%s\nafter%s and rounds", w.broken, path)
	}
}

func (w *world) show() string {
	var b strings.Builder
	for _, m := range w.members {
		fmt.Fprintf(&b, "member %d zone %s: %s due in %s probing %v stamp %d under %d probe %+v\n",
			m.id, m.zone, m.state, m.due-w.now, m.probing, m.own.Stamp, m.own.Under, m.own.Probe)
	}
	fmt.Fprintf(&b, "%s", appendCoordinator(nil, w.counter))
	return b.String()
}

// TestExplore visits every state within the bounds.
func TestExplore(t *testing.T) {
	depth := 4
	switch {
	case os.Getenv("SWITCHGEAR_EXPLORE") != "" && !raceDetected:
		depth = 5
	case testing.Short() || raceDetected:
		depth = 3
	}
	for name, start := range starts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if start.broken != "" {
				t.Fatal(start.broken)
			}
			states, transitions := explore(t, start, depth)
			t.Logf("%d states, %d transitions", states, transitions)
		})
	}
}

// TestWalks goes much further, by chance.
func TestWalks(t *testing.T) {
	walks := 1500
	if testing.Short() || raceDetected {
		walks = 300
	}
	for seed := range uint64(walks) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld()
		path := fmt.Sprint(" seed ", seed)
		for range 150 {
			as := w.actions(false)
			a := as[r.IntN(len(as))]
			// Most of the time, all goes well.
			if r.IntN(8) != 0 && !strings.HasPrefix(a.name, "fails") && !strings.HasPrefix(a.name, "probe") {
				a = action{"tick", func(w *world) { w.now += 250 * time.Millisecond }}
				if r.IntN(3) > 0 {
					a = action{"beat and count", func(w *world) {
						for _, m := range w.members {
							w.beat(m, true, true)
						}
						w.seq++
						w.count()
					}}
				}
			}
			w.do(a)
			path += ", " + a.name
			if w.broken != "" {
				t.Fatalf("%s\nafter%s", w.broken, path)
			}
		}
		recovers(t, w, path)
	}
}
