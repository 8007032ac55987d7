package breaker

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

// The tests of this file hold a lock while something that needs it runs on
// another goroutine. They need no luck: they go on once that goroutine waits for
// the lock.

// behind holds a lock while call runs, and fails the test unless call waits for
// it. Meanwhile runs once call waits, with the lock held.
func behind(t *testing.T, mu sync.Locker, call, meanwhile func()) {
	t.Helper()
	mu.Lock()
	returned := make(chan struct{})
	go lockWaiter(call, returned)
	for waiting := false; !waiting; waiting = lockWaiterWaits() {
		select {
		case <-returned:
			mu.Unlock()
			t.Error("it does not wait for the lock")
			return
		default:
			runtime.Gosched()
		}
	}
	meanwhile()
	mu.Unlock()
	<-returned
}

// lockWaiter is the function of the goroutine that waits, by whose name it is
// found.
func lockWaiter(call func(), returned chan struct{}) {
	defer close(returned)
	call()
}

// lockWaiterWaits reports whether the goroutine of lockWaiter waits for a lock.
func lockWaiterWaits() bool {
	stacks := make([]byte, 1<<16)
	n := runtime.Stack(stacks, true)
	for n == len(stacks) { // it may not hold all
		stacks = make([]byte, 2*n)
		n = runtime.Stack(stacks, true)
	}
	stacks = stacks[:n]
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		head, frames, _ := strings.Cut(one, "\n")
		if strings.Contains(frames, "breaker.lockWaiter(") {
			return strings.Contains(head, "[sync.Mutex.Lock") || strings.Contains(head, "[sync.RWMutex.")
		}
	}
	return false
}

