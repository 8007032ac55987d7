package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing/synctest"
	"time"

	"github.com/switchgear-go/switchgear/internal/spec"
)

// A world is a real breaker with its callers next to the specification, and
// takes one step at a time. Every method of the breaker that takes its lock is
// one step, and so is every firing of one of its timers. The explorer decides
// when timers fire: arbitrarily late, and even after they were stopped,
// because a stopped timer may already be firing.
type world struct {
	cfg       *exploration
	b         *Breaker
	set       *Set[string] // of b, where forgetting is explored
	other     *Breaker     // of another key of set, once it is used
	sp        spec.Breaker
	born      time.Time
	callers   []caller
	timers    []stolen
	taken     map[any]bool // owners of timers that were stolen
	collected bool         // b is not the set's: the key has none
	orders    int          // given so far
	forced    int          // overrides put on so far
	heard     []Transition
}

// exploration defines a world and how far it may go.
type exploration struct {
	name     string
	settings Settings
	also     Settings // what evUpdate changes to and back; FailMax 0: no updates
	spec     spec.Settings
	alsoSpec spec.Settings
	callers  int
	orders   int
	verbs    []step
	outcomes []ending
	keyed    bool // the breaker is a set's that must make room for another key
	nested   bool // calls make calls of the same breaker
	fleet    bool // peers open and hold it
	whole    bool // callers use Do on goroutines, not Allow and Done
}

const tickLen = time.Second

// ending is how a call ends.
type ending uint8

const (
	endSuccess ending = iota
	endFailure
	endIgnored
	endPanic
	endGoexit
)

func (e ending) outcome() spec.Outcome {
	switch e {
	case endSuccess:
		return spec.Success
	case endIgnored:
		return spec.Ignored
	default:
		return spec.Failure
	}
}

type stepKind uint8

const (
	stepStart   stepKind = iota // a call asks for admission
	stepFinish                  // call n ends as end says
	stepTick                    // time passes
	stepFire                    // timer n fires
	stepOrder                   // verb, for length ticks
	stepUpdate                  // the other settings
	stepOther                   // another key is used: b may be evicted
	stepForget                  // the set needs room and forgets what it knows of the key
	stepCollect                 // nothing holds the key's evicted breaker: it is collected
	stepNested                  // call n makes another one, as a part of it
	stepPeers                   // a fleet opens it
	stepHold                    // a fleet moves the end of its open time, by length ticks
	stepStale                   // a fleet does both, having judged an earlier version
)

type step struct {
	kind   stepKind
	n      uint8
	end    ending
	verb   Verb
	length uint8 // ticks
}

func (s step) String() string {
	switch s.kind {
	case stepStart:
		return "start"
	case stepFinish:
		return fmt.Sprintf("finish %d %s", s.n, [...]string{"success", "failure", "ignored", "panic", "goexit"}[s.end])
	case stepTick:
		return "tick"
	case stepFire:
		return fmt.Sprintf("timer %d", s.n)
	case stepUpdate:
		return "update"
	case stepOther:
		return "other key"
	case stepForget:
		return "forget"
	case stepCollect:
		return "collect"
	case stepNested:
		return fmt.Sprintf("nested in %d", s.n)
	case stepPeers:
		return "peers"
	case stepHold:
		return fmt.Sprintf("hold for %d", s.length)
	case stepStale:
		return "stale peers"
	}
	if s.length > 0 {
		return fmt.Sprintf("%s for %d", s.verb, s.length)
	}
	return string(s.verb)
}

type caller struct {
	busy    bool
	p       Permit // what it holds, in the permit mode
	sp      spec.Permit
	gen     uint32      // of the word it was admitted under
	unknown bool        // it began without a breaker
	end     chan ending // in the whole mode
	back    chan error
}

type stolen struct {
	kind  string // due, expire, remind
	at    time.Time
	fire  func()
	gen   int // spec's generation, or number of the override, it was set for
	owner any // what makes it valid still
}

// aside holds what a breaker must not change by itself, and more.
type aside struct {
	state, override State
	due, armed      bool // a timer says when the open time is over
	ramp            bool
	gen             uint32
	units, oks      int
	attempt, live   int
	version         uint64
	window          Counts
}

var (
	errWorld     = errors.New("down")
	errGone      = context.Canceled
	errorsOfEnds = map[ending]error{endSuccess: nil, endFailure: errWorld, endIgnored: errGone}
)

