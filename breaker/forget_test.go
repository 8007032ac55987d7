package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A key with a listener of its own is not forgotten, because the listener
// would be forgotten, too.
func TestKeysWithListenersAreKept(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1})
	b := set.Breaker(-1)
	remove := b.AddListener(Listener{StateChange: func(*Breaker, Transition) {}})
	for k := range 10 {
		set.Breaker(k)
	}
	if set.kept(-1) != b {
		t.Error("the key is forgotten, and its listener with it")
	}
	remove()
	for k := range 10 {
		set.Breaker(10 + k)
	}
	if set.kept(-1) != nil {
		t.Error("the key is kept though it has no listener any more")
	}
}

// keyed is a set of one-failure breakers for tests of forgetting, with a clock
// that the test moves.
func keyed(o SetOptions) *Set[string] {
	return NewSet[string]("s", Settings{FailMax: 2, ResetTimeout: time.Minute}, o)
}

// fill makes n healthy keys, which evict others.
func fill(s *Set[string], n int) {
	for i := range n {
		s.Breaker(fmt.Sprint("fill", i))
	}
}

// Anything that a key has and a new breaker would not have keeps the key.
func TestKeptKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			give  func(b *Breaker)
			lasts func(b *Breaker) bool
		}{
			"a failure":      {func(b *Breaker) { play(b, "f") }, func(b *Breaker) bool { return b.FailCount() == 1 }},
			"open":           {func(b *Breaker) { play(b, "ff") }, func(b *Breaker) bool { return b.State() == Open }},
			"half-open":      {func(b *Breaker) { _ = b.HalfOpen(Order{}) }, func(b *Breaker) bool { return b.State() == HalfOpen }},
			"an override":    {func(b *Breaker) { _ = b.ForceOpen(Order{}) }, func(b *Breaker) bool { return b.State() == ForcedOpen }},
			"a history":      {func(b *Breaker) { play(b, "ff"); _ = b.Close(Order{}) }, func(b *Breaker) bool { return len(b.History()) == 2 }},
			"own settings":   {func(b *Breaker) { _ = b.Update(Settings{FailMax: 9}) }, func(b *Breaker) bool { return b.Settings().FailMax == 9 }},
			"the set's, own": {func(b *Breaker) { _ = b.Update(b.Settings()) }, func(b *Breaker) bool { return b.Status().Version == 2 }},
			"a matcher":      {func(b *Breaker) { b.Ignore(ErrorIs(errX)) }, func(b *Breaker) bool { play(b, "ff"); return b.FailCount() == 0 }},
		} {
			s := keyed(SetOptions{MaxKeys: 2})
			c.give(s.Breaker("a"))
			fill(s, 100)
			runtime.GC() // a breaker that is only evicted is lost now
			if !c.lasts(s.Breaker("a")) {
				t.Errorf("%s is lost", name)
			}
		}
	})
}

// The history of a key is dropped when the budget of its set is used up, but
// nothing else that the key has.
func TestHistoryGivesWayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			give  func(b *Breaker)
			lasts func(b *Breaker) bool
		}{
			"open":         {func(b *Breaker) { play(b, "ff") }, func(b *Breaker) bool { return b.State() == Open }},
			"an override":  {func(b *Breaker) { _ = b.ForceClosed(Order{}) }, func(b *Breaker) bool { return b.State() == ForcedClosed }},
			"a failure":    {func(b *Breaker) { play(b, "ff"); _ = b.Close(Order{}); play(b, "f") }, func(b *Breaker) bool { return b.FailCount() == 1 }},
			"own settings": {func(b *Breaker) { play(b, "ff"); _ = b.Close(Order{}); _ = b.Update(Settings{FailMax: 9}) }, func(b *Breaker) bool { return b.Settings().FailMax == 9 }},
			"in the ramp":  {func(b *Breaker) { _ = b.HalfOpen(Order{}); play(b, "s") }, func(b *Breaker) bool { return b.Status().Admitted < 1 }},
		} {
			s := NewSet[string]("s", Settings{FailMax: 2, Ramp: 24 * time.Hour}, SetOptions{MaxKeys: 2, MaxHistory: 4})
			c.give(s.Breaker("a"))
			for i := range 100 {
				b := s.Breaker(fmt.Sprint(i))
				play(b, "ff")
				_ = b.Close(Order{})
			}
			wait(time.Minute)
			fill(s, 100)
			runtime.GC()
			if !c.lasts(s.Breaker("a")) {
				t.Errorf("%s is lost", name)
			}
		}
	})
}

