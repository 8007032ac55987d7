package breaker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A failure and an eviction may come together: the failure is counted in any
// case, and a key with a failure is kept (I8).
func TestEvictedAndCounted(t *testing.T) {
	const n = 10_000
	set := NewSet[int]("s", Settings{FailMax: 100}, SetOptions{MaxKeys: n})
	all := make([]*Breaker, n)
	for i := range all {
		all[i] = set.Breaker(i)
	}
	evicted := 0
	abreast(n, func(i int) {
		p := Permit{b: all[i]}
		if !all[i].countedAlone(&p, Failure) {
			t.Errorf("the failure of key %d took the lock", i)
		}
	}, func(i int) {
		sh := set.shard(i)
		sh.mu.Lock()
		evicted += btoi(set.evict(sh, i, all[i]))
		sh.mu.Unlock()
	})
	for i := range all {
		sh := set.shard(i)
		if sh.by[i] != all[i] || len(sh.evicted) > 0 || all[i].FailCount() != 1 || all[i].load()&flagEvicted != 0 {
			t.Fatalf("key %d has %d failures, its word is %x", i, all[i].FailCount(), all[i].load())
		}
	}
	if got := set.evidence.Load(); got != n || set.Len() != n || len(set.evicted.keys) != 0 {
		t.Errorf("the set counts %d keys with evidence of %d, want %d; %d are evicted", got, set.Len(), n, len(set.evicted.keys))
	}
	t.Logf("%d were evicted and came back", evicted)
}

// A failure that is counted while its key comes back is not lost.
func TestRestoredAndCounted(t *testing.T) {
	const n = 20_000
	all := make([]*Breaker, n)
	for i := range all {
		all[i] = New("b", Settings{FailMax: 100})
		all[i].edit(0, flagEvicted)
	}
	abreast(n, func(i int) {
		p := Permit{b: all[i]}
		all[i].countedAlone(&p, Failure)
	}, func(i int) { all[i].clearEvicted() })
	for i, b := range all {
		if b.FailCount() != 1 || b.load()&flagEvicted != 0 {
			t.Fatalf("breaker %d has %d failures, its word is %x", i, b.FailCount(), b.load())
		}
	}
}

// A listener of a key that is forgotten in the moment it is added is not lost
// to the breaker made for the key next.
func TestListenerOfKeyForgottenMeanwhile(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1})
	held := s.Breaker("a")
	s.Breaker("z") // forgets a, after AddListener had looked
	heard := 0
	held.setListener(&Listener{Failure: func(*Breaker, error) { heard++ }}, true)
	_ = s.Do(t.Context(), "a", broken)
	if heard != 1 {
		t.Errorf("the listener heard of %d failures, want 1", heard)
	}
}

// A rule that takes so long to say open that the set has forgotten the key
// meanwhile opens the key's breaker, not one that nobody finds (I8).
func TestRuleOfAForgottenKey(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1}, WithRule("always", func(Counts) bool { return true }))
	b := s.Breaker("a")
	p, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	s.Breaker("z") // forgets a
	b.judgeRules(&p, Counts{Calls: 1})
	if got := s.Breaker("a").State(); got != Open {
		t.Errorf("the key's breaker is %s, want open", got)
	}
}

// Keys whose only evidence is in a window count towards the set's limits.
func TestWindowEvidenceIsBounded(t *testing.T) {
	s := NewSet[int]("s", Settings{FailMax: -1, FailureRate: 0.9, WindowCalls: 20},
		SetOptions{MaxKeys: 10, MaxEvidence: 50})
	for k := range 1000 {
		_ = s.Do(t.Context(), k, broken)
		_ = s.Do(t.Context(), k, nop)
	}
	if n := len(s.Status()); n > 61 { // 10 healthy, 50 with evidence, 1 for the others
		t.Errorf("the set holds %d breakers, want at most 61", n)
	}
}

