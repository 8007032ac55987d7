package breaker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A key with a listener of its own is not forgotten: the listener would be.
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
		t.Error("the key is kept though nobody listens any more")
	}
}

// The log tells once that the set is full.
func TestOverflowIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	for name, opts := range map[string][]Option{
		"with a log": {WithLogger(slog.New(slog.NewTextHandler(&log, nil)))}, "without": nil,
	} {
		set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1}, opts...)
		for k := range 6 {
			play(set.Breaker(k), "f")
		}
		if s := set.Breaker(5).Status(); s.Panics != 0 || set.Overflowed() != 4 || s.FailCount != 1 {
			t.Errorf("%s: %d panics and %d overflows, want 0 and 4; %d failures", name, s.Panics, set.Overflowed(), s.FailCount)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `msg="circuit breaker set is full: failing keys replace the keys that have been idle longest" set=s keys=2`) {
		t.Errorf("logged %q, want one line", log.String())
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

// Whatever a key has that a new breaker would not have keeps it.
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

// The history of a key gives way when the budget of its set is used up, but
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

// MaxHistory bounds the keys that are kept for their history alone, and the
// longest idle lose theirs first.
func TestHistoryOfHealthyKeysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keyed(SetOptions{MaxKeys: 5, MaxHistory: 20})
		for i := range 100 {
			b := s.Breaker(fmt.Sprint(i))
			play(b, "ff")
			_ = b.Close(Order{})
		}
		wait(time.Minute)
		if got := s.historyOnly.Load(); got > 20 || got < 15 {
			t.Errorf("%d keys are kept for their history, want 15 to 20", got)
		}
		if got := len(s.Breaker("99").History()); got == 0 {
			t.Error("the key that was used last has lost its history")
		}
		if s.kept("0") != nil {
			t.Error("the key that has been idle longest is kept")
		}
	})
}

// Keys that have more than a history use up none of the budget of healthy keys.
func TestHistoryOfHealthyKeysIsTheirsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, give := range map[string]func(*Breaker){
			"open":       func(b *Breaker) { _ = b.Open(Order{}) },
			"overridden": func(b *Breaker) { _ = b.ForceOpen(Order{}) },
			"failed":     func(b *Breaker) { play(b, "ff"); _ = b.Close(Order{}); play(b, "f") },
		} {
			s := keyed(SetOptions{MaxKeys: 2, MaxHistory: 4})
			for i := range 3 {
				b := s.Breaker(fmt.Sprint(i))
				play(b, "ff")
				_ = b.Close(Order{})
			}
			for i := range 20 {
				give(s.Breaker(fmt.Sprint(name, i)))
			}
			wait(time.Hour)
			for i := range 3 {
				if b := s.kept(fmt.Sprint(i)); b == nil || len(b.History()) == 0 {
					t.Errorf("%s: the history of healthy key %d is lost", name, i)
				}
			}
		}
	})
}

// The keys of a set share the budget for records beyond the newest of each key,
// and get back what is forgotten.
func TestHistoryHasABudget(t *testing.T) {
	s := keyed(SetOptions{MaxHistory: 10})
	flap := func(key string, times int) *Breaker {
		b := s.Breaker(key)
		for range times {
			_ = b.Open(Order{})
			_ = b.Close(Order{})
		}
		return b
	}
	if got := len(flap("a", 4).History()); got != 8 {
		t.Errorf("the first key has %d records, want 8", got)
	}
	if got := len(flap("b", 4).History()); got != 4 { // 7 of a and 3 of b, and the newest
		t.Errorf("the second key has %d records, want 4", got)
	}
	if got := len(flap("c", 4).History()); got != 1 {
		t.Errorf("the third key has %d records, want 1", got)
	}
	s.Remove("a")
	if got := len(flap("d", 4).History()); got != 8 {
		t.Errorf("after the first key was removed, the fourth has %d records, want 8", got)
	}
	if got := s.records.Load(); got != 10 {
		t.Errorf("%d records are in use, want 10", got)
	}
}

// A key that was forgotten goes on from a version that it never had: an order
// for what its breaker was before is refused.
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

// A key that is forgotten and used again begins without the attempts that made
// its open time grow.
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

// The open time itself is no idleness: an open key is kept for Retention after
// the moment at which a call could have probed.
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

// A set without evidence has no timer.
func TestSweeperRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keyed(SetOptions{Retention: 16 * time.Hour})
		set := func() bool { s.sweeper.mu.Lock(); defer s.sweeper.mu.Unlock(); return s.sweeper.timer != nil }
		fill(s, 10)
		if set() {
			t.Error("a timer is set for healthy keys")
		}
		play(s.Breaker("a"), "f")
		if !set() {
			t.Error("no timer is set for a key with evidence")
		}
		play(s.Breaker("a"), "s")
		wait(2 * time.Hour)
		if set() {
			t.Error("the timer is set though no key has evidence any more")
		}
	})
}