// The versions of a key that was forgotten continue above those it had: an
// order for what its breaker was before is refused.
func TestVersionsGoOnAfterForgetting(t *testing.T) {
	s := keyed(SetOptions{})
	b := s.Breaker("a")
	_ = b.Open(Order{})
	_ = b.Close(Order{})
	seen := b.Status().Version
	b = nil
	s.Remove("a")
	runtime.GC()
	b = s.Breaker("a")
	if got := b.Status().Version; got < seen {
		t.Errorf("version %d, and was %d", got, seen)
	}
	_ = b.Open(Order{})
	if _, err := b.Apply(Order{Verb: VerbClose, IfVersion: seen}); !errors.Is(err, ErrVersion) {
		t.Errorf("an order for version %d: %v, want ErrVersion", seen, err)
	}
}

// A key that is forgotten and used again begins without the attempts that
// lengthened its open time.
func TestForgetAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{FailMax: 1, ResetTimeout: time.Second, ResetBackoff: 10}, SetOptions{Retention: time.Hour})
		b := s.Breaker("a")
		play(b, "f.f.") // opens twice: the second time for 10 s
		wait(3 * time.Hour)
		is(t, b, Closed) // the evidence of an idle key lapses
		play(b, "f")
		if got := b.Status().Transition.OpenFor; got != time.Second {
			t.Errorf("it opens for %s, want 1s", got)
		}
	})
}

// A key that is idle for Retention loses its evidence, with a record when it
// closes. What people or the program have set never lapses.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keyed(SetOptions{MaxKeys: 10, Retention: 16 * time.Hour})
		var heard listenerLog
		s.AddListener(Listener{StateChange: func(b *Breaker, c Transition) { heard.add("%s %s->%s %s", b.Key(), c.From, c.To, c.Cause) }})
		failed, open, busy := s.Breaker("failed"), s.Breaker("open"), s.Breaker("busy")
		forced, own := s.Breaker("forced"), s.Breaker("own")
		play(failed, "f")
		play(open, "ff")
		_ = forced.ForceOpen(Order{})
		_ = own.Update(Settings{FailMax: 9})
		play(own, "f")
		heard.take()
		for range 15 {
			play(busy, "f")
			wait(time.Hour)
			play(busy, "s")
		}
		if failed.FailCount() != 1 || open.State() != Open {
			t.Errorf("before Retention: %d failures, and %s", failed.FailCount(), open.State())
		}
		for range 4 {
			play(busy, "sf")
			wait(time.Hour)
		}
		if failed.FailCount() != 0 || open.State() != Closed || len(open.History()) != 0 {
			t.Errorf("after Retention: %d failures, %s, %d records", failed.FailCount(), open.State(), len(open.History()))
		}
		if got, want := heard.take(), "open open->closed lapsed"; got != want {
			t.Errorf("listeners heard %q, want %q", got, want)
		}
		if busy.FailCount() != 1 || forced.State() != ForcedOpen || own.FailCount() != 1 || own.Settings().FailMax != 9 {
			t.Errorf("kept: %d failures of the busy key, %s, %d failures and limit %d of the one with own settings",
				busy.FailCount(), forced.State(), own.FailCount(), own.Settings().FailMax)
		}
		wait(48 * time.Hour)
		if got := s.evidence.Load(); got != 2 {
			t.Errorf("%d keys have evidence in the end, want the forced one and the one with own settings", got)
		}
	})
}

// The open time does not count as idle: an open key is kept for Retention
// after the moment at which a call could have probed.
func TestRetentionOfALongOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{FailMax: 1, ResetTimeout: 48 * time.Hour}, SetOptions{Retention: 16 * time.Hour})
		b := s.Breaker("a")
		play(b, "f")
		wait(60 * time.Hour)
		is(t, b, Open)
		wait(8 * time.Hour)
		is(t, b, Closed)
	})
}

