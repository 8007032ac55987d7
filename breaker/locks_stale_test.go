package breaker

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
	"github.com/switchgear-go/switchgear/internal/vtime"
)

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
		mu        sync.Locker
		call      func()
		meanwhile func()
		want      func() (ok bool)
	}
	dated := func(b *Breaker, call func()) row {
		return row{&b.mu, call, pass, func() bool { return b.Status().Transition.At.Equal(now()) }}
	}
	// The others guard maps and lists.
	set := func() (*Set[string], *shard[string]) {
		s := NewSet[string]("s", Settings{}, SetOptions{})
		return s, s.shard("k")
	}
	member := func() (*Manager, *Breaker) {
		m := new(Manager)
		return m, m.Breaker("b")
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
			return row{&b.mu, func() { b.Peer().Hold(2, time.Hour) }, pass, func() bool { return b.Status().UntilHalfOpen == time.Hour }}
		},
		"whether a failure has lapsed": func() row {
			b := timed(Settings{FailWithin: 30 * time.Second})
			play(b, "f")
			n := 0
			return row{&b.mu, func() { n = b.FailCount() }, pass, func() bool { return n == 0 }}
		},
		"how long a status says": func() row {
			b := timed(Settings{ResetTimeout: time.Hour})
			_ = b.Open(Order{})
			var s Status
			return row{&b.mu, func() { s = b.Status() }, pass, func() bool { return s.UntilHalfOpen == 59*time.Minute }}
		},
		"how long to wait": func() row {
			b := timed(Settings{ResetTimeout: time.Hour})
			_ = b.Open(Order{})
			var wait time.Duration
			return row{&b.mu, func() { _, wait, _ = b.readiness() }, pass, func() bool { return wait == 59*time.Minute }}
		},
		"whether to wait": func() row {
			b := timed(Settings{})
			ready := true
			return row{&b.mu, func() { _, _, ready = b.readiness() }, func() { order(b, VerbOpen) }, func() bool { return !ready }}
		},
		"whether it is due": func() row {
			b := timed(Settings{ResetTimeout: time.Minute})
			_ = b.Open(Order{})
			pass()
			return row{&b.mu, func() { b.due(1) }, func() { order(b, VerbClose) }, func() bool { return b.load()&flagDue == 0 && b.State() == Closed }}
		},
		"whether it is open": func() row {
			b := timed(Settings{})
			_ = b.Open(Order{})
			held := true
			return row{&b.mu, func() { held = b.Peer().Hold(2, 1) }, func() { order(b, VerbClose) }, func() bool { return !held && b.State() == Closed }}
		},
		"whether a failure is of this period": func() row {
			b := timed(Settings{FailMax: 2})
			return row{&b.mu, func() { play(b, "f") }, func() { newPeriod(b) }, func() bool { return b.FailCount() == 0 }}
		},
		"whether a rule's verdict is": func() row {
			b := timed(Settings{}, WithRule("r", func(Counts) bool { return true }))
			return row{&b.mu, func() { b.judgeRules(&Permit{b: b}, Counts{}) }, func() { newPeriod(b) }, func() bool { return b.State() == Closed }}
		},
		"whether there is a history": func() row {
			b := timed(Settings{})
			has := false
			return row{&b.mu, func() { has = b.hasHistory() }, func() { newPeriod(b) }, func() bool { return has }}
		},
		"from which state a move is imposed": func() row {
			b := timed(Settings{})
			return row{&b.mu, func() { b.impose(Transition{To: Open}, tape.Trace{}) }, func() { order(b, VerbHalfOpen) }, func() bool {
				return b.Status().Transition.From == HalfOpen
			}}
		},
		"which flags the word has": func() row {
			b := timed(Settings{})
			_ = b.Open(Order{})
			return row{&b.mu, func() { b.Peer().Hold(2, time.Hour) }, func() {
				b.cfg.setListener(&Listener{Success: func(*Breaker) {}}, true)
				b.refreshLocked()
			}, func() bool { return b.load()&flagWatched != 0 }}
		},
		"whether the window is": func() row {
			b := timed(Settings{FailMax: -1, FailureRate: 1, WindowCalls: 1, MinCalls: 1})
			win := b.win.Load()
			win.success(win.step())
			return row{&b.mu, func() { b.noteClean(win) }, func() { newPeriod(b) }, func() bool { return b.load()&flagCounted != 0 }}
		},
		"whether a call is part of it": func() row {
			b := timed(Settings{})
			_ = b.HalfOpen(Order{})
			p, _ := b.Allow()
			part := true
			return row{&b.mu, func() { part = b.belongsToCall(p.Context(bg)) }, func() { newPeriod(b) }, func() bool { return !part }}
		},
		"whether contexts are to be checked": func() row {
			b := timed(Settings{})
			ctx, cancel := context.WithDeadline(bg, time.Unix(0, 0))
			t.Cleanup(cancel)
			p, _ := b.Allow()
			return row{&b.mu, func() { p.overBefore(ctx) }, func() { order(b, VerbOpen) }, func() bool { return b.load()&flagCheckCtx == 0 }}
		},
		"whether a probe may run": func() row {
			b := timed(Settings{ResetTimeout: time.Minute})
			_ = b.Open(Order{})
			pass()
			var err error
			return row{&b.mu, func() { _, err = b.Allow() }, func() { order(b, VerbOpen) }, func() bool { return err != nil && b.State() == Open }}
		},
		"which version an order is for": func() row {
			b := timed(Settings{})
			var err error
			return row{&b.mu, func() { _, err = b.Apply(Order{Verb: VerbOpen, IfVersion: 1}) }, func() { newPeriod(b) }, func() bool { return err != nil && b.State() == Closed }}
		},
		"which version an update is for": func() row {
			b := timed(Settings{})
			var err error
			return row{&b.mu, func() { _, err = b.UpdateIf(Settings{FailMax: 1}, 1) }, func() { newPeriod(b) }, func() bool { return err != nil && b.Settings().FailMax == 5 }}
		},
		"which version a verdict is for": func() row {
			b := timed(Settings{})
			var err error
			return row{&b.mu, func() { _, err = b.Peer().Open(1, 1, Peers{}, Counts{}) }, func() { newPeriod(b) }, func() bool { return err != nil && b.State() == Closed }}
		},
		"from which state": func() row {
			b := timed(Settings{})
			var r Receipt
			return row{&b.mu, func() { r, _ = b.Apply(Order{Verb: VerbClose}) }, func() { order(b, VerbOpen) }, func() bool {
				return r.Before == Open && r.After == Closed && r.From == 2 && r.Version == 3
			}}
		},
		"which rejection": func() row {
			b := timed(Settings{})
			_ = b.ForceOpen(Order{Actor: "a"})
			var err error
			return row{&b.mu, func() { err = b.rejection() }, func() { b.carryOutLocked(Order{Verb: VerbForceOpen, Actor: "b"}, now()) }, func() bool {
				return err.(*OpenError).Transition.Actor == "b"
			}}
		},
		"which rejection, prepared meanwhile": func() row {
			b := timed(Settings{})
			_ = b.Open(Order{})
			var err error
			return row{&b.mu, func() { err = b.rejection() }, func() { b.rejectionLocked() }, func() bool {
				e, _ := err.(*OpenError)
				return e != nil && e == b.cold.Load().reject.Load()
			}}
		},
		"which override": func() row {
			b := timed(Settings{})
			_ = b.ForceOpen(Order{For: time.Hour})
			o := b.cold.Load().override
			return row{&b.mu, func() { b.expire(o) }, func() { order(b, VerbForceOpen) }, func() bool { return b.State() == ForcedOpen }}
		},
		"which settings": func() row {
			b := timed(Settings{FailMax: 4})
			play(b, "fff")
			return row{&b.mu, func() { play(b, "f") }, func() { _, _ = b.updateLocked(Settings{FailMax: 10}, 0) }, func() bool { return b.State() == Closed && b.FailCount() == 4 }}
		},
		"which breaker a key has": func() row {
			s, sh := set()
			b := newBreaker(s.cfg, "k")
			var found *Breaker
			return row{&sh.mu, func() { found = s.find("k") }, func() { sh.by.m = map[string]*Breaker{"k": b} }, func() bool { return found == b }}
		},
		"which one it gets": func() row {
			s, sh := set()
			b := newBreaker(s.cfg, "k")
			var got *Breaker
			return row{&sh.mu, func() { got = s.insert("k", true) }, func() { sh.by.m = map[string]*Breaker{"k": b} }, func() bool { return got == b }}
		},
		"which ones there are": func() row {
			s, sh := set()
			b := newBreaker(s.cfg, "k")
			var all []*Breaker
			return row{&sh.mu, func() { all = s.Breakers() }, func() { sh.by.m = map[string]*Breaker{"k": b} }, func() bool { return len(all) == 1 }}
		},
		"which key has a text": func() row {
			var x keyTexts[float64]
			ok := false
			return row{&x.mu, func() { _, ok = x.key("1") }, func() { x.keys.m = map[string]float64{"1": 1} }, func() bool { return ok }}
		},
		"which listeners a set has": func() row {
			s, _ := set()
			return row{&s.cfg.mu, func() { s.AddListener(Listener{}) }, func() { s.cfg.listeners.Store(&[]*Listener{{}}) }, func() bool { return len(s.cfg.watchers()) == 2 }}
		},
		"which matchers": func() row {
			s, _ := set()
			return row{&s.cfg.mu, func() { s.Ignore(ErrorIs(errX)) }, func() {
				s.cfg.matchers.Store(s.cfg.matchers.Load().with([]Matcher{ErrorIs(errNotFound)}, nil))
			}, func() bool { return len(s.cfg.matchers.Load().excluded) == 1 }}
		},
		"which member has a name": func() row {
			m, b := member()
			delete(m.members, "b")
			var got *Breaker
			return row{&m.mu, func() { got = m.Breaker("b") }, func() { m.members["b"] = b }, func() bool { return got == b }}
		},
		"which member has an id": func() row {
			m, b := member()
			delete(m.members, "b")
			var got *Breaker
			return row{&m.mu, func() { got, _ = m.Lookup("b") }, func() { m.members["b"] = b }, func() bool { return got == b }}
		},
		"which set has a name": func() row {
			m := new(Manager)
			s := SetOf[string](m, "s")
			delete(m.members, "s")
			var got AnySet
			return row{&m.mu, func() { got, _ = m.LookupSet("s") }, func() { m.members["s"] = s }, func() bool { return got == AnySet(s) }}
		},
		"which member is removed": func() row {
			m, _ := member()
			removed := true
			return row{&m.mu, func() { removed = m.Remove("b") }, func() { delete(m.members, "b") }, func() bool { return !removed }}
		},
		"how many members there are": func() row {
			m, b := member()
			n := 0
			return row{&m.mu, func() { n = m.Len() }, func() { m.members["new"] = b }, func() bool { return n == 2 }}
		},
		"which members get a shadow": func() row {
			m, _ := member()
			b := New("new", Settings{})
			return row{&m.changing, func() { _ = m.Shadow("x", Settings{}) }, func() { m.members["new"] = b }, func() bool { return len(b.Shadows()) == 1 }}
		},
		"which members lose one": func() row {
			m, _ := member()
			b := New("new", Settings{})
			_ = b.Shadow("x", Settings{})
			return row{&m.changing, func() { m.Unshadow("x") }, func() { m.members["new"] = b }, func() bool { return len(b.Shadows()) == 0 }}
		},
		"whether another one observes": func() row {
			m, b := member()
			stop := m.Observe()
			return row{&m.changing, func() { m.Observe() }, func() { m.observers.Add(-1); b.setObserved(false) }, func() bool {
				_ = stop // it has been called
				return b.load()&flagObserved != 0
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := build()
			behind(t, r.mu, r.call, r.meanwhile)
			if !r.want() {
				t.Error("it goes by what was before")
			}
		})
	}
}

// A shadow that opens while Shadows waits for its breaker has not been open for
// less than no time.
func TestShadowThatOpensMeanwhile(t *testing.T) {
	b := New("b", Settings{})
	_ = b.Shadow("x", Settings{FailMax: 1})
	var got []ShadowStatus
	behind(t, &b.mu, func() { got = b.Shadows() }, func() {
		<-time.After(time.Millisecond)
		j := b.cold.Load().shadows.Load().judges[0]
		_ = j.b.Open(Order{})
	})
	if len(got) != 1 || got[0].Open != 1 || got[0].OpenFor < 0 || got[0].Blind != 0 {
		t.Errorf("%+v", got)
	}
}
