package verdict

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/mutants"
)

// budget is how often the things that change the most may still happen. All else
// may happen at any time, any number of times.
type budget struct {
	bursts, ticks, losses, late, crashes, flushes, failovers, leads, naps, orders int8
}

// kind is a kind of thing that can happen.
type kind uint8

const (
	fails       kind = iota // calls of a member fail
	works                   // calls of a member succeed
	probeFails              // the probe of a member fails
	probePasses             // the probe of a member passes
	beats                   // a member beats
	reportLost              // a member beats, and the store does not get it
	answerLost              // a member beats, and gets no answer
	reportLate              // a report of before comes late, or twice
	digestLate              // a digest of before comes late, or twice
	crashes                 // a process starts again
	counts                  // a coordinator counts and publishes
	naps                    // a coordinator counts, and does not publish yet
	publishes               // a coordinator publishes what it has counted before
	leads                   // a process becomes the coordinator
	ticks                   // a second passes
	flushes                 // the store loses everything
	failovers               // the store loses what was written last
	closes                  // all carry out an order to close
)

var kindNames = [...]string{
	"fails", "works", "probe fails", "probe passes", "beat", "report lost", "answer lost", "report late", "digest late",
	"crash", "count", "nap", "publish", "lead", "tick", "flush", "failover", "close",
}

// action is one thing that can happen next, to a member or a coordinator.
type action struct {
	kind kind
	of   uint8
}

func (s action) String() string { return fmt.Sprint(kindNames[s.kind], " ", s.of) }

// steps are all that can happen in this state.
func (w *world) steps(out []action) []action {
	add := func(k kind, of int) { out = append(out, action{k, uint8(of)}) }
	b := &w.left
	for i := range w.members {
		m := &w.members[i]
		if b.bursts > 0 && !m.probing && (m.state != breaker.Open || w.now >= m.due) {
			add(fails, i)
			if m.state == breaker.Closed {
				add(works, i)
			}
		}
		if m.probing {
			add(probeFails, i)
			add(probePasses, i)
		}
		add(beats, i)
		if b.losses > 0 {
			add(reportLost, i)
			add(answerLost, i)
		}
		if b.late > 0 {
			if m.late != nil {
				add(reportLate, i)
			}
			if w.late != nil {
				add(digestLate, i)
			}
		}
		if b.crashes > 0 {
			add(crashes, i)
		}
	}
	for j, o := range w.offices {
		if o == nil {
			if b.leads > 0 && w.free() {
				add(leads, j)
			}
			continue
		}
		add(counts, j)
		if o.pending != nil {
			add(publishes, j)
		} else if b.naps > 0 {
			add(naps, j)
		}
	}
	if b.ticks > 0 {
		add(ticks, 0)
	}
	if b.flushes > 0 {
		add(flushes, 0)
	}
	if b.failovers > 0 && w.backup != nil {
		add(failovers, 0)
	}
	if b.orders > 0 {
		add(closes, 0)
	}
	return out
}

// take takes a step.
func (w *world) take(s action) {
	w.seq++
	i, b := int(s.of), &w.left
	switch s.kind {
	case fails, works:
		b.bursts--
		w.call(i, s.kind == fails)
	case probeFails, probePasses:
		w.end(i, s.kind == probeFails)
	case beats:
		w.beat(i, true, true)
	case reportLost, answerLost:
		b.losses--
		w.beat(i, s.kind == answerLost, s.kind == reportLost)
	case reportLate:
		b.late--
		w.store.put(w.members[i].late)
	case digestLate:
		b.late--
		w.hear(i, w.late, true)
		w.react(i)
	case crashes:
		b.crashes--
		w.crash(i)
	case counts:
		w.count(i)
		w.publish(i)
	case naps:
		b.naps--
		w.count(i)
	case publishes:
		w.publish(i)
	case leads:
		b.leads--
		w.lead(i)
	case ticks:
		b.ticks--
		w.now += time.Second
	case flushes:
		b.flushes--
		w.flush()
	case failovers:
		b.failovers--
		w.failover()
	case closes:
		b.orders--
		w.closeAll()
	}
}

