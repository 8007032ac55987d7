package breaker

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/spec"
)

// The explorer reaches every state of a small world that any order of steps
// can reach, by replaying sequences of steps on the real breaker, and checks
// every step there. docs/proof.md says what that proves.

// orders, each with and without an end where it can have one.
var allVerbs = []step{
	{kind: stepOrder, verb: VerbOpen},
	{kind: stepOrder, verb: VerbClose},
	{kind: stepOrder, verb: VerbHalfOpen},
	{kind: stepOrder, verb: VerbForceOpen},
	{kind: stepOrder, verb: VerbForceOpen, length: 2},
	{kind: stepOrder, verb: VerbForceClosed},
	{kind: stepOrder, verb: VerbForceClosed, length: 2},
	{kind: stepOrder, verb: VerbRelease},
}

var (
	plainEnds = []ending{endSuccess, endFailure, endIgnored}
	allEnds   = []ending{endSuccess, endFailure, endIgnored, endPanic, endGoexit}
)

// small is the settings that the explorations begin from, twice.
func small() (Settings, spec.Settings) {
	engine := Settings{
		FailMax: 2, SuccessThreshold: 2, Probes: 2,
		ResetTimeout: 2 * tickLen, ProbeTimeout: 2 * tickLen,
	}
	model := spec.Settings{
		FailMax: 2, SuccessThreshold: 2, Probes: 2,
		ResetTimeout: 2 * tickLen, ProbeTimeout: 2 * tickLen, Backoff: 1,
	}
	return engine, model
}

func explorations() []exploration {
	s, sp := small()
	base := exploration{
		name: "consecutive", settings: s, spec: sp,
		callers: 3, orders: 2, verbs: allVerbs, outcomes: plainEnds,
	}

	update := base
	update.name, update.orders, update.callers = "update", 2, 3
	update.verbs = []step{{kind: stepOrder, verb: VerbHalfOpen}}
	update.also, update.alsoSpec = s, sp
	update.also.FailMax, update.alsoSpec.FailMax = 1, 1
	update.also.Probes, update.alsoSpec.Probes = 1, 1
	update.also.SuccessThreshold, update.alsoSpec.SuccessThreshold = 1, 1

	rate := base
	rate.name, rate.orders, rate.callers = "rate", 1, 2
	rate.settings.FailMax, rate.spec.FailMax = -1, 0
	rate.settings.WindowCalls, rate.spec.WindowCalls = 4, 4
	rate.settings.MinCalls, rate.spec.MinCalls = 3, 3
	rate.settings.FailureRate, rate.spec.RateNum, rate.spec.RateDen = 0.5, 1, 2

	// A first failure is far from opening and takes no lock, see lockfree.go.
	plain := base
	plain.name, plain.orders = "plain", 1
	plain.settings.FailMax, plain.spec.FailMax = 1+keptErrors, 1+keptErrors

	both := rate
	both.name = "both"
	both.settings.FailMax, both.spec.FailMax = plain.settings.FailMax, plain.spec.FailMax
	both.settings.WindowCalls, both.spec.WindowCalls = 2, 2
	both.settings.MinCalls, both.spec.MinCalls = 2, 2
	both.settings.FailureRate, both.spec.RateNum, both.spec.RateDen = 1, 1, 1

	ramp := base
	ramp.name, ramp.orders, ramp.callers = "ramp", 1, 2
	ramp.settings.Ramp, ramp.spec.Ramp = 4*tickLen, 4*tickLen
	ramp.settings.ResetBackoff, ramp.spec.Backoff = 2, 2
	ramp.settings.ResetMax, ramp.spec.ResetMax = 4*tickLen, 4*tickLen

	whole := base
	whole.name, whole.orders, whole.callers = "do", 1, 3
	whole.whole, whole.outcomes = true, allEnds

	keyed := base
	keyed.name, keyed.orders, keyed.keyed = "keyed", 1, true

	keyedDo := whole
	keyedDo.name, keyedDo.callers, keyedDo.keyed = "keyed do", 2, true
	keyedDo.settings.FailMax, keyedDo.spec.FailMax = plain.settings.FailMax, plain.spec.FailMax
	return []exploration{base, update, rate, plain, both, ramp, whole, keyed, keyedDo}
}