// A half-open key lapses Retention after its last use, too.
func TestRetentionHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{}, SetOptions{Retention: 16 * time.Hour})
		b := s.Breaker("a")
		_ = b.HalfOpen(Order{})
		wait(15 * time.Hour)
		is(t, b, HalfOpen)
		wait(3 * time.Hour)
		is(t, b, Closed)
	})
}

// Bad calls in a window keep a key until they have left it.
func TestWindowKeepsAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{FailMax: -1, FailureRate: 0.9, Window: 10 * time.Second}, SetOptions{MaxKeys: 1})
		play(s.Breaker("a"), "fs") // the success ends the row of failures
		fill(s, 10)
		runtime.GC()
		if got := s.Breaker("a").Status().Window.Failures; got != 1 {
			t.Errorf("%d failures in the window, want 1", got)
		}
		wait(3 * time.Minute)
		if got := s.evidence.Load(); got != 0 {
			t.Errorf("%d keys are kept for failures that have left their windows", got)
		}
	})
}

// The floor of versions is the highest version that was ever forgotten, even
// if two keys are forgotten at once (I12).
func TestVersionFloorOnlyRises(t *testing.T) {
	s := keyed(SetOptions{})
	fell := 0
	abreast(50_000, func(i int) {
		fell += btoi(s.versionFloor() < uint64(2*i)) // the higher one of before
		s.forgotten(uint64(2*i+1), 0)
	}, func(i int) { s.forgotten(uint64(2*i+2), 0) })
	if fell > 0 {
		t.Errorf("the floor fell %d times", fell)
	}
}

// Nothing is left of a key that is removed: a handle that the program holds
// behaves like the breaker of a new key.
func TestRemove(t *testing.T) {
	matched := errors.New("matched")
	calls := 0
	for name, c := range map[string]struct {
		s        Settings
		give     func(b *Breaker)
		received string // to listeners of the set
	}{
		"nothing":       {Settings{}, func(*Breaker) {}, ""},
		"a failure":     {Settings{}, func(b *Breaker) { play(b, "f") }, ""},
		"open":          {Settings{FailMax: 2}, func(b *Breaker) { play(b, "ffs") }, "open->closed lapsed"},
		"half-open":     {Settings{Probes: 2, SuccessThreshold: 2}, func(b *Breaker) { _ = b.HalfOpen(Order{}); play(b, "s") }, "half-open->closed lapsed"},
		"in the ramp":   {Settings{Ramp: time.Hour}, func(b *Breaker) { _ = b.HalfOpen(Order{}); play(b, "sss") }, ""},
		"forced open":   {Settings{}, func(b *Breaker) { _ = b.ForceOpen(Order{For: time.Hour}); play(b, "s") }, "forced-open->closed lapsed"},
		"forced closed": {Settings{FailMax: 2}, func(b *Breaker) { _ = b.ForceClosed(Order{}); play(b, "ff") }, "forced-closed->half-open lapsed, half-open->closed lapsed"},
		"own settings":  {Settings{}, func(b *Breaker) { _ = b.Update(Settings{FailMax: 1, SlowCall: time.Second, FailureRate: 0.1}) }, ""},
		"matchers":      {Settings{}, func(b *Breaker) { b.Ignore(ErrorIs(matched)) }, ""},
		"a listener":    {Settings{}, func(b *Breaker) { b.AddListener(Listener{Success: func(*Breaker) { calls++ }}) }, ""},
		"watched":       {Settings{}, func(b *Breaker) { b.Peer().Watch(true); play(b, "sf") }, ""},
		"a window":      {Settings{FailMax: -1, FailureRate: 0.9}, func(b *Breaker) { play(b, "fs") }, ""},
		"clean calls":   {Settings{FailMax: -1, FailureRate: 0.9, WindowCalls: 2}, func(b *Breaker) { play(b, "sss") }, ""},
		"bypassed":      {Settings{}, func(b *Breaker) { _ = b.Open(Order{}); _ = b.Do(WithBypass(bg, "x"), nop) }, "open->closed lapsed"},
		"held back":     {Settings{FailMax: 1}, func(b *Breaker) { play(b, "f") }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var o SetOptions
			if name == "held back" {
				o.CapOpen = 0.1
			}
			set := NewSet[string]("s", c.s, o, WithBypassAllowed())
			_ = set.Breaker("other").Open(Order{For: time.Hour})
			b := set.Breaker("a")
			c.give(b)
			var received listenerLog
			set.AddListener(Listener{StateChange: func(_ *Breaker, t Transition) { received.add("%s->%s %s", t.From, t.To, t.Cause) }})
			calls = 0
			if !set.Remove("a") {
				t.Fatalf("%s: the set does not know the key", name)
			}
			if got := received.take(); got != c.received {
				t.Errorf("%s: listeners heard %q, want %q", name, got, c.received)
			}
			if _, known := set.Lookup("a"); known || set.Remove("a") {
				t.Errorf("%s: the set remembers the key", name)
			}
			fresh := set.Breaker("b")
			like := func(b *Breaker) string {
				s := b.Status()
				s.ID, s.Key, s.Version = "", "", 0
				return fmt.Sprintf("%+v %d records, %+v, word %b", s, len(b.History()), b.Peer().Calls(), b.load()&^(flagEvicted|flagCheckCtx)<<(64-genShift))
			}
			if got, want := like(b), like(fresh); got != want {
				t.Errorf("%s: the removed key is\n%s, and a new one\n%s", name, got, want)
			}
			for _, err := range []error{matched, nil} {
				if name == "held back" {
					break // this would hold them back again
				}
				for _, b := range []*Breaker{b, fresh} {
					_ = b.Do(t.Context(), func(context.Context) error { return err })
				}
				if got, want := like(b), like(fresh); got != want || calls > 0 {
					t.Errorf("%s: after a call that ends with %v, the removed key is\n%s, and a new one\n%s; its listener heard %d", name, err, got, want, calls)
				}
			}
			wait(2 * time.Hour) // an override that it had does not end now
			is(t, b, Closed)
		})
	}
	if keyed(SetOptions{}).Remove("unknown") {
		t.Error("an unknown key was removed")
	}
}

