package breaker

import (
	"cmp"
	"fmt"
	"os"
	"runtime/debug"
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

	// Failures that lapse, a minimum duration of a row, and successes that
	// make up for half a failure.
	score := base
	score.name, score.orders, score.callers = "score", 1, 2
	score.verbs = []step{{kind: stepOrder, verb: VerbClose}}
	score.settings.SuccessesToForgive, score.spec.Forgive = 2, 2
	score.settings.FailWithin, score.spec.FailWithin = 2*tickLen, 2*tickLen
	score.settings.FailFor, score.spec.FailFor = tickLen, tickLen

	// Probes that hang: each lease is longer than the one before.
	lease := base
	lease.name, lease.orders, lease.callers = "lease", 1, 3
	lease.verbs = []step{{kind: stepOrder, verb: VerbHalfOpen}}
	lease.settings.Probes, lease.spec.Probes = 1, 1
	lease.settings.ProbeTimeout, lease.spec.ProbeTimeout = tickLen, tickLen
	lease.settings.ResetBackoff, lease.spec.Backoff = 2, 2
	lease.settings.ResetMax, lease.spec.ResetMax = 6*tickLen, 6*tickLen

	nested := base
	nested.name, nested.orders, nested.callers, nested.nested = "nested", 1, 2, true

	fleet := base
	fleet.name, fleet.orders, fleet.callers, fleet.fleet = "fleet", 2, 2, true

	keyed := base
	keyed.name, keyed.orders, keyed.keyed = "keyed", 1, true

	keyedDo := whole
	keyedDo.name, keyedDo.callers, keyedDo.keyed = "keyed do", 2, true
	keyedDo.settings.FailMax, keyedDo.spec.FailMax = plain.settings.FailMax, plain.spec.FailMax
	return []exploration{base, update, rate, plain, both, ramp, whole, score, lease, nested, fleet, keyed, keyedDo}
}

// collectLess lets garbage pile up, which takes a quarter off the processor time of
// an exploration.
func collectLess(t *testing.T) {
	old := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(old) })
}

func TestExplore(t *testing.T) {
	collectLess(t)
	for _, x := range explorations() {
		if os.Getenv("SWITCHGEAR_EXPLORE") == "" {
			x.shrink(raceEnabled || testing.Short())
		}
		t.Run(x.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { explore(t, &x) }) })
	}
}

// shrink makes an exploration smaller, unless SWITCHGEAR_EXPLORE is set. It
// makes it still smaller with -short and under the race detector, which finds
// little where one step is taken at a time.
func (x *exploration) shrink(little bool) {
	if x.name != "lease" { // whose third probe shows how leases grow
		x.callers = min(x.callers, 2)
	}
	x.orders = min(x.orders, 1)
	if little || x.keyed || x.whole || x.settings.Ramp > 0 || x.name == "lease" {
		x.orders = 0
	}
	if little && x.settings.Ramp > 0 {
		x.callers = 1
	}
}

// node is a state that was reached: by a step from another.
type node struct {
	from int
	by   step
	key  string
	next []step
}

func explore(t *testing.T, x *exploration) {
	w := newWorld(x)
	nodes := []node{{from: -1, key: w.key(), next: w.steps()}}
	seen := map[string]bool{w.key(): true}
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
			nodes = append(nodes, node{from: at, by: s, key: k, next: w.steps()})
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

func replay(t *testing.T, x *exploration, nodes []node, node int) *world {
	w := newWorld(x)
	var back []step
	for at := node; at > 0; at = nodes[at].from {
		back = append(back, nodes[at].by)
	}
	for _, s := range slices.Backward(back) {
		if err := w.take(s); err != nil {
			t.Fatalf("a replay differs from the first time: %v", err)
		}
	}
	if k := w.key(); k != nodes[node].key {
		t.Fatalf("a replay leads to the state\n\t%s, the first time it was\n\t%s\nafter:\n\t%s", k, nodes[node].key, path(nodes, node))
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
	if w.set != nil {
		stopTimer(&w.set.sweeper.timer)
	}
	if c := w.b.cold.Load(); c != nil {
		stopTimer(&c.dueTimer)
		if o := c.override; o != nil {
			stopTimer(&o.halfway)
			stopTimer(&o.deadline)
		}
	}
}

// key distinguishes states that can behave differently from here on: all times
// are relative to now, generations are relative to the current one, and
// callers are sorted, because they are interchangeable.
func (w *world) key() string {
	word := w.b.load()
	var k strings.Builder
	units := unitsOf(word)
	if stateOf(word) != Closed {
		units = min(units, w.b.settings().failLimit+1) // only shown to people until it closes
	}
	fmt.Fprintf(&k, "%x.%d.%d.%d.%t|", word&(stateMask|flagForcedOpen|flagForcedClosed|flagDue|flagRamp|flagCounted|flagHeld|flagEvicted|flagReject),
		units, w.sp.OKs, w.orders, w.sp.Set == w.cfg.spec)
	w.coldKey(&k)
	if w.set != nil {
		fmt.Fprintf(&k, "%t%t%t|", w.collected, w.set.shard("z").by.m["z"] != nil, genOf(word) == 0)
	}
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

// coldKey writes what the word does not contain, as the breaker has it: taking
// it from the specification would hide a breaker that keeps too much.
func (w *world) coldKey(k *strings.Builder) {
	c := w.b.cold.Load()
	if c == nil {
		return
	}
	if w.sp.Set.Backoff > 1 {
		fmt.Fprintf(k, "x%d.%d|", min(c.probes.expired, 4), min(c.attempt, 4))
	}
	if unitsOf(w.b.load()) > 0 && stateOf(w.b.load()) == Closed {
		fmt.Fprintf(k, "f%d.%d|", age(c.rowBegan, w.sp.Set.FailFor), age(c.rowLast, w.sp.Set.FailWithin))
	}
}

// age returns how long ago a moment was, in ticks, if it still matters.
func age(at time.Time, limit time.Duration) int {
	if limit == 0 {
		return 0
	}
	return int(min(time.Since(at), limit+tickLen) / tickLen)
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

// callersKey writes the callers, sorted, each with the meaning of its permit.
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