func TestExplore(t *testing.T) {
	for _, x := range explorations() {
		if os.Getenv("SWITCHGEAR_EXPLORE") == "" {
			x.shrink(testing.Short() || raceEnabled, raceEnabled)
		}
		t.Run(x.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { explore(t, &x) }) })
	}
}

// shrink makes less of an exploration: with -short, and still less under the
// race detector, which has little to find where one step is taken at a time.
func (x *exploration) shrink(less, little bool) {
	if less {
		x.callers = min(x.callers, 2)
	}
	if little {
		x.orders = 0
		if x.settings.Ramp > 0 {
			x.callers = 1
		}
	}
}

// node is a state that was reached: by a step from another.
type node struct {
	from int
	by   step
	next []step
}

func explore(t *testing.T, x *exploration) {
	nodes := []node{{from: -1, next: newWorld(x).steps()}}
	seen := map[string]bool{newWorld(x).key(): true}
	transitions, depth := 0, 0
	for at := 0; at < len(nodes); at++ {
		for _, s := range nodes[at].next {
			w := replay(t, x, nodes, at)
			transitions++
			if err := w.take(s); err != nil {
				t.Fatalf("%v\nafter:\n\t%s\nthen\n\t%s", err, path(nodes, at), s)
			}
			k := w.key()
			if seen[k] {
				w.close()
				continue
			}
			seen[k] = true
			nodes = append(nodes, node{from: at, by: s, next: w.steps()})
			if err := w.live(); err != nil {
				t.Fatalf("I2: %v\nafter:\n\t%s", err, path(nodes, len(nodes)-1))
			}
			w.close()
		}
		nodes[at].next = nil
	}
	for at := len(nodes) - 1; at > 0; at = nodes[at].from {
		depth++
	}
	t.Logf("%s: %d states, %d transitions, %d steps deep, with %d callers and %d orders",
		x.name, len(nodes), transitions, depth, x.callers, x.orders)
}

func replay(t *testing.T, x *exploration, nodes []node, at int) *world {
	w := newWorld(x)
	var back []step
	for ; at > 0; at = nodes[at].from {
		back = append(back, nodes[at].by)
	}
	for _, s := range slices.Backward(back) {
		if err := w.take(s); err != nil {
			t.Fatalf("a replay differs from the first time: %v", err)
		}
	}
	return w
}

func path(nodes []node, at int) string {
	var back []string
	for ; at > 0; at = nodes[at].from {
		back = append(back, nodes[at].by.String())
	}
	slices.Reverse(back)
	return strings.Join(back, "\n\t")
}

// close lets the goroutines of calls in flight end.
func (w *world) close() {
	for i := range w.callers {
		if c := &w.callers[i]; c.busy && w.cfg.whole {
			c.end <- endSuccess
			<-c.back
		}
	}
	synctest.Wait()
	if c := w.b.cold.Load(); c != nil {
		stopTimer(&c.dueTimer)
		if o := c.override; o != nil {
			stopTimer(&o.halfway)
			stopTimer(&o.deadline)
		}
	}
}