// A call of a forgotten breaker counts for the one made since while that is in
// its first stretch, whatever override is on it; and not at all when the call
// was of an earlier stretch of the forgotten one (I1, I11).
func TestCallOfForgottenBreaker(t *testing.T) {
	for _, c := range []struct {
		name         string
		before       func(*Breaker)
		after        func(*Breaker)
		wantFailures int
	}{
		{"override since", nil, func(b *Breaker) { b.ForceOpen(Order{}) }, 1},
		{"earlier stretch", func(b *Breaker) { b.Open(Order{}); b.Close(Order{}) }, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1})
			p, err := s.Breaker("a").Allow()
			if err != nil {
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(s.Breaker("a"))
			}
			s.Breaker("z") // forgets a
			if b := s.Breaker("a"); c.after != nil {
				c.after(b)
			}
			p.Done(errX)
			if got := s.Breaker("a").FailCount(); got != c.wantFailures {
				t.Errorf("FailCount = %d, want %d", got, c.wantFailures)
			}
		})
	}
}

// A forgotten breaker that somebody holds comes back with the settings and the
// listeners that its set has been given meanwhile.
func TestForgottenBreakerComesBackUpToDate(t *testing.T) {
	s := NewSet[string]("s", Settings{FailMax: -1}, SetOptions{MaxKeys: 1})
	held := s.Breaker("a")
	s.Breaker("z") // forgets a
	if err := s.Update(Settings{FailMax: -1, FailureRate: 0.5, WindowCalls: 4, MinCalls: 2}); err != nil {
		t.Fatal(err)
	}
	heard := 0
	s.AddListener(Listener{Failure: func(*Breaker, error) { heard++ }})
	for range 2 {
		_ = held.Do(t.Context(), broken)
	}
	if got := held.State(); got != Open {
		t.Errorf("state after 2 of 2 calls failed: %s, want open by the rate that the set was given", got)
	}
	if heard != 2 {
		t.Errorf("the set's listener heard of %d failures, want 2", heard)
	}
}

// A breaker that is forgotten while a rule of the program's own looks at it
// opens where its set finds it.
func TestForgottenDuringOwnRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Set[string]
		settings := Settings{FailMax: -1, SlowCall: time.Millisecond, Window: 10 * time.Millisecond}
		s = NewSet[string]("s", settings, SetOptions{MaxKeys: 1},
			WithRule("slow", func(Counts) bool {
				time.Sleep(time.Second) // the slow call leaves the window
				s.Breaker("z")          // and the key has no evidence
				return true
			}))
		_ = s.Do(t.Context(), "a", func(context.Context) error { time.Sleep(time.Millisecond); return nil })
		if got := s.Breaker("a").State(); got != Open {
			t.Errorf("a is %s, want open: its rule said so", got)
		}
	})
}

// Keys whose evidence is in their windows alone are kept as well, until both
// limits together are met (I8). Then one gives way.
func TestFullOfEvidenceInWindows(t *testing.T) {
	for name, c := range map[string]struct {
		s      Settings
		script string
		want   Counts
	}{
		"failures": {Settings{FailureRate: 0.9}, "fs", Counts{2, 1, 0, 1}},
		"slow":     {Settings{SlowCall: time.Second}, "S", Counts{1, 0, 1, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[int]("s", c.s, SetOptions{MaxKeys: 2, MaxEvidence: 3})
			for k := range 5 {
				b := set.Breaker(k)
				play(b, c.script)
				if got, want := b.ID(), fmt.Sprintf("s/%d", k); got != want {
					t.Fatalf("%s: key %d got the breaker %s", name, k, got)
				}
			}
			if n := set.Overflowed(); n != 0 {
				t.Errorf("%s: %d overflows, want none", name, n)
			}
			for k, b := range set.Breakers() {
				if got := b.Status().Window; got != c.want {
					t.Errorf("%s: key %d has %+v in its window, want %+v", name, k, got, c.want)
				}
			}
			play(set.Breaker(5), c.script)
			if set.Overflowed() != 1 || set.Len() != 5 {
				t.Errorf("%s: %d overflows, %d keys, want 1 and 5", name, set.Overflowed(), set.Len())
			}
		})
	}
}