// round lets everyone act in turn, with calls of some, which all end alike but for
// those of the process that is bad.
func (w *world) round(fail bool, bad int, callers ...int) {
	for _, i := range callers {
		w.seq++
		w.call(i, fail || i == bad)
		w.seq++
		w.end(i, fail || i == bad)
	}
	for range 2 {
		for i := range w.members {
			w.seq++
			w.beat(i, true, true)
		}
		for j, o := range w.offices {
			w.seq++
			if o == nil {
				w.lead(j)
			}
			if w.offices[j] != nil {
				w.count(j)
				w.publish(j)
			}
		}
	}
	for i := range w.members {
		w.seq++
		w.beat(i, true, true)
	}
	w.now += time.Second
}

const (
	nobody = -1
	sample = 997 // of so many states, the liveness is checked of one
)

// start is a state from which everything is explored: those that matter are too
// many steps away from the beginning.
type start struct {
	name string
	w    *world
}

func starts() []start {
	var all []start
	add := func(name string, w *world, left budget) *world {
		x := w.clone()
		x.left = left
		all = append(all, start{name, x})
		return w.clone()
	}
	fresh := newWorld()
	add("new", fresh, budget{bursts: 3, ticks: 1})
	told := fresh.clone()
	for i := range told.members {
		told.seq++
		told.call(i, true)
		told.beat(i, true, true)
	}
	add("failing", told, budget{bursts: 1, ticks: 1, losses: 1})
	add("failing, and crashes", told, budget{bursts: 1, ticks: 1, crashes: 1, late: 1})
	open := fresh.clone()
	open.round(true, nobody, 0, 1, 2)
	add("open", open, budget{bursts: 1, ticks: 2, losses: 1})
	silent := open.clone()
	silent.now += 3 * time.Second
	add("silent", silent, budget{bursts: 1, ticks: 2, leads: 1})
	add("two coordinators", silent, budget{leads: 2, naps: 1, late: 1, failovers: 1, ticks: 1})
	// The lease is evicted, and another one follows, of whom a failover knows nothing.
	fallen := open.clone()
	backup := fallen.store
	fallen.store.holder = 0
	fallen.seq++
	fallen.lead(1)
	fallen.count(1)
	fallen.publish(1)
	for i := range fallen.members {
		fallen.seq++
		fallen.beat(i, true, true)
	}
	fallen.backup = &backup
	add("fallen back", fallen, budget{failovers: 1, ticks: 1, late: 1})
	flushed := open.clone()
	flushed.seq++
	flushed.flush()
	add("flushed", flushed, budget{ticks: 2, leads: 2, crashes: 1})
	// A key of the store is evicted, and who becomes the coordinator knows nothing.
	evicted := open.clone()
	evicted.crash(2)
	evicted.store.digest = nil
	for range 3 {
		evicted.now += time.Second
		for i := range evicted.members {
			evicted.seq++
			evicted.beat(i, true, true)
		}
	}
	add("evicted", evicted, budget{bursts: 1, ticks: 1, leads: 2})
	armed := open.clone()
	for range 3 {
		armed.round(true, nobody)
	}
	add("armed", armed, budget{bursts: 2, ticks: 1, losses: 1})
	running := armed.clone()
	for i := range running.members {
		running.seq++
		running.call(i, true)
	}
	add("running", running, budget{ticks: 1, losses: 1, crashes: 1})
	unheard := running.clone()
	unheard.seq++
	unheard.end(0, true)
	unheard.beat(0, true, true)
	unheard.seq++
	unheard.count(0)
	unheard.publish(0)
	add("unheard", unheard, budget{ticks: 1, flushes: 1, leads: 1, failovers: 1})
	// The store is flushed before any other has heard of the result.
	forgotten := unheard.clone()
	forgotten.beat(0, true, true)
	forgotten.flush()
	forgotten.count(0)
	forgotten.publish(0)
	add("forgotten", forgotten, budget{ticks: 1, leads: 2})
	for range 2 {
		unheard.now += time.Second
		unheard.seq++
		unheard.beat(0, true, false)
	}
	add("unheard for two beats", unheard, budget{ticks: 1, losses: 1})
	cleared := armed.clone()
	for i := range cleared.members {
		cleared.seq++
		cleared.call(i, false)
		cleared.end(i, false)
		cleared.beat(i, true, true)
	}
	cleared.seq++
	cleared.count(0)
	cleared.publish(0)
	add("cleared", cleared, budget{bursts: 2, ticks: 1, late: 1})
	second := open.clone()
	for range 8 {
		second.round(true, nobody, 0, 1, 2)
	}
	add("second attempt", second, budget{bursts: 2, ticks: 2})
	// One has tripped by itself and may probe, and two others tell of failures.
	beside := fresh.clone()
	beside.call(1, true)
	beside.seq++
	beside.call(1, true)
	for range resetTime / time.Second {
		beside.round(false, nobody)
	}
	for _, i := range []int{0, 2} {
		beside.seq++
		beside.call(i, true)
		beside.beat(i, true, true)
	}
	add("beside", beside, budget{bursts: 2, losses: 1})
	zone := fresh.clone()
	zone.round(false, nobody, 2)
	zone.round(true, nobody, 0, 1)
	add("zone", zone, budget{bursts: 2, ticks: 1, orders: 1})
	return all
}