func newWorld(cfg *exploration) *world {
	w := &world{cfg: cfg, sp: spec.New(cfg.spec), born: time.Now(), callers: make([]caller, cfg.callers), taken: map[any]bool{}}
	hear := WithListener(Listener{StateChange: func(b *Breaker, t Transition) { w.heard = append(w.heard, t) }})
	if cfg.keyed {
		w.set = NewSet[string]("s", cfg.settings, SetOptions{MaxKeys: 1}, hear)
		w.b = w.set.Breaker("a")
	} else {
		w.b = New("b", cfg.settings, hear)
	}
	return w
}

func (w *world) now() time.Duration { return time.Since(w.born) }

// look reads the real breaker without taking a step.
func (w *world) look() aside {
	word := w.b.load()
	a := aside{
		state: stateOf(word), gen: genOf(word), units: unitsOf(word),
		due: word&flagDue != 0, ramp: word&flagRamp != 0, version: 1,
	}
	if e := effective(word); e > HalfOpen {
		a.override = e
	}
	if c := w.b.cold.Load(); c != nil {
		a.oks, a.attempt, a.version = c.successes, c.attempt, max(1, c.version)
		a.armed = c.dueTimer != nil
		if a.state == HalfOpen {
			a.live = c.probes.live(time.Now())
		}
	}
	if win := w.b.win.Load(); win != nil && a.state == Closed {
		a.window = win.counts()
	}
	return a
}

// steal takes over the timers that the last step set. Time stands still
// between steps, so none of them has fired.
func (w *world) steal() {
	c := w.b.cold.Load()
	if c == nil {
		return
	}
	if c.dueTimer != nil && !w.taken[c.dueTimer] {
		w.taken[c.dueTimer] = true
		gen := genOf(w.b.load())
		b := w.b
		c.dueTimer.Stop()
		w.timers = append(w.timers, stolen{kind: "due", at: c.openUntil, fire: func() { b.due(gen) }, gen: w.sp.Gen, owner: c.dueTimer})
	}
	if o := c.override; o != nil && o.deadline != nil && !w.taken[o] {
		w.taken[o] = true
		b := w.b
		o.deadline.Stop()
		o.halfway.Stop()
		half := o.Since.Add(o.expires.Sub(o.Since) / 2)
		w.timers = append(w.timers,
			stolen{kind: "remind", at: half, fire: func() { b.remind(o) }, gen: w.forced, owner: o},
			stolen{kind: "expire", at: o.expires, fire: func() { b.expire(o) }, gen: w.forced, owner: o})
	}
}

// valid reports whether the timer is still set, not stopped.
func (w *world) valid(t *stolen) bool {
	c := w.b.cold.Load()
	if c == nil {
		return false
	}
	if t.kind == "due" {
		return t.owner == any(c.dueTimer)
	}
	return t.owner == any(c.override)
}

// forgetStale drops all but the newest stopped timer of each kind.
func (w *world) forgetStale() {
	stale := map[string]bool{}
	for i := len(w.timers) - 1; i >= 0; i-- {
		t := &w.timers[i]
		if w.valid(t) {
			continue
		}
		if t.kind == "remind" || stale[t.kind] {
			w.timers = slices.Delete(w.timers, i, i+1)
			continue
		}
		stale[t.kind] = true
	}
}

// steps returns the steps that are possible now. Callers are interchangeable:
// only one of the idle ones needs to be tried.
func (w *world) steps() (all []step) {
	idle := false
	for i := range w.callers {
		if !w.callers[i].busy {
			idle = true
			continue
		}
		for _, e := range w.cfg.outcomes {
			all = append(all, step{kind: stepFinish, n: uint8(i), end: e})
		}
		if w.cfg.nested {
			all = append(all, step{kind: stepNested, n: uint8(i)})
		}
	}
	if idle {
		all = append(all, step{kind: stepStart})
	}
	for i, t := range w.timers {
		if !time.Now().Before(t.at) {
			all = append(all, step{kind: stepFire, n: uint8(i)})
		}
	}
	if w.orders < w.cfg.orders {
		all = append(all, w.cfg.verbs...)
		if w.cfg.also.FailMax != 0 {
			all = append(all, step{kind: stepUpdate})
		}
		if w.cfg.fleet {
			all = append(all, step{kind: stepPeers}, step{kind: stepHold}, step{kind: stepHold, length: 2})
		}
	}
	if w.cfg.fleet {
		all = append(all, step{kind: stepStale})
	}
	if w.cfg.keyed {
		all = append(all, step{kind: stepOther}, step{kind: stepForget})
		if w.collectable() {
			all = append(all, step{kind: stepCollect})
		}
	}
	return append(all, step{kind: stepTick})
}