// What guards fields with a lock waits for it, and changes nothing before it has
// it.
func TestLocksAreWaitedFor(t *testing.T) {
	type locked struct {
		mu    sync.Locker
		call  func()
		looks func() any // what must not change while it waits; nil: the breaker
		b     *Breaker
	}
	of := func(b *Breaker, call func(b *Breaker)) locked {
		return locked{mu: &b.mu, b: b, call: func() { call(b) }}
	}
	by := func(mu sync.Locker, call func()) locked { return locked{mu: mu, call: call} }
	plain := func(call func(b *Breaker)) locked { return of(New("b", Settings{}), call) }
	failed := func(call func(b *Breaker)) locked {
		b := New("b", Settings{})
		play(b, "fff") // it has a cold part
		return of(b, call)
	}
	opened := func(call func(b *Breaker)) locked {
		b := New("b", Settings{}, WithBypassAllowed())
		_ = b.Open(Order{})
		return of(b, call)
	}
	halfOpen := func(call func(b *Breaker)) locked {
		b := New("b", Settings{Probes: 2})
		_ = b.HalfOpen(Order{})
		return of(b, call)
	}
	type keys = Set[string]
	set := func(o SetOptions, opts ...Option) *keys { return NewSet[string]("s", Settings{}, o, opts...) }
	keyed := func(call func(s *keys, b *Breaker)) locked {
		s := set(SetOptions{})
		return of(s.Breaker("k"), func(b *Breaker) { call(s, b) })
	}
	// evictedKey is a set with a key that it has evicted, and that the test holds.
	evictedKey := func() (*keys, *shard[string], *Breaker) {
		s := set(SetOptions{MaxKeys: 1, MaxEvidence: 1})
		b := s.Breaker("k")
		sh := s.shard("k")
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if !s.evict(sh, "k", b) {
			t.Fatal("not evicted")
		}
		return s, sh, b
	}
	limited := func(n int) (*Manager, []*Breaker) {
		m, all := crew(t, n)
		m.CapOpen(0.5)
		return m, all
	}
	readers := func(m *Manager, call func(m *Manager)) locked { return by(&m.mu, func() { call(m) }) }
	writers := func(call func(m *Manager)) locked { // a reader holds it
		m, _ := crew(t, 1)
		return by(m.mu.RLocker(), func() { call(m) })
	}
	changers := func(call func(m *Manager)) locked {
		m, _ := crew(t, 1)
		return by(&m.changing, func() { call(m) })
	}
	hooks := tape.Hooks{}
	suspicious := func(call func(m *Manager)) locked {
		m, _ := crew(t, 1)
		return by(&m.suspicion.mu, func() { call(m) })
	}
	type pair struct{ a, b int }
	texts := func(call func(*keyTexts[pair])) locked {
		x := new(keyTexts[pair])
		return by(&x.mu, func() { call(x) })
	}
	sweeping := func(call func(w *sweeper, s *keys)) locked {
		s := set(SetOptions{})
		return by(&s.sweeper.mu, func() { call(&s.sweeper, s) })
	}
	past, cancel := context.WithDeadline(bg, time.Unix(0, 0))
	defer cancel()

	for name, build := range map[string]func() locked{
		"a probe": func() locked {
			b := New("b", Settings{ResetTimeout: 1})
			_ = b.Open(Order{})
			time.Sleep(time.Nanosecond)
			return of(b, func(b *Breaker) { _, _ = b.Allow() })
		},
		"FailCount":   func() locked { return plain(func(b *Breaker) { b.FailCount() }) },
		"Status":      func() locked { return plain(func(b *Breaker) { b.Status() }) },
		"History":     func() locked { return plain(func(b *Breaker) { b.History() }) },
		"hasHistory":  func() locked { return plain(func(b *Breaker) { b.hasHistory() }) },
		"UpdateIf":    func() locked { return plain(func(b *Breaker) { _ = b.Update(Settings{FailMax: 1}) }) },
		"AddListener": func() locked { return plain(func(b *Breaker) { b.AddListener(Listener{}) }) },
		"Watch":       func() locked { return plain(func(b *Breaker) { b.Peer().Watch(true) }) },
		"Peer.Open":   func() locked { return plain(func(b *Breaker) { _, _ = b.Peer().Open(1, 1, Peers{}, Counts{}) }) },
		"an order":    func() locked { return plain(func(b *Breaker) { _ = b.Open(Order{}) }) },
		"Shadow":      func() locked { return plain(func(b *Breaker) { _ = b.Shadow("x", Settings{}) }) },
		"setTape":     func() locked { return plain(func(b *Breaker) { b.setTape(nil) }) },
		"noteBypass":  func() locked { return plain(func(b *Breaker) { b.noteBypass("x") }) },
		"late for the call": func() locked {
			return plain(func(b *Breaker) { p := Permit{b: b}; _ = p.Settle(past, Failure, errX) })
		},
		"a recorded outcome": func() locked {
			return plain(func(b *Breaker) { b.countedRecorded(&Permit{b: b}, Failure, new(tape.Call)) })
		},
		"a failure that may open": func() locked { return failed(func(b *Breaker) { play(b, "f") }) },
		"WaitReady":               func() locked { return opened(func(b *Breaker) { b.readiness() }) },
		"Peer.Hold":               func() locked { return opened(func(b *Breaker) { b.Peer().Hold(2, time.Hour) }) },
		"due":                     func() locked { return opened(func(b *Breaker) { b.due(1) }) },
		"rejection":               func() locked { return opened(func(b *Breaker) { _ = b.rejection() }) },
		"impose":                  func() locked { return opened(func(b *Breaker) { b.impose(Transition{To: Closed}, tape.Trace{}) }) },
		"expire":                  func() locked { return opened(func(b *Breaker) { b.expire(&override{}) }) },
		"remind":                  func() locked { return opened(func(b *Breaker) { b.remind(&override{}) }) },
		"a note that was delivered": func() locked {
			return opened(func(b *Breaker) { b.noteDelivered(b.cold.Load()) })
		},
		"markSuspect": func() locked { return opened(func(b *Breaker) { b.markSuspect(b.cold.Load().last) }) },
		"deliver": func() locked {
			l := opened(func(b *Breaker) { b.deliver() })
			l.b.mu.Lock()
			defer l.b.mu.Unlock()
			l.b.cold.Load().queue.add(note{})
			return l
		},
		"expiry": func() locked {
			b := New("b", Settings{})
			_ = b.ForceOpen(Order{For: time.Hour})
			return of(b, func(b *Breaker) { b.expire(b.cold.Load().override) })
		},
		"reminder": func() locked {
			b := New("b", Settings{}, WithListener(Listener{Reminder: func(*Breaker, Override) {}}))
			_ = b.ForceOpen(Order{For: time.Hour})
			return of(b, func(b *Breaker) { b.remind(b.cold.Load().override) })
		},
		"the end of a probe": func() locked {
			l := halfOpen(nil)
			p, _ := l.b.Allow()
			l.call = func() { p.Done(nil) }
			return l
		},
		"a nested call": func() locked {
			l := halfOpen(nil)
			p, _ := l.b.Allow()
			l.call = func() { l.b.belongsToCall(p.Context(bg)) }
			return l
		},
		"noteClean": func() locked {
			b := New("b", Settings{FailureRate: 1, WindowCalls: 1, MinCalls: 1})
			b.win.Load().success()
			return of(b, func(b *Breaker) { b.noteClean(b.win.Load()) })
		},
		"a rule that is met": func() locked {
			b := New("b", Settings{}, WithRule("r", func(Counts) bool { return true }))
			return of(b, func(b *Breaker) { b.judgeRules(&Permit{b: b}, Counts{}) })
		},
		"Shadows": func() locked {
			b := New("b", Settings{})
			_ = b.Shadow("x", Settings{})
			return of(b, func(b *Breaker) { b.Shadows() })
		},
		"CapOpen": func() locked {
			m, all := crew(t, 1)
			_ = all[0].Open(Order{})
			return of(all[0], func(*Breaker) { m.CapOpen(0.5) })
		},
		"a key's listener": func() locked { return keyed(func(_ *keys, b *Breaker) { b.AddListener(Listener{}) }) },
		"a key's matcher":  func() locked { return keyed(func(_ *keys, b *Breaker) { b.Ignore(ErrorIs(errX)) }) },
		"a key's refresh": func() locked {
			s := set(SetOptions{})
			b := s.Breaker("k")
			s.cfg.setListener(&Listener{Success: func(*Breaker) {}}, true)
			return of(b, (*Breaker).refresh)
		},
		"a key's tape": func() locked { return keyed(func(s *keys, b *Breaker) { s.setTape(nil) }) },
		"Remove":       func() locked { return keyed(func(s *keys, b *Breaker) { s.Remove("k") }) },
		"a key's judges": func() locked {
			s := set(SetOptions{})
			_ = s.Shadow("x", Settings{FailureRate: 1})
			return of(s.Breaker("k"), func(b *Breaker) { play(b, "s") })
		},

		"a trip under a cap": func() locked { m, all := limited(2); return by(&m.cap.mu, func() { play(all[0], "f") }) },
		"a move under a cap": func() locked { m, all := limited(2); return by(&m.cap.mu, func() { _ = all[0].Open(Order{}) }) },
		"a set's cap":        func() locked { m, _ := limited(2); return by(&m.cap.mu, func() { m.cap.addSet(&openCap{}) }) },
		"a set's cap, gone":  func() locked { m, _ := limited(2); return by(&m.cap.mu, func() { m.cap.removeSet(&openCap{}) }) },

		"a clock begins":   func() locked { c := newClock(nil, time.Hour); return by(&c.mu, func() { c.step() }) },
		"a clock advances": func() locked { c := newClock(nil, time.Hour); return by(&c.mu, func() { c.advance(0) }) },

		"a set's matchers":  func() locked { s := set(SetOptions{}); return by(&s.cfg.mu, func() { s.Ignore(ErrorIs(errX)) }) },
		"a set's listeners": func() locked { s := set(SetOptions{}); return by(&s.cfg.mu, func() { s.AddListener(Listener{}) }) },
		"a set's counts":    func() locked { s := set(SetOptions{}); return by(&s.cfg.mu, func() { s.setObserved(true) }) },
		"a set's settings": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { _ = s.Update(Settings{FailMax: 1}) })
		},
		"a set's tape":    func() locked { s := set(SetOptions{}); return by(&s.cfg.mu, func() { s.setTape(nil) }) },
		"a set's shadows": func() locked { s := set(SetOptions{}); return by(&s.cfg.mu, func() { _ = s.Shadow("x", Settings{}) }) },

		"an eviction": func() locked {
			s := set(SetOptions{})
			b := s.Breaker("k")
			return by(&s.evicted.mu, func() { s.Remove("k"); runtime.KeepAlive(b) })
		},
		"an eviction that is over": func() locked {
			s, _, b := evictedKey()
			return by(&s.evicted.mu, func() { s.Breaker("k"); runtime.KeepAlive(b) })
		},
		"evidence of an evicted key": func() locked { s, _, b := evictedKey(); return by(&s.evicted.mu, func() { play(b, "f") }) },
		"its return":                 func() locked { _, sh, b := evictedKey(); return by(&sh.mu, func() { play(b, "f") }) },
		"its return by a look-up": func() locked {
			s, sh, b := evictedKey()
			return by(&sh.mu, func() { s.restore(sh, "k"); runtime.KeepAlive(b) })
		},
		"what is collected": func() locked {
			s, sh, b := evictedKey()
			return by(&sh.mu, func() { s.collected(collected[string]{set: s, key: "k"}); runtime.KeepAlive(b) })
		},
		"its key": func() locked {
			s, _, b := evictedKey()
			return by(&s.evicted.mu, func() { s.collected(collected[string]{set: s, key: "k"}); runtime.KeepAlive(b) })
		},
		"a look-up":      func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.find("k") }) },
		"a look":         func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.Lookup("k") }) },
		"a new key":      func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.insert("k", true) }) },
		"a list of keys": func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.Breakers() }) },
		"a key that is removed": func() locked {
			s := set(SetOptions{})
			s.Breaker("k")
			return by(s.shard("k").mu.RLocker(), func() { s.Remove("k") })
		},
		"a text":              func() locked { return texts(func(x *keyTexts[pair]) { x.claim(pair{}, "x") }) },
		"a text that is free": func() locked { return texts(func(x *keyTexts[pair]) { x.release("x") }) },
		"a text's key":        func() locked { return texts(func(x *keyTexts[pair]) { x.key("x") }) },
		"the next sweep":      func() locked { return sweeping(func(w *sweeper, s *keys) { w.schedule(s) }) },
		"an early sweep":      func() locked { return sweeping(func(w *sweeper, s *keys) { w.runSoon(s) }) },
		"a sweep":             func() locked { return sweeping(func(w *sweeper, s *keys) { w.begin(time.Now(), 0, time.Hour) }) },
		"the end of a sweep":  func() locked { return sweeping(func(w *sweeper, s *keys) { w.end(time.Now(), time.Now()) }) },
		"places in flight":    func() locked { f := new(flights); return by(&f.mu, func() { f.take() }) },

		"Manager.Breaker":   func() locked { return readers(new(Manager), func(m *Manager) { m.Breaker("b") }) },
		"Manager.Lookup":    func() locked { return readers(new(Manager), func(m *Manager) { _, _ = m.Lookup("b") }) },
		"Manager.LookupSet": func() locked { return readers(new(Manager), func(m *Manager) { _, _ = m.LookupSet("b") }) },
		"Manager.Len":       func() locked { return readers(new(Manager), func(m *Manager) { m.Len() }) },
		"Manager.Breakers":  func() locked { return readers(new(Manager), func(m *Manager) { m.Breakers() }) },
		"a member's count":  func() locked { return readers(new(Manager), func(m *Manager) { m.count(&config{}) }) },
		"a new member":      func() locked { return writers(func(m *Manager) { m.Breaker("new") }) },
		"Manager.Remove":    func() locked { return writers(func(m *Manager) { m.Remove("b00") }) },
		"OnCreate":          func() locked { return writers(func(m *Manager) { m.OnCreate(func(string) {}) }) },
		"OnCreate, its end": func() locked {
			m := new(Manager)
			end := m.OnCreate(func(string) {})
			return by(&m.mu, end)
		},
		"what OnCreate calls": func() locked { return readers(new(Manager), func(m *Manager) { m.created("b") }) },
		"a change of members": func() locked { return changers(func(m *Manager) { m.Breaker("new") }) },
		"a change by Remove":  func() locked { return changers(func(m *Manager) { m.Remove("b00") }) },
		"Manager.AddListener": func() locked { return changers(func(m *Manager) { m.AddListener(Listener{}) }) },
		"Manager.CapOpen":     func() locked { return changers(func(m *Manager) { m.CapOpen(1) }) },
		"Manager.Observe":     func() locked { return changers(func(m *Manager) { m.Observe() }) },
		"Manager.Shadow":      func() locked { return changers(func(m *Manager) { _ = m.Shadow("x", Settings{}) }) },
		"Manager.Unshadow":    func() locked { return changers(func(m *Manager) { m.Unshadow("x") }) },
		"a recording":         func() locked { return changers(func(m *Manager) { m.attach(tape.New(1<<16, hooks)) }) },
		"the end of a recording": func() locked {
			m, _ := crew(t, 1)
			_, detach, _ := m.attach(tape.New(1<<16, hooks))
			return by(&m.changing, detach)
		},
		"OnSuspicion": func() locked { return suspicious(func(m *Manager) { m.OnSuspicion(nil) }) },
		"Suspicion":   func() locked { return suspicious(func(m *Manager) { m.Suspicion() }) },
		"trips": func() locked {
			return suspicious(func(m *Manager) { m.suspicion.note(m.Breaker("b00"), &Transition{}, 1) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := build()
			looks := func() string {
				b := l.b
				if b == nil {
					return ""
				}
				c := b.cold.Load()
				s := fmt.Sprint(b.load(), c != nil, len(b.listenersNow()), b.settings().Settings, b.cfg.shadows.Load() != nil, b.win.Load())
				if c != nil {
					s += fmt.Sprint(c.version, c.queue.waiting.Load(), c.override, c.openUntil, c.last, c.probes, c.reject.Load(), c.matchers.Load(), c.calls.Load())
				}
				return s
			}
			before := looks()
			behind(t, l.mu, l.call, func() {
				if after := looks(); after != before {
					t.Errorf("while it waited, %s became %s", before, after)
				}
			})
		})
	}
}

