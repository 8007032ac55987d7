package breaker

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// A failure and an eviction may happen at the same time: the failure is
// counted in any case, and a key with a failure is kept (I8).
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
		done := set.evict(sh, i, all[i])
		_, there := sh.by.m[i] // if it has come back, that takes sh.mu
		sh.mu.Unlock()
		if evicted += btoi(done); done == there {
			t.Errorf("key %d is kept: %v, and evict said %v", i, there, done)
		}
	})
	for i := range all {
		sh := set.shard(i)
		if sh.by.m[i] != all[i] || len(sh.evicted.m) > 0 || all[i].FailCount() != 1 || all[i].load()&flagEvicted != 0 {
			t.Fatalf("key %d has %d failures, its word is %x", i, all[i].FailCount(), all[i].load())
		}
	}
	if got := set.evidence.Load(); got != n || set.Len() != n || len(set.evicted.keys.m) != 0 {
		t.Errorf("the set counts %d keys with evidence of %d, want %d; %d are evicted", got, set.Len(), n, len(set.evicted.keys.m))
	}
	t.Logf("%d were evicted and came back", evicted)
}

// A failure that is counted while its key is being restored is not lost.
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

// A listener of a key that is forgotten at the moment it is added is not lost:
// the next breaker of the key has it.
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

// If a rule takes so long to decide that the set has forgotten the key
// meanwhile, it opens the key's current breaker, not one that cannot be found
// any more (I8).
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

// A call of a forgotten breaker counts for the key's new breaker while that is
// in its first period, whatever override it has; and not at all if the call
// belonged to an earlier period of the forgotten one (I1, I11).
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

// A forgotten breaker that the program still holds comes back with the
// settings and the listeners that its set has been given meanwhile.
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

// A breaker that is forgotten while one of the program's own rules is judging
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
	set.Breaker("y") // held is forgotten now
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

// A call that was in flight while its key was forgotten is counted by the
// key's current breaker.
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

// As long as an evicted breaker is held, its key gets the same one again, and
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

// Two callers that are the first with the same key get one breaker, which is
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

// Keys that become healthy again count as healthy at once, without any time
// passing.
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

// namesake is a key whose text does not distinguish it from others.
type namesake struct{ n int }

func (namesake) String() string { return "same" }

// A collected breaker leaves nothing behind, and its text is free again; as
// long as a breaker is held, no other key gets its text.
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
			n += len(set.shards[i].evicted.m)
			set.shards[i].mu.RUnlock()
		}
		set.evicted.mu.Lock()
		defer set.evicted.mu.Unlock()
		return max(n, len(set.evicted.keys.m))
	}
	texts := func() int { set.texts.mu.Lock(); defer set.texts.mu.Unlock(); return len(set.texts.keys.m) }
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

// A key that is evicted and comes back many times leaves nothing behind each time.
func TestEvictedManyTimes(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{})
	b := set.Breaker(1)
	sh := set.shard(1)
	cycle := func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if !set.evict(sh, 1, b) {
			t.Fatal("not evicted")
		}
		set.total.Add(1)
		set.restoreLocked(sh, 1, b)
	}
	cycle()
	before := heapInUse()
	const times = 20_000
	for range times {
		cycle()
	}
	if grown := int64(heapInUse()) - int64(before); grown > 8*times {
		t.Errorf("the heap has grown by %d bytes each time", grown/times)
	}
	if set.Breaker(1) != b || set.Len() != 1 {
		t.Errorf("%d keys are remembered, want 1", set.Len())
	}
}

// The calls of a breaker that is held but evicted count for the period it is in,
// also in a full set, where an unknown key has none.
func TestHeldAndEvictedIsNotUnknown(t *testing.T) {
	set := NewSet[string]("s", Settings{FailMax: 3}, SetOptions{MaxKeys: 1})
	held := set.Breaker("a")
	_ = held.Open(Order{})
	_ = held.Close(Order{})
	set.Remove("a") // its history
	set.Breaker("z")
	if set.kept("a") != nil || !set.passes() {
		t.Fatal("the key is kept, want it evicted from a full set")
	}
	_ = set.Do(bg, "a", broken)
	if got := held.FailCount(); got != 1 {
		t.Errorf("%d failures, want 1", got)
	}
}

// An evicted breaker that changes without evidence stays evicted.
func TestEvictedStaysEvicted(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{MaxKeys: 1})
	held := set.Breaker("a")
	set.Breaker("z")
	set.AddListener(Listener{Success: func(*Breaker) {}})
	if held.load()&flagWatched == 0 || held.load()&flagEvicted == 0 || set.kept("a") != nil || set.Len() != 1 {
		t.Errorf("its word is %x, and %d keys are remembered", held.load(), set.Len())
	}
}

// A shard that is in use keeps its keys: no one waits for it.
func TestBusyShardEvictsNothing(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{})
	c := candidate[int]{in: set.shard(1), key: 1, b: set.Breaker(1)}
	c.in.mu.Lock()
	if set.tryEvict(c) {
		t.Error("it was evicted from a shard that is in use")
	}
	c.in.mu.Unlock()
	if !set.tryEvict(c) || set.Len() != 0 {
		t.Errorf("%d keys are remembered, want none", set.Len())
	}
}

// A text stays reserved while its key has a breaker, kept or evicted, although an
// earlier breaker of the key is collected.
func TestTextOfAKeyThatCameAgain(t *testing.T) {
	for name, evict := range map[string]bool{"kept": false, "evicted": true} {
		set := NewSet[namesake]("s", Settings{}, SetOptions{})
		b := set.Breaker(namesake{1})
		if evict {
			set.tryEvict(candidate[namesake]{in: set.shard(namesake{1}), key: namesake{1}, b: b})
		}
		set.collected(collected[namesake]{set, namesake{1}, "same", weak.Make(new(Breaker))})
		if got := set.Breaker(namesake{2}).ID(); got != "s/same~2" {
			t.Errorf("%s: another key has the id %q, want s/same~2", name, got)
		}
		runtime.KeepAlive(b)
	}
}

// A key of which a transition is being recorded is not evicted: its evidence is
// about to come.
func TestHeldKeyIsNotEvicted(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{})
	c := candidate[int]{in: set.shard(1), key: 1, b: set.Breaker(1)}
	c.b.edit(0, flagHeld)
	if set.tryEvict(c) || set.evictOne(mostLooked) {
		t.Error("it was evicted")
	}
	c.b.edit(flagHeld, 0)
	if !set.evictOne(mostLooked) {
		t.Error("afterwards it is not evicted")
	}
}

// Looking for a key that a full set does not have changes no count.
func TestRestoreOfAnUnknownKey(t *testing.T) {
	set := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1, MaxEvidence: 1})
	for k := range 2 {
		_ = set.Breaker(k).ForceOpen(Order{}) // gives way to none
	}
	for range 3 {
		if b := set.restore(set.shard(7), 7); b != nil || set.Len() != 2 {
			t.Errorf("restored %v, and %d keys are remembered, want none and 2", b, set.Len())
		}
	}
}