// take takes a step on both sides and returns what is wrong afterwards, if
// anything.
func (w *world) take(s step) error {
	before := w.look()
	heard := len(w.heard)
	var wrong error
	switch s.kind {
	case stepStart:
		wrong = w.start(before)
	case stepFinish:
		wrong = w.finish(int(s.n), s.end, before)
	case stepTick:
		time.Sleep(tickLen)
	case stepFire:
		w.fire(int(s.n))
	case stepOrder:
		w.order(s)
	case stepUpdate:
		w.update()
	case stepOther:
		// Held, so that the garbage collector, which may run at any time,
		// cannot take it; and idle longer than the key, so that one of the two
		// is always evicted first. Otherwise a path could lead to two states.
		w.other = w.set.Breaker("z")
		w.other.used.Add(^uint32(0))
	case stepForget:
		w.sp.Forget()
		w.b.forget(lapseNow)
	case stepCollect:
		w.collect()
	case stepNested:
		wrong = w.nested(int(s.n))
	case stepPeers, stepHold:
		w.peers(s)
	case stepStale:
		wrong = w.stalePeers()
	}
	if wrong == nil {
		wrong = w.oneBreaker()
	}
	w.steal()
	w.forgetStale()
	if wrong != nil {
		return wrong
	}
	after := w.look()
	if err := w.agree(after); err != nil {
		return err
	}
	return w.allowed(s, before, after, w.heard[heard:])
}

// peek returns the breaker that the set has for the key, kept or evicted,
// without using it.
func (w *world) peek() *Breaker {
	sh := w.set.shard("a")
	if b := sh.by.m["a"]; b != nil {
		return b
	}
	if ref, ok := sh.evicted.m["a"]; ok {
		return ref.Value()
	}
	return nil
}

// collectable reports whether the garbage collector could take the key's
// breaker. Calls in flight may outlive a breaker that never moved: they began
// without a breaker. A breaker that moved, and calls from before, are the
// exception that untrackedCall.settle names.
func (w *world) collectable() bool {
	if w.collected || w.b.load()&flagEvicted == 0 {
		return false
	}
	holds := func(c caller) bool { return c.busy && !c.unknown }
	unknown := func(c caller) bool { return c.busy && c.unknown }
	return !slices.ContainsFunc(w.callers, holds) && (genOf(w.b.load()) == 0 || !slices.ContainsFunc(w.callers, unknown))
}

// collect does what the garbage collector and the cleanup do. A new breaker
// represents the key until it gets one again.
func (w *world) collect() {
	sh := w.set.shard("a")
	ref := sh.evicted.m["a"]
	w.set.evicted.keys.m[ref].cleanup.Stop()
	w.set.collected(collected[string]{w.set, "a", "a", ref})
	w.b, w.collected = newBreaker(w.set.cfg, "a"), true
	for i := range w.callers { // a call holds its breaker
		w.callers[i].gen = 0
	}
}

func (w *world) idle() int {
	return slices.IndexFunc(w.callers, func(c caller) bool { return !c.busy })
}

func (w *world) start(before aside) error {
	i := w.idle()
	c := &w.callers[i]
	sp, want := w.sp.Admit(w.now())
	got, gen := w.ask(c)
	if got != want {
		return fmt.Errorf("admitted: %v, the specification says %v", got, want)
	}
	if !got {
		return nil
	}
	c.busy, c.sp, c.gen = true, sp, gen
	if before.state == HalfOpen && before.override == Closed && before.live >= w.probes() {
		return fmt.Errorf("I3: admitted with %d probes out of %d", before.live, w.probes())
	}
	return nil
}

func (w *world) probes() int { return w.b.settings().Probes }

// ask makes a call ask for admission in the way of the exploration.
func (w *world) ask(c *caller) (admitted bool, gen uint32) {
	b := w.b
	if w.set != nil && !w.cfg.whole {
		b = w.set.Breaker("a")
	}
	if !w.cfg.whole {
		p, err := b.Allow()
		c.p = p
		return err == nil, genOf(p.word)
	}
	c.end, c.back = make(chan ending), make(chan error, 1)
	entered := false
	go func() {
		defer close(c.back)
		defer func() { _ = recover() }()
		ctx, cancel := context.WithCancel(context.Background())
		call := b.Do
		if w.set != nil {
			call = func(ctx context.Context, fn func(context.Context) error) error { return w.set.Do(ctx, "a", fn) }
		}
		c.back <- call(ctx, func(context.Context) error {
			entered = true
			return perform(<-c.end, cancel)
		})
	}()
	synctest.Wait()
	if !entered {
		<-c.back
	}
	c.unknown = w.set != nil && w.peek() == nil
	return entered, genOf(w.b.load())
}