// node is a state that was reached, by a step from another.
type node struct {
	from int32
	by   action
}

// explore visits every state that so many steps lead to within the budgets, breadth
// first.
func explore(t *testing.T, first *world, depth int) (states, transitions int) {
	nodes := []node{{from: -1}}
	path := func(at int32, last ...action) string {
		for ; nodes[at].from >= 0; at = nodes[at].from {
			last = append(last, nodes[at].by)
		}
		slices.Reverse(last)
		return fmt.Sprint(last)
	}
	type entry struct {
		w  *world
		at int32
	}
	seen := map[uint64]bool{first.key(): true}
	level := []entry{{first, 0}}
	var steps []action
	for d := range depth {
		var next []entry
		for _, e := range level {
			steps = e.w.steps(steps[:0])
			for _, s := range steps {
				w := e.w.clone()
				w.take(s)
				transitions++
				if w.ghosts.broken != "" {
					t.Fatalf("%s\nafter %s", w.ghosts.broken, path(e.at, s))
				}
				k := w.key()
				if seen[k] {
					continue
				}
				seen[k] = true
				nodes = append(nodes, node{e.at, s})
				at := int32(len(nodes) - 1)
				if d+1 < depth {
					next = append(next, entry{w, at})
				}
				if len(nodes)%sample == 0 {
					if why := recovers(w); why != "" {
						t.Fatalf("%s\nafter %s", why, path(at))
					}
				}
			}
		}
		level = next
	}
	return len(nodes), transitions
}

// recovers checks the liveness. With a dependency that works, and calls of one
// member only, that member closes in the end, also while probes of others hang for
// ever. With calls of all, all close; also those that are well where one is not. And
// with calls that all fail, all are open under a verdict before long.
func recovers(from *world) (why string) {
	for i := range from.members {
		w := from.clone()
		if !w.members[i].probing { // else it hangs
			if !w.until(60, func() bool { w.round(false, nobody, i); return w.members[i].state == breaker.Closed }) {
				return fmt.Sprintf("F7: with calls of member %d alone it does not recover: %s", i, w)
			}
		}
		w = from.clone()
		w.answered()
		if !w.until(60, func() bool {
			w.round(false, i, 0, 1, 2, i, i) // it is the one that calls the most
			return !slices.ContainsFunc([]int{0, 1, 2}, func(j int) bool { return j != i && w.members[j].state != breaker.Closed })
		}) {
			return fmt.Sprintf("F3: process %d is bad, and the others do not recover: %s", i, w)
		}
	}
	w := from.clone()
	w.answered()
	if !w.until(60, func() bool { w.round(false, nobody, 0, 1, 2); return w.all(breaker.Closed) }) {
		return fmt.Sprintf("F7: the fleet does not recover: %s", w)
	}
	if !w.until(90, func() bool { w.round(true, nobody, 0, 1, 2); return w.under() }) {
		return fmt.Sprintf("F12: all calls fail, and not all are under a verdict: %s", w)
	}
	return ""
}