// Both limits together hold when many keys come at once.
func TestSetLimitsOvershot(t *testing.T) {
	const most, callers = 5, 100
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			set := NewSet[int]("s", Settings{FailureRate: 0.9}, SetOptions{MaxKeys: 2, MaxEvidence: most - 2})
			var all sync.WaitGroup
			for k := range callers {
				all.Go(func() { _ = set.Do(t.Context(), k, broken) })
			}
			all.Wait()
			if n := set.Len(); n > most+callers {
				t.Errorf("%d keys are remembered, want %d, and %d calls in flight", n, most, callers)
			}
			time.Sleep(2 * time.Second) // the sweeper has been
			if n := len(set.Breakers()); n > most || n != set.Len() {
				t.Errorf("%d keys are remembered and %d counted, want %d at most", n, set.Len(), most)
			}
		})
	}
}

// A healthy key takes the place of another, though all come at once.
func TestHealthyKeysDoNotOverflow(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 100, MaxEvidence: 1})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 300 {
				set.Breaker(g*1000 + i)
			}
		})
	}
	all.Wait()
	if n := set.Overflowed(); n > 0 {
		t.Errorf("%d healthy keys got the breaker that keys beyond the limits share", n)
	}
}

// I8: a bounded set forgets healthy keys, the longest idle first, and no
// evidence.
func TestSetForgetsOnlyHealthyKeys(t *testing.T) {
	const most = 10
	for name, s := range map[string]Settings{
		"consecutive": {FailMax: 3},
		"rate":        {FailMax: 3, FailureRate: .9, MinCalls: 100},
	} {
		t.Run(name, func(t *testing.T) {
			set := NewSet[string]("tenant", s, SetOptions{MaxKeys: most})
			_ = set.Do(bg, "failing", broken)
			set.Breaker("open").Open(Order{})
			set.Breaker("forced").ForceClosed(Order{})
			if err := set.Breaker("tuned").Update(Settings{FailMax: 9}); err != nil {
				t.Fatal(err)
			}
			for i := range 10_000 {
				_ = set.Do(bg, "invented-"+strconv.Itoa(i), nop)
				if n := len(set.Status()); n > most+4 {
					t.Fatalf("%d keys are remembered, want at most %d and 4 more", n, most)
				}
			}
			seen := map[string]Status{}
			for _, s := range set.Status() {
				seen[s.Key] = s
			}
			if got := seen["failing"].FailCount; got != 1 {
				t.Errorf("the failing key's count is %d, want 1: it was washed out", got)
			}
			if seen["open"].State != Open || seen["forced"].State != ForcedClosed || seen["tuned"].Settings.FailMax != 9 {
				t.Errorf("a key with evidence, an order or settings of its own was forgotten: %+v", seen)
			}
		})
	}
}

func TestSetForgetsTheLongestIdle(t *testing.T) {
	set := NewSet[int]("n", Settings{FailureRate: .5}, SetOptions{MaxKeys: 3})
	for i := range 3 {
		_ = set.Do(bg, i, nop)
	}
	for i := 3; i < 50; i++ {
		_ = set.Do(bg, 1, nop) // always in use
		_ = set.Do(bg, i, nop)
		if _, kept := set.Lookup(1); !kept {
			t.Fatalf("the key that is always in use is forgotten for key %d", i)
		}
	}
	for _, s := range set.Status() {
		if s.Key == "1" {
			if s.Window.Calls != 48 {
				t.Errorf("the busy key counts %d calls, want 48: it was forgotten in between", s.Window.Calls)
			}
			return
		}
	}
	t.Errorf("the key that was always in use is forgotten: %+v", set.Status())
}