// What the program has given to a key keeps the key and its evidence for as
// long as it is there. When it is removed, the key lapses, but not before its
// other evidence does.
func TestPinnedKeys(t *testing.T) {
	nobody := Listener{StateChange: func(*Breaker, Transition) {}}
	for name, give := range map[string]func(b *Breaker) (take func()){
		"own settings": func(b *Breaker) func() { _ = b.Update(Settings{FailMax: 9}); return nil },
		"matchers":     func(b *Breaker) func() { b.Ignore(ErrorIs(errNotFound)); return nil },
		"a listener":   func(b *Breaker) func() { return b.AddListener(nobody) },
		"watched":      func(b *Breaker) func() { b.Peer().Watch(true); return func() { b.Peer().Watch(false) } },
	} {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1, Retention: 16 * time.Hour})
			b := set.Breaker("a")
			take := give(b)
			play(b, "f")
			wait(48 * time.Hour)
			fill(set, 10)
			if got, _ := set.Lookup("a"); got != b || b.FailCount() != 1 {
				t.Errorf("%s: the key has lost its failure", name)
			}
			if take == nil {
				return
			}
			take()
			if b.FailCount() != 1 {
				t.Errorf("%s: the key lost its failure together with it", name)
			}
			play(b, "s")
			fill(set, 10)
			if _, known := set.Lookup("a"); known {
				t.Errorf("%s: the key is kept for nothing", name)
			}
		})
	}
	for name, give := range map[string]func(b *Breaker){
		"a history":      func(b *Breaker) { _ = b.Open(Order{}); _ = b.Close(Order{}) },
		"a window":       func(b *Breaker) { play(b, "fs") },
		"own settings":   func(b *Breaker) { _ = b.Update(Settings{FailMax: 9}) },
		"matchers":       func(b *Breaker) { b.Ignore(ErrorIs(errNotFound)) },
		"other listener": func(b *Breaker) { b.AddListener(nobody) },
	} {
		set := NewSet[string]("s", Settings{FailureRate: 0.9}, SetOptions{MaxKeys: 1})
		b := set.Breaker("a")
		remove := b.AddListener(nobody)
		give(b)
		remove()
		fill(set, 10)
		if _, known := set.Lookup("a"); !known {
			t.Errorf("%s: the key is forgotten with its listener", name)
		}
	}
}