func (w *world) answered() {
	for i := range w.members {
		w.members[i].probing = false // their results were no evidence
	}
}

func (w *world) until(rounds int, ok func() bool) bool {
	for range rounds {
		if ok() && w.ghosts.broken == "" {
			return true
		}
		if w.ghosts.broken != "" {
			return false
		}
	}
	return false
}

func (w *world) all(s breaker.State) bool {
	for i := range w.members {
		if w.members[i].state != s {
			return false
		}
	}
	return true
}

// under reports whether all are open, by a verdict where a zone has two members: a
// zone that was found guilty is no evidence against the others.
func (w *world) under() bool {
	for i := range w.members {
		if m := &w.members[i]; m.state == breaker.Closed || m.own.Under == 0 && zones[i] == "a" {
			return false
		}
	}
	return true
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nlease of %d, term %d, for %s\n", w.ghosts.broken, w.store.holder-1, w.store.term, w.store.lease-w.now)
	for i := range w.members {
		m := &w.members[i]
		fmt.Fprintf(&b, "member %d zone %s: %s due in %s probing %v stamp %d under %d probe %+v, heard %+v %s ago\n",
			m.id, zones[i], m.state, m.due-w.now, m.probing, m.own.Stamp, m.own.Under, m.own.Probe, m.ear, w.now-m.ear.At)
	}
	for j, o := range w.offices {
		if o != nil {
			fmt.Fprintf(&b, "coordinator %d, term %d, clock %d", j, o.term, o.k.Clock)
			for zone, x := range scopes(o.k.Subjects[subject]) {
				fmt.Fprintf(&b, ", %q: %+v", zone, *x)
			}
			fmt.Fprintln(&b)
		}
	}
	return b.String()
}

// collectLess lets garbage pile up, which takes a quarter off the processor time of
// an exploration.
func collectLess(t *testing.T) {
	old := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(old) })
}

// TestExplore visits every state within the bounds.
func TestExplore(t *testing.T) {
	collectLess(t)
	depth := 4
	if os.Getenv("SWITCHGEAR_EXPLORE") != "" && !mutants.Race {
		depth = 6
	}
	for _, s := range starts() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.w.ghosts.broken != "" {
				t.Fatal(s.w.ghosts.broken)
			}
			states, transitions := explore(t, s.w, depth)
			t.Logf("%d states, %d transitions", states, transitions)
		})
	}
}

// TestWalks goes much further, by chance.
func TestWalks(t *testing.T) {
	collectLess(t)
	walks := 50
	if os.Getenv("SWITCHGEAR_EXPLORE") != "" && !mutants.Race {
		walks = 3000
	}
	var steps []action
	for seed := range uint64(walks) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld()
		w.left = budget{127, 127, 20, 20, 4, 3, 2, 20, 10, 4}
		path := fmt.Sprint("seed ", seed, ":")
		for range 150 {
			steps = w.steps(steps[:0])
			s := steps[r.IntN(len(steps))]
			path += fmt.Sprint(" ", s)
			w.take(s)
			// Most of the time, all goes well.
			for r.IntN(3) > 0 && w.ghosts.broken == "" {
				path += " round"
				w.round(false, nobody)
				w.now -= time.Second * 3 / 4
			}
			if w.ghosts.broken != "" {
				t.Fatalf("%s\nafter %s", w.ghosts.broken, path)
			}
		}
		if why := recovers(w); why != "" {
			t.Fatalf("%s\nafter %s", why, path)
		}
	}
}