// A breaker that its set has forgotten comes back with its next use, and
// evidence is never split between two breakers of one key.
func TestForgottenBreakerStaysUsable(t *testing.T) {
	set := NewSet[string]("tenant", Settings{FailMax: 3}, SetOptions{MaxKeys: 1})
	held := set.Breaker("held")
	set.Breaker("x")
	set.Breaker("y") // held is forgotten by now
	_ = held.Do(bg, broken)
	_ = set.Do(bg, "held", broken)
	if got := set.Breaker("held").FailCount(); got != 2 {
		t.Errorf("%d failures on record, want 2", got)
	}
	if held.FailCount() != 2 {
		t.Errorf("the handle sees %d failures, want 2", held.FailCount())
	}
	_ = held.Do(bg, broken)
	is(t, set.Breaker("held"), Open)
	is(t, held, Open)
}

// A call that was in flight while its key was forgotten counts where the key
// is now.
func TestFailureOfAForgottenKeyCounts(t *testing.T) {
	set := NewSet[string]("tenant", Settings{FailMax: 2}, SetOptions{MaxKeys: 1})
	p, err := set.Breaker("held").Allow()
	if err != nil {
		t.Fatal(err)
	}
	set.Breaker("x")
	set.Breaker("y")
	_ = set.Do(bg, "held", broken)
	p.Done(errX)
	is(t, set.Breaker("held"), Open)
}

// A full set keeps to its limits, says so once, and guards whichever keys fail
// now.
func TestSetOverflows(t *testing.T) {
	var log bytes.Buffer
	set := NewSet[int]("n", Settings{FailMax: 2}, SetOptions{MaxKeys: 2, MaxEvidence: 5},
		WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for i := range 100 {
		_ = set.Do(bg, i, broken)
	}
	if n := set.Overflowed(); n != 93 || set.Len() != 7 {
		t.Errorf("Overflowed = %d with %d keys, want 93: 7 keys of 100 are remembered", n, set.Len())
	}
	if n := strings.Count(log.String(), "circuit breaker set is full"); n != 1 {
		t.Errorf("the log says %d times that the set is full, want once:\n%s", n, &log)
	}
	for range 2 {
		_ = set.Do(bg, 1_000, broken)
	}
	if err := set.Do(bg, 1_000, nop); !errors.Is(err, ErrOpen) {
		t.Errorf("a key that fails in a full set is not guarded: got %v", err)
	}
	if err := set.Do(bg, 2_000, nop); err != nil {
		t.Errorf("a healthy key of a full set was rejected: %v", err)
	}
}

// Where no key can give way, a further one runs without a breaker.
func TestSetFullOfOverrides(t *testing.T) {
	set := NewSet[int]("n", Settings{FailMax: 1}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	set.Breaker(1).ForceOpen(Order{})
	set.Breaker(2).ForceOpen(Order{})
	for range 3 {
		if err := set.Do(bg, 3, broken); !errors.Is(err, errX) {
			t.Errorf("got %v, want the call's own error", err)
		}
	}
	if n := set.Overflowed(); n != 3 || set.Len() != 2 {
		t.Errorf("Overflowed = %d with %d keys, want 3 with 2", n, set.Len())
	}
	is(t, set.Breaker(1), ForcedOpen)
}

func TestSetUnderChurn(t *testing.T) {
	for name, s := range map[string]Settings{
		"consecutive": {FailMax: 1000},
		"rate":        {FailMax: 1000, FailureRate: 1, MinCalls: 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			set := NewSet[string]("tenant", s, SetOptions{MaxKeys: 50})
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := range 2_000 {
						_ = set.Do(bg, fmt.Sprintf("k%d-%d", w, i), nop)
						_ = set.Do(bg, fmt.Sprintf("shared%d", i%100), nop)
						if i%20 == 0 {
							_ = set.Do(bg, "bad", broken)
							set.Status()
						}
						if i%7 == 0 {
							runtime.Gosched()
						}
					}
				})
			}
			wg.Wait()
			if got := set.Breaker("bad").FailCount(); got != 800 {
				t.Errorf("the failing key has %d failures on record, want 800", got)
			}
			if n := len(set.Status()); n > 50+1+8 {
				t.Errorf("%d keys are remembered, want about 50", n)
			}
		})
	}
}