// What is decided under the lock is decided by what holds then, and dated then:
// what was read before it would be old by the time that the lock is free (I7).
func TestNothingIsReadBeforeTheLock(t *testing.T) {
	var clock *vtime.Source
	now := func() time.Time { return clock.Now() }
	var elapsed time.Duration
	pass := func() { elapsed += time.Minute; clock.Advance(elapsed) }
	timed := func(s Settings, opts ...Option) *Breaker {
		elapsed = 0
		clock = vtime.New(time.Now(), nil)
		return New("b", s, append(opts, vtime.Option(clock).(Option))...)
	}
	order := func(b *Breaker, v Verb) { b.carryOutLocked(Order{Verb: v}, now()) }
	newPeriod := func(b *Breaker) { order(b, VerbOpen); order(b, VerbClose) }
	type row struct {
		b         *Breaker
		call      func()
		meanwhile func()
		want      func() (ok bool)
	}
	dated := func(b *Breaker, call func()) row {
		return row{b, call, pass, func() bool { return b.Status().Transition.At.Equal(now()) }}
	}
	for name, build := range map[string]func() row{
		"an order's date":    func() row { b := timed(Settings{}); return dated(b, func() { _ = b.Open(Order{}) }) },
		"an override's date": func() row { b := timed(Settings{}); return dated(b, func() { _ = b.ForceOpen(Order{}) }) },
		"a verdict's date": func() row {
			b := timed(Settings{})
			return dated(b, func() { _, _ = b.Peer().Open(1, 1, Peers{}, Counts{}) })
		},
		"a trip's date": func() row { b := timed(Settings{FailMax: 1}); return dated(b, func() { play(b, "f") }) },
		"a rule's date": func() row {
			b := timed(Settings{}, WithRule("r", func(Counts) bool { return true }))
			return dated(b, func() { b.judgeRules(&Permit{b: b}, Counts{}) })
		},
		"a probe's date": func() row {
			b := timed(Settings{ResetTimeout: time.Minute})
			_ = b.Open(Order{})
			pass()
			return dated(b, func() { _, _ = b.Allow() })
		},
		"an expiry's date": func() row {
			b := timed(Settings{})
			_ = b.ForceOpen(Order{For: time.Hour})
			o := b.cold.Load().override
			return dated(b, func() { b.expire(o) })
		},
		"an imposed date": func() row {
			b := timed(Settings{})
			return dated(b, func() { b.impose(Transition{To: Open}, tape.Trace{}) })
		},
		"the end of an open time": func() row {
			b := timed(Settings{})
			_ = b.Open(Order{})
			return row{b, func() { b.Peer().Hold(2, time.Hour) }, pass, func() bool { return b.Status().UntilHalfOpen == time.Hour }}
		},
		"whether a failure has lapsed": func() row {
			b := timed(Settings{FailWithin: 30 * time.Second})
			play(b, "f")
			n := 0
			return row{b, func() { n = b.FailCount() }, pass, func() bool { return n == 0 }}
		},
		"how long a status says": func() row {
			b := timed(Settings{ResetTimeout: time.Hour})
			_ = b.Open(Order{})
			var s Status
			return row{b, func() { s = b.Status() }, pass, func() bool { return s.UntilHalfOpen == 59*time.Minute }}
		},
		"how long to wait": func() row {
			b := timed(Settings{ResetTimeout: time.Hour})
			_ = b.Open(Order{})
			var wait time.Duration
			return row{b, func() { _, wait, _ = b.readiness() }, pass, func() bool { return wait == 59*time.Minute }}
		},
		"whether to wait": func() row {
			b := timed(Settings{})
			_ = b.Open(Order{})
			ready := false
			return row{b, func() { _, _, ready = b.readiness() }, func() { order(b, VerbClose) }, func() bool { return ready }}
		},
		"whether it is due": func() row {
			b := timed(Settings{ResetTimeout: time.Minute})
			_ = b.Open(Order{})
			pass()
			return row{b, func() { b.due(1) }, func() { order(b, VerbClose) }, func() bool { return b.load()&flagDue == 0 && b.State() == Closed }}
		},
		"whether it is open": func() row {
			b := timed(Settings{})
			_ = b.Open(Order{})
			held := true
			return row{b, func() { held = b.Peer().Hold(2, 1) }, func() { order(b, VerbClose) }, func() bool { return !held && b.State() == Closed }}
		},
		"whether a failure is of this period": func() row {
			b := timed(Settings{FailMax: 2})
			return row{b, func() { play(b, "f") }, func() { newPeriod(b) }, func() bool { return b.FailCount() == 0 }}
		},
		"whether a rule's verdict is": func() row {
			b := timed(Settings{}, WithRule("r", func(Counts) bool { return true }))
			return row{b, func() { b.judgeRules(&Permit{b: b}, Counts{}) }, func() { newPeriod(b) }, func() bool { return b.State() == Closed }}
		},
		"whether a recorded outcome is": func() row {
			b := timed(Settings{})
			var rec tape.Call
			return row{b, func() { b.countedRecorded(&Permit{b: b}, Success, &rec) }, func() { newPeriod(b) }, func() bool { return rec.Ended == 0 }}
		},
		"whether the window is": func() row {
			b := timed(Settings{FailMax: -1, FailureRate: 1, WindowCalls: 1, MinCalls: 1})
			win := b.win.Load()
			win.success()
			return row{b, func() { b.noteClean(win) }, func() { newPeriod(b) }, func() bool { return b.load()&flagCounted != 0 }}
		},
		"whether a call is part of it": func() row {
			b := timed(Settings{})
			_ = b.HalfOpen(Order{})
			p, _ := b.Allow()
			part := true
			return row{b, func() { part = b.belongsToCall(p.Context(bg)) }, func() { newPeriod(b) }, func() bool { return !part }}
		},
		"whether contexts are to be checked": func() row {
			b := timed(Settings{})
			ctx, cancel := context.WithDeadline(bg, time.Unix(0, 0))
			t.Cleanup(cancel)
			p, _ := b.Allow()
			return row{b, func() { p.overBefore(ctx) }, func() { order(b, VerbOpen) }, func() bool { return b.load()&flagCheckCtx == 0 }}
		},
		"whether a probe may run": func() row {
			b := timed(Settings{ResetTimeout: time.Minute})
			_ = b.Open(Order{})
			pass()
			var err error
			return row{b, func() { _, err = b.Allow() }, func() { order(b, VerbOpen) }, func() bool { return err != nil && b.State() == Open }}
		},
		"which version an order is for": func() row {
			b := timed(Settings{})
			var err error
			return row{b, func() { _, err = b.Apply(Order{Verb: VerbOpen, IfVersion: 1}) }, func() { newPeriod(b) }, func() bool { return err != nil && b.State() == Closed }}
		},
		"which version an update is for": func() row {
			b := timed(Settings{})
			var err error
			return row{b, func() { _, err = b.UpdateIf(Settings{FailMax: 1}, 1) }, func() { newPeriod(b) }, func() bool { return err != nil && b.Settings().FailMax == 5 }}
		},
		"which version a verdict is for": func() row {
			b := timed(Settings{})
			var err error
			return row{b, func() { _, err = b.Peer().Open(1, 1, Peers{}, Counts{}) }, func() { newPeriod(b) }, func() bool { return err != nil && b.State() == Closed }}
		},
		"from which state": func() row {
			b := timed(Settings{})
			var r Receipt
			return row{b, func() { r, _ = b.Apply(Order{Verb: VerbClose}) }, func() { order(b, VerbOpen) }, func() bool {
				return r.Before == Open && r.After == Closed && r.From == 2 && r.Version == 3
			}}
		},
		"which rejection": func() row {
			b := timed(Settings{})
			_ = b.ForceOpen(Order{Actor: "a"})
			var err error
			return row{b, func() { err = b.rejection() }, func() { b.carryOutLocked(Order{Verb: VerbForceOpen, Actor: "b"}, now()) }, func() bool {
				return err.(*OpenError).Transition.Actor == "b"
			}}
		},
		"which override": func() row {
			b := timed(Settings{})
			_ = b.ForceOpen(Order{For: time.Hour})
			o := b.cold.Load().override
			return row{b, func() { b.expire(o) }, func() { order(b, VerbForceOpen) }, func() bool { return b.State() == ForcedOpen }}
		},
		"which settings": func() row {
			b := timed(Settings{FailMax: 4})
			play(b, "fff")
			return row{b, func() { play(b, "f") }, func() { _, _ = b.updateLocked(Settings{FailMax: 10}, 0) }, func() bool { return b.State() == Closed && b.FailCount() == 4 }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := build()
			behind(t, &r.b.mu, r.call, r.meanwhile)
			if !r.want() {
				t.Errorf("decided by what was before: %+v", r.b.Status())
			}
		})
	}
}