// nested makes a call within that of caller i, which succeeds. As part of a
// probe it is admitted and changes nothing; otherwise it is a call like any
// other.
func (w *world) nested(i int) error {
	c := &w.callers[i]
	sp, want := spec.Permit{}, true
	if !w.sp.Rides(c.sp) || w.sp.Override == spec.ForcedOpen {
		sp, want = w.sp.Admit(w.now())
	}
	p, err := w.b.AllowContext(c.p.Context(context.Background()))
	if (err == nil) != want {
		return fmt.Errorf("a nested call was admitted: %v, want %v", err == nil, want)
	}
	if err == nil {
		w.sp.Settle(sp, spec.Success, w.now())
		p.Done(nil)
	}
	return nil
}

// peers does what a fleet does.
func (w *world) peers(s step) {
	w.orders++
	p := w.b.Peer()
	version := w.b.Status().Version
	length := time.Duration(s.length) * tickLen
	if s.kind == stepHold {
		w.sp.Hold(length, w.now())
		p.Hold(version, length)
		return
	}
	w.sp.Peers(2*tickLen, w.now())
	if _, err := p.Open(version, 2*tickLen, Peers{Scope: "the fleet"}, Counts{}); err != nil {
		panic(err)
	}
	synctest.Wait() // for its listeners
}

// stalePeers is what a fleet does that has judged an earlier version: nothing.
func (w *world) stalePeers() error {
	p, version := w.b.Peer(), w.b.Status().Version-1
	if p.Hold(version, 2*tickLen) {
		return errors.New("I1: held by who judged an earlier version")
	}
	if _, err := p.Open(version, 2*tickLen, Peers{Scope: "the fleet"}, Counts{}); !errors.Is(err, ErrVersion) {
		return fmt.Errorf("I1: opened by who judged an earlier version: %v, want ErrVersion", err)
	}
	return nil
}

// perform ends a call.
func perform(e ending, cancel func()) error {
	switch e {
	case endPanic:
		panic(errWorld)
	case endGoexit:
		runtime.Goexit()
	case endIgnored:
		cancel()
	}
	return errorsOfEnds[e]
}

func (w *world) finish(i int, e ending, before aside) error {
	c := &w.callers[i]
	w.sp.Settle(c.sp, e.outcome(), w.now())
	switch {
	case w.cfg.whole:
		c.end <- e
		if err := <-c.back; err != errorsOfEnds[e] {
			return fmt.Errorf("the call's error came back as %v, want %v", err, errorsOfEnds[e])
		}
		synctest.Wait()
	case e == endIgnored:
		c.p.Ignore()
	default:
		c.p.Done(errorsOfEnds[e])
	}
	stale := !w.cfg.keyed && c.gen != before.gen
	*c = caller{}
	if after := w.look(); stale && after != before {
		return fmt.Errorf("I1: the outcome of an older generation changed %+v to %+v", before, after)
	}
	return nil
}

func (w *world) fire(i int) {
	t := w.timers[i]
	w.timers = slices.Delete(w.timers, i, i+1)
	switch t.kind {
	case "due":
		if w.sp.Auto == spec.Open && w.sp.Gen == t.gen && w.now() >= w.sp.OpenUntil {
			w.sp.Due = true
		}
	case "expire":
		if w.sp.Timed && w.forced == t.gen {
			w.sp.Expire(w.now())
		}
	}
	t.fire()
}

func (w *world) order(s step) {
	w.orders++
	length := time.Duration(s.length) * tickLen
	switch s.verb {
	case VerbOpen:
		w.sp.Open(length, w.now())
	case VerbClose:
		w.sp.Close()
	case VerbHalfOpen:
		w.sp.HalfOpen(w.now())
	case VerbForceOpen:
		w.forced++
		w.sp.Force(spec.ForcedOpen, length, w.now())
	case VerbForceClosed:
		w.forced++
		w.sp.Force(spec.ForcedClosed, length, w.now())
	case VerbRelease:
		w.sp.Release(w.now())
	}
	w.target().order(s.verb, Order{For: length})
}

// target returns the breaker as an operator finds it.
func (w *world) target() *Breaker {
	if w.set != nil {
		return w.set.Breaker("a")
	}
	return w.b
}

func (w *world) update() {
	w.orders++
	to, sp := w.cfg.also, w.cfg.alsoSpec
	if w.sp.Set == w.cfg.alsoSpec {
		to, sp = w.cfg.settings, w.cfg.spec
	}
	w.sp.Update(sp)
	if err := w.target().Update(to); err != nil {
		panic(err)
	}
}