// An evicted breaker that is still held is the one that its key gets again, and
// from then on the set keeps it as before.
func TestEvictedBreakerComesBack(t *testing.T) {
	s := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 2})
	held := s.Breaker("a")
	for i := range 10 {
		s.Breaker(strconv.Itoa(i))
	}
	if s.kept("a") != nil {
		t.Fatal("the key is kept, want it evicted")
	}
	if got := s.Breaker("a"); got != held {
		t.Fatal("the key has a second breaker")
	}
	if s.kept("a") != held || held.load()&flagEvicted != 0 {
		t.Error("the breaker is used again but still evicted")
	}
	runtime.KeepAlive(held)
}

// Two callers that come first with one key at once get one breaker, which is
// counted once.
func TestKeyIsInsertedOnce(t *testing.T) {
	const n = 5000
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 2 * n})
	var one, other [n]*Breaker
	abreast(n, func(i int) { one[i] = set.Breaker(i) }, func(i int) { other[i] = set.Breaker(i) })
	if one != other || set.Len() != n || len(set.Breakers()) != n {
		t.Errorf("%d keys are counted and %d kept, want %d; one breaker each: %v", set.Len(), len(set.Breakers()), n, one == other)
	}
}

// A key that finds no place, because no other may make room, has a breaker all
// the same, and one only. The set takes it in when there is something to keep.
func TestBreakerWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[int]("s", Settings{FailMax: 1}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
		for k := range 2 {
			_ = set.Breaker(k).ForceOpen(Order{})
		}
		b := set.Breaker(3)
		if _, known := set.Lookup(3); known || set.Len() != 2 || set.Breaker(3) != b {
			t.Errorf("the set remembers the key: %v, of %d keys", known, set.Len())
		}
		if err := set.Do(t.Context(), 3, broken); !errors.Is(err, errX) {
			t.Errorf("its call: %v", err)
		}
		wait(time.Minute) // the sweeper takes the place away again
		if _, known := set.Lookup(3); known || set.Len() != 2 || set.Overflowed() != 1 {
			t.Errorf("after a failure, the set remembers the key: %v, of %d keys, %d overflows", known, set.Len(), set.Overflowed())
		}
		_ = b.ForceClosed(Order{})
		wait(time.Minute)
		if got, known := set.Lookup(3); !known || got != b || set.Len() != 3 {
			t.Errorf("with an override, the set remembers the key: %v, of %d keys", known, set.Len())
		}
	})
}

// Keys that clients invent fail once each. They give way to each other, and not
// keys that fail again and again, or that are open, although those have been
// idle longer.
func TestInventedKeysGiveWayToEachOther(t *testing.T) {
	for name, c := range map[string]struct {
		s     Settings
		fails string
		lasts func(*Breaker) bool
	}{
		"counted":   {Settings{FailMax: 100}, "ff", func(b *Breaker) bool { return b.FailCount() == 2 }},
		"forgiving": {Settings{FailMax: 100, SuccessesToForgive: 10}, "ff", func(b *Breaker) bool { return b.FailCount() == 2 }},
		"open":      {Settings{FailMax: 2}, "ff", func(b *Breaker) bool { return b.State() == Open }},
	} {
		set := NewSet[int]("s", c.s, SetOptions{MaxKeys: 1, MaxEvidence: 24})
		for k := range 8 {
			play(set.Breaker(k), c.fails)
		}
		for k := range 2000 {
			_ = set.Do(t.Context(), 1000+k, broken)
			if n := set.Len(); n > 25 {
				t.Fatalf("%s: %d keys are remembered, want 25 at most", name, n)
			}
		}
		for k := range 8 {
			if b, known := set.Lookup(k); !known || !c.lasts(b) {
				t.Errorf("%s: key %d lost its failures to keys that failed once", name, k)
			}
		}
		if got, want := set.Overflowed(), 2008-len(set.WithEvidence()); got != uint64(want) {
			t.Errorf("%s: %d overflows, want %d: as many keys have lost their failures", name, got, want)
		}
	}
}