// What forget does not do: wait for a breaker that is in use, forget what people
// have set, or bad calls that count still.
func TestForgetLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{FailureRate: 0.9, Window: time.Hour}, SetOptions{})
		b := s.Breaker("in use")
		b.mu.Lock()
		if b.forget(lapseNow) {
			t.Error("it has forgotten a breaker whose lock is held")
		}
		b.mu.Unlock()

		b = s.Breaker("bad calls")
		_ = b.Open(Order{})
		_ = b.Close(Order{})
		play(b, "fs")
		if b.forget(lapseHistory) || len(b.History()) != 2 || b.Status().Window.Bad != 1 {
			t.Errorf("%d transitions and %+v are left, want 2 and one bad call", len(b.History()), b.Status().Window)
		}

		b = s.Breaker("forced")
		_ = b.Open(Order{})
		_ = b.Close(Order{})
		_ = b.ForceClosed(Order{})
		if b.forget(lapseIfIdle) || len(b.History()) != 3 {
			t.Errorf("%d transitions of a key with an override are left, want 3", len(b.History()))
		}
	})
}

// After forgetting, the window is one of the period that goes on.
func TestWindowAfterForgetting(t *testing.T) {
	s := NewSet[string]("s", Settings{FailureRate: 0.9}, SetOptions{})
	b := s.Breaker("k")
	_ = b.Open(Order{})
	_ = b.Close(Order{})
	play(b, "f")
	if !b.forget(lapseNow) || b.win.Load().gen != genOf(b.load()) || genOf(b.load()) == 0 {
		t.Errorf("the window is of period %d, want %d", b.win.Load().gen, genOf(b.load()))
	}
}

// A key that was given a listener, and has it no longer, is healthy, although it
// has a window.
func TestKeyAfterItsListener(t *testing.T) {
	s := NewSet[string]("s", Settings{FailureRate: 0.9}, SetOptions{})
	b := s.Breaker("k")
	remove := b.AddListener(Listener{Success: func(*Breaker) {}})
	play(b, "s")
	if remove(); len(s.WithEvidence()) != 0 {
		t.Error("the key has evidence, want none")
	}
	remove = b.AddListener(Listener{Success: func(*Breaker) {}})
	play(b, "f")
	play(b, "s")
	if remove(); len(s.WithEvidence()) != 1 {
		t.Error("the key has no evidence, want the bad call in its window")
	}
}

// A key that is kept for its window alone has no history.
func TestWindowIsNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{SlowCall: time.Second, SlowRate: 0.9, Window: time.Minute}, SetOptions{})
		b := s.Breaker("k")
		play(b, "S")
		if len(s.WithEvidence()) != 1 || b.hasHistory() {
			t.Errorf("%d keys with evidence, want one without a history", len(s.WithEvidence()))
		}
		wait(5 * time.Minute) // the call has left the window, and a sweep has been
		if len(s.WithEvidence()) != 0 {
			t.Error("the key has evidence, want none")
		}
	})
}

// Keys that fail and are forgotten without having opened make no other version
// grow: an order for what a person saw of a healthy key is carried out.
func TestVersionsOfHealthyKeysStay(t *testing.T) {
	s := NewSet[int]("s", Settings{FailWithin: time.Hour}, SetOptions{MaxKeys: 10, MaxEvidence: 10})
	healthy := s.Breaker(0)
	seen := healthy.Status().Version
	for k := range 100 {
		_ = s.Do(bg, 1+k, broken)
		s.Remove(1 + k)
	}
	if _, err := healthy.Apply(Order{Verb: VerbForceOpen, IfVersion: seen}); err != nil {
		t.Error(err)
	}
}

// The window of a key that was open when it was forgotten belongs to its new
// period, so that successes are counted in it without the lock.
func TestForgottenKeyHasItsWindow(t *testing.T) {
	s := NewSet[string]("s", Settings{FailMax: 1, FailureRate: 1}, SetOptions{})
	b := s.Breaker("k")
	play(b, "f")
	if !b.forget(lapseNow) || b.win.Load().gen != genOf(b.load()) {
		t.Errorf("its window is of generation %d, and it is at %d", b.win.Load().gen, genOf(b.load()))
	}
	play(b, "s")
	if got := b.Status().Window.Calls; got != 1 {
		t.Errorf("the window holds %d calls, want 1", got)
	}
}