// live checks that time alone leads to an admission, though every call in
// flight hangs for ever and no operator comes (I2). Only an override without
// an end may stand in the way.
func (w *world) live() error {
	for range 8 {
		if w.sp.Override == spec.ForcedOpen && !w.sp.Timed {
			return nil
		}
		if _, admits := w.peek(); admits {
			return w.admits()
		}
		if err := w.take(step{kind: stepTick}); err != nil {
			return err
		}
		for i := w.ripe(); i >= 0; i = w.ripe() {
			if err := w.take(step{kind: stepFire, n: uint8(i)}); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("nothing was admitted in 8 ticks")
}

// ripe is a timer that is set and whose time has come, or -1.
func (w *world) ripe() int {
	return slices.IndexFunc(w.timers, func(t stolen) bool { return w.valid(&t) && !time.Now().Before(t.at) })
}

// peek asks the specification's copy.
func (w *world) peek() (spec.Permit, bool) {
	sp := w.sp
	return sp.Admit(w.now())
}

// admits asks the real breaker, with one caller more.
func (w *world) admits() error {
	w.callers = append(w.callers, caller{})
	for i := range w.callers {
		if !w.callers[i].busy {
			return w.take(step{kind: stepStart})
		}
	}
	return nil
}

// key tells states apart that can behave differently from here on: all times
// are taken relative to now, generations to the one under way, and callers in
// a fixed order, as they are alike.
func (w *world) key() string {
	word := w.b.load()
	var k strings.Builder
	fails := failsOf(word)
	if stateOf(word) != Closed {
		fails = min(fails, w.b.rules().FailMax+1) // only shown to people until it closes
	}
	fmt.Fprintf(&k, "%x.%d.%d.%d.%t|", word&(stateMask|flagForcedOpen|flagForcedClosed|flagDue|flagRamp|flagCounted|flagGone|flagShut),
		fails, w.sp.OKs, w.orders, w.sp.Set == w.cfg.spec)
	w.timersKey(&k, time.Now())
	if w.sp.Auto == spec.Open && !w.sp.Armed {
		fmt.Fprintf(&k, "o%d|", max(0, w.sp.OpenUntil-w.now())/tickLen)
	}
	w.callersKey(&k)
	w.windowKey(&k)
	if w.sp.Set.Ramp > 0 {
		fmt.Fprintf(&k, "r%d.%g.%d", min(w.now()-w.sp.RampFrom, w.sp.Set.Ramp)/tickLen, w.sp.Credit, min(w.sp.Attempt, 3))
	}
	return k.String()
}

func (w *world) timersKey(k *strings.Builder, now time.Time) {
	var all []string
	for i := range w.timers {
		t := &w.timers[i]
		all = append(all, fmt.Sprintf("%s%t%d", t.kind[:1], w.valid(t), max(0, t.at.Sub(now))/(tickLen/2)))
	}
	slices.Sort(all)
	k.WriteString(strings.Join(all, ","))
	k.WriteByte('|')
}

// callersKey writes the callers sorted: each with what its permit is worth.
func (w *world) callersKey(k *strings.Builder) {
	type hold struct{ kind, rest int }
	var all []hold
	for i := range w.callers {
		c := &w.callers[i]
		h := hold{}
		switch {
		case !c.busy:
		case !c.sp.Judged:
			h.kind = 1
		case c.sp.Gen != w.sp.Gen:
			h.kind = 2
		case w.sp.Auto != spec.HalfOpen:
			h.kind = 3
		default:
			h.kind = 4
			for _, l := range w.sp.Leases {
				if l.Number == c.sp.Lease {
					h = hold{5, int(max(0, l.Ends-w.now()) / tickLen)}
				}
			}
		}
		if c.busy && w.cfg.keyed && !w.cfg.whole {
			h.kind += 10 * btoi(c.p.b == w.b)
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b hold) int { return cmp.Or(a.kind-b.kind, a.rest-b.rest) })
	fmt.Fprint(k, all)
}

func (w *world) windowKey(k *strings.Builder) {
	win := w.b.win.Load()
	if win == nil || win.last == nil || stateOf(w.b.load()) != Closed {
		return
	}
	l := win.last
	l.forget(l.pos.Load())
	fmt.Fprintf(k, "w%d.%d", min(l.pos.Load(), l.size), max(0, l.cleanAt.Load()-l.pos.Load()))
	for i := range l.n {
		fmt.Fprintf(k, ".%d", l.pos.Load()-l.list[(l.head+i)%len(l.list)].pos)
	}
}