// A key that needs room while the healthy keys cannot be evicted costs one key
// its evidence, not many.
func TestOneKeyMakesRoom(t *testing.T) {
	const evidence = 20
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: evidence})
	busy := set.shard(0)
	last := 0
	next := func() int { // a key that is not in that shard
		for last++; set.shard(last) == busy; {
			last++
		}
		return last
	}
	for range evidence {
		play(set.Breaker(next()), "ff")
	}
	set.Breaker(0)
	busy.mu.Lock()
	made := set.insert(next(), true)
	busy.mu.Unlock()
	if lost := evidence - len(set.WithEvidence()); lost != 1 || set.Overflowed() != 1 || made == nil || set.Len() != evidence+1 {
		t.Errorf("%d keys have lost their failures, %d overflows, %d keys are remembered, want 1, 1 and %d", lost, set.Overflowed(), set.Len(), evidence+1)
	}
}

// Keys that are healthy again count among the healthy ones at once: no time has
// to pass.
func TestHealthyAgain(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 2})
	for k := range 10 {
		play(set.Breaker(k), "f")
	}
	if set.Len() != 10 {
		t.Fatalf("%d keys are remembered, want 10", set.Len())
	}
	for _, b := range set.Breakers() {
		play(b, "s")
	}
	if n := set.Len(); n > 2 {
		t.Errorf("%d healthy keys are remembered, want 2", n)
	}
}

// namesake is a key whose text does not tell it from others.
type namesake struct{ n int }

func (namesake) String() string { return "same" }

// What has been collected leaves nothing behind, and its text is free again; as
// long as a breaker is held, its text is not another's.
func TestCollected(t *testing.T) {
	set := NewSet[namesake]("s", Settings{}, SetOptions{MaxKeys: 1})
	held := set.Breaker(namesake{0})
	other := set.Breaker(namesake{1}).ID() // evicts the first
	if held.ID() != "s/same" || other != "s/same~2" {
		t.Errorf("ids %q and %q, want s/same and s/same~2", held.ID(), other)
	}
	for n := range 100 {
		set.Breaker(namesake{2 + n})
	}
	evicted := func() (n int) {
		for i := range set.shards {
			set.shards[i].mu.RLock()
			n += len(set.shards[i].evicted)
			set.shards[i].mu.RUnlock()
		}
		set.evicted.mu.Lock()
		defer set.evicted.mu.Unlock()
		return max(n, len(set.evicted.keys))
	}
	texts := func() int { set.texts.mu.Lock(); defer set.texts.mu.Unlock(); return len(set.texts.keys) }
	// The cleanups run on a goroutine of the runtime.
	collect := func(left int) {
		for range 1000 {
			if evicted() <= left && texts() <= left+1 {
				return
			}
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
		t.Errorf("%d keys are still evicted with %d texts, want %d with %d", evicted(), texts(), left, left+1)
	}
	collect(1) // the one that is held
	if got := set.Breaker(namesake{1000}).ID(); got == held.ID() {
		t.Errorf("a new key got the id %q of one that is held", got)
	}
	if set.Breaker(namesake{0}) != held {
		t.Error("the key that is held got another breaker")
	}
	set.Breaker(namesake{1001}) // evicts it again
	runtime.KeepAlive(held)
	held = nil
	collect(0)
	if got := set.Breaker(namesake{1002}).ID(); got != "s/same" {
		t.Errorf("a new key got the id %q, want s/same, which is free", got)
	}
}
