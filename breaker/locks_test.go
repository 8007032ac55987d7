package breaker

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/switchgear-go/switchgear/internal/tape"
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
		mu   sync.Locker
		call func()
		see  func() string // shows what must not change while it waits
		b    *Breaker
	}
	of := func(b *Breaker, call func(b *Breaker)) locked {
		return locked{&b.mu, func() { call(b) }, func() string { return seen(b) }, b}
	}
	by := func(mu sync.Locker, call func(), see ...func() any) locked {
		return locked{mu, call, func() (s string) {
			for _, f := range see {
				s += fmt.Sprint(f(), ";")
			}
			return s
		}, nil}
	}
	// free is seen when a lock is not held.
	free := func(mu interface {
		TryLock() bool
		Unlock()
	},
	) func() any {
		return func() any {
			if !mu.TryLock() {
				return "locked"
			}
			mu.Unlock()
			return "free"
		}
	}
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
	ofManager := func(m *Manager) func() any {
		return func() any {
			return fmt.Sprint(len(m.members), len(m.sets), len(m.onCreate), len(m.listeners), m.observers.Load(), m.tape != nil, len(m.shadows), m.cap.ownShare())
		}
	}
	readers := func(call func(m *Manager)) locked {
		m, _ := crew(t, 1)
		return by(&m.mu, func() { call(m) })
	}
	writers := func(call func(m *Manager)) locked { // a reader holds it
		m, _ := crew(t, 1)
		return by(m.mu.RLocker(), func() { call(m) }, ofManager(m))
	}
	// The lock of changes comes before that of members.
	changers := func(call func(m *Manager)) locked {
		m, _ := crew(t, 1)
		return by(&m.changing, func() { call(m) }, ofManager(m), free(&m.mu))
	}
	hooks := tape.Hooks{}
	suspicious := func(call func(m *Manager)) locked {
		m, all := crew(t, 1)
		x := &m.suspicion
		x.note(all[0], &Transition{At: time.Now().Add(-time.Hour)}, 1)
		return by(&x.mu, func() { call(m) }, func() any { return fmt.Sprint(len(x.trips), x.report != nil) })
	}
	ofCap := func(m *Manager) func() any {
		return func() any { return fmt.Sprint(m.cap.places.root.len(), len(m.cap.sets)) }
	}
	ofConfig := func(c *config) func() any {
		return func() any {
			return fmt.Sprint(c.matchers.Load(), c.listeners.Load(), c.calls.Load(), c.settings.Load(), c.tape.Load() != nil, c.shadows.Load())
		}
	}
	type pair struct{ a, b int }
	texts := func(call func(*keyTexts[pair])) locked {
		x := new(keyTexts[pair])
		x.claim(pair{}, "y")
		return by(&x.mu, func() { call(x) }, func() any { return len(x.keys.m) })
	}
	sweeping := func(call func(w *sweeper, s *keys)) locked {
		s := set(SetOptions{})
		w := &s.sweeper
		w.schedule(s)
		return by(&w.mu, func() { call(w, s) }, func() any { return fmt.Sprint(w.timer != nil, w.soon, w.ended, w.stamps) })
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
		"setTape":     func() locked { return plain(func(b *Breaker) { b.setTape(tape.New(1<<16, hooks)) }) },
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
			l := opened(func(b *Breaker) { b.noteDelivered(b.cold.Load()) })
			l.b.cold.Load().queue.busy = true
			return l
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
			b.win.Load().success(b.win.Load().step())
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
			l := of(all[0], func(*Breaker) { m.CapOpen(0.5) })
			l.see = func() string { return fmt.Sprint(m.cap.places.root.len()) }
			return l
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

		"a trip under a cap": func() locked {
			m, all := limited(2)
			return by(&m.cap.mu, func() { m.cap.admits(all[0], time.Now(), never) }, ofCap(m))
		},
		"a move under a cap": func() locked {
			m, all := limited(2)
			return by(&m.cap.mu, func() { _ = all[0].Open(Order{}) }, ofCap(m))
		},
		"a set's cap": func() locked {
			m, _ := limited(2)
			return by(&m.cap.mu, func() { m.cap.addSet(&openCap{}) }, ofCap(m))
		},
		"a set's cap, gone": func() locked {
			m, _ := limited(2)
			SetOf[string](m, "s")
			return by(&m.cap.mu, func() { m.Remove("s") }, ofCap(m))
		},
		"a clock begins": func() locked {
			c := newClock(nil, time.Hour)
			return by(&c.mu, func() { c.step() }, func() any { return c.word.Load() })
		},
		"a clock advances": func() locked {
			c := newClock(nil, time.Hour)
			c.step()
			return by(&c.mu, func() { c.advance(1) }, func() any { return c.word.Load() })
		},

		"a set's matchers": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { s.Ignore(ErrorIs(errX)) }, ofConfig(s.cfg))
		},
		"a set's listeners": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { s.AddListener(Listener{}) }, ofConfig(s.cfg))
		},
		"a set's counts": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { s.setObserved(true) }, ofConfig(s.cfg))
		},
		"a set's settings": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { _ = s.Update(Settings{FailMax: 1}) }, ofConfig(s.cfg))
		},
		"a set's tape": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { s.setTape(tape.New(1<<16, hooks)) }, ofConfig(s.cfg))
		},
		"a set's shadows": func() locked {
			s := set(SetOptions{})
			return by(&s.cfg.mu, func() { _ = s.Shadow("x", Settings{}) }, ofConfig(s.cfg))
		},

		"an eviction": func() locked {
			s := set(SetOptions{})
			b := s.Breaker("k")
			return by(&s.evicted.mu, func() { s.Remove("k"); runtime.KeepAlive(b) }, func() any { return fmt.Sprint(s.evicted.keys.m == nil, b.load()) })
		},
		"an eviction that is over": func() locked {
			s, _, b := evictedKey()
			return by(&s.evicted.mu, func() { s.Breaker("k") }, func() any { return b.load() })
		},
		// The lock of a shard comes before that of the evicted keys.
		"evidence of an evicted key": func() locked {
			s, sh, b := evictedKey()
			return by(&s.evicted.mu, func() { play(b, "f") }, free(&sh.mu))
		},
		"its return": func() locked {
			_, sh, b := evictedKey()
			return by(&sh.mu, func() { play(b, "f") }, func() any { return len(sh.by.m) })
		},
		"its return by a look-up": func() locked {
			s, sh, b := evictedKey()
			return by(&sh.mu, func() { s.restore(sh, "k") }, func() any { return fmt.Sprint(b.load(), len(sh.by.m)) })
		},
		"what is collected": func() locked {
			s, sh, b := evictedKey()
			return by(&sh.mu, func() { s.collected(collected[string]{s, "k", "k", weak.Make(b)}) }, func() any { return len(sh.evicted.m) })
		},
		"its key": func() locked {
			s, _, b := evictedKey()
			return by(&s.evicted.mu, func() { s.collected(collected[string]{s, "k", "k", weak.Make(b)}) }, func() any { return len(s.evicted.keys.m) })
		},
		"a look-up":      func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.find("k") }) },
		"a look":         func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.Lookup("k") }) },
		"a new key":      func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.insert("k", true) }) },
		"a list of keys": func() locked { s := set(SetOptions{}); return by(&s.shard("k").mu, func() { s.Breakers() }) },
		"a key that is removed": func() locked {
			s := set(SetOptions{})
			s.Breaker("k")
			sh := s.shard("k")
			return by(sh.mu.RLocker(), func() { s.Remove("k") }, func() any { return len(sh.by.m) })
		},
		// No lock of a shard is held while the cap's or a breaker's is waited for.
		"the cap of a set that is removed": func() locked {
			m, _ := limited(1)
			s := SetOf[string](m, "s")
			s.Breaker("k")
			return by(&m.cap.mu, func() { s.walk(false)(func(b *Breaker) bool { m.cap.moved(b, time.Time{}); return true }) }, free(&s.shard("k").mu))
		},
		"a refresh of all keys": func() locked {
			s := set(SetOptions{})
			b := s.Breaker("k")
			s.cfg.setListener(&Listener{Success: func(*Breaker) {}}, true)
			return by(&b.mu, s.refresh, free(&s.shard("k").mu))
		},
		"a text":              func() locked { return texts(func(x *keyTexts[pair]) { x.claim(pair{1, 1}, "x") }) },
		"a text that is free": func() locked { return texts(func(x *keyTexts[pair]) { x.release("y") }) },
		"a text's key":        func() locked { return texts(func(x *keyTexts[pair]) { x.key("x") }) },
		"the next sweep": func() locked {
			s := set(SetOptions{})
			w := &s.sweeper
			return by(&w.mu, func() { w.schedule(s) }, func() any { return w.timer != nil })
		},
		"an early sweep": func() locked { return sweeping(func(w *sweeper, s *keys) { w.runSoon(s) }) },
		"a sweep": func() locked {
			return sweeping(func(w *sweeper, _ *keys) { w.begin(time.Now(), 0, time.Hour) })
		},
		"the end of a sweep": func() locked { return sweeping(func(w *sweeper, s *keys) { w.end(time.Now(), time.Now()) }) },
		"places in flight":   func() locked { f := new(flights); return by(&f.mu, func() { f.take() }) },

		"Manager.Breaker":   func() locked { return readers(func(m *Manager) { m.Breaker("b00") }) },
		"Manager.Lookup":    func() locked { return readers(func(m *Manager) { _, _ = m.Lookup("b00") }) },
		"Manager.LookupSet": func() locked { return readers(func(m *Manager) { _, _ = m.LookupSet("b00") }) },
		"Manager.Len":       func() locked { return readers(func(m *Manager) { m.Len() }) },
		"Manager.Breakers":  func() locked { return readers(func(m *Manager) { m.Breakers() }) },
		"a member's count":  func() locked { return readers(func(m *Manager) { m.count(&config{}) }) },
		"a new member":      func() locked { return writers(func(m *Manager) { m.Breaker("new") }) },
		"Manager.Remove":    func() locked { return writers(func(m *Manager) { m.Remove("b00") }) },
		"OnCreate":          func() locked { return writers(func(m *Manager) { m.OnCreate(func(string) {}) }) },
		"OnCreate, its end": func() locked {
			m := new(Manager)
			end := m.OnCreate(func(string) {})
			return by(&m.mu, end, ofManager(m))
		},
		"what OnCreate calls": func() locked { return readers(func(m *Manager) { m.created("b") }) },
		"a change by Remove":  func() locked { return changers(func(m *Manager) { m.Remove("b00") }) },
		"Manager.AddListener": func() locked {
			m, _ := crew(t, 1)
			return by(&m.changing, m.AddListener(Listener{}), ofManager(m))
		},
		"Manager.CapOpen": func() locked { return changers(func(m *Manager) { m.CapOpen(1) }) },
		"Manager.Observe": func() locked { return changers(func(m *Manager) { m.Observe() }) },
		"Manager.Shadow":  func() locked { return changers(func(m *Manager) { _ = m.Shadow("x", Settings{}) }) },
		"Manager.Unshadow": func() locked {
			m, _ := crew(t, 1)
			_ = m.Shadow("x", Settings{})
			return by(&m.changing, func() { m.Unshadow("x") }, ofManager(m))
		},
		"a recording": func() locked { return changers(func(m *Manager) { m.attach(tape.New(1<<16, hooks)) }) },
		"the end of a recording": func() locked {
			m, _ := crew(t, 1)
			_, detach, _ := m.attach(tape.New(1<<16, hooks))
			return by(&m.changing, detach, ofManager(m))
		},
		"OnSuspicion": func() locked { return suspicious(func(m *Manager) { m.OnSuspicion(func(Suspicion) {}) }) },
		"Suspicion":   func() locked { return suspicious(func(m *Manager) { m.Suspicion() }) },
		"trips": func() locked {
			return suspicious(func(m *Manager) { m.suspicion.note(m.Breaker("b00"), &Transition{At: time.Now()}, 1) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := build()
			before := l.see()
			behind(t, l.mu, l.call, func() {
				if after := l.see(); after != before {
					t.Errorf("while it waited, %s became %s", before, after)
				}
			})
		})
	}
}

// seen shows what Breaker.mu guards.
func seen(b *Breaker) string {
	c := b.cold.Load()
	s := fmt.Sprint(b.load(), c != nil, len(b.listenersNow()), b.settings().Settings, b.cfg.shadows.Load() != nil, b.cfg.tape.Load() != nil, b.win.Load())
	if c != nil {
		s += fmt.Sprint(c.version, c.queue.waiting.Load(), c.queue.busy, c.override, c.openUntil, c.last, c.probes, c.reject.Load(), c.matchers.Load(), c.calls.Load())
	}
	return s
}
