package breaker

import "testing"

// interrupted runs act, and change just before the n-th write of a word in it.
func interrupted(t *testing.T, n int, act, change func()) {
	t.Helper()
	defer func() { beforeSwap = nil }()
	beforeSwap = func(*Breaker) {
		if n--; n == 0 {
			beforeSwap = nil
			change()
		}
	}
	act()
	if n > 0 {
		t.Fatalf("%d more writes are wanted", n)
	}
}

// A change of the word that comes between another one's look at it and its swap
// is not lost, and neither is that other one: not a failure, a success, a flag, an
// eviction nor a return (I8, I11).
func TestWordLosesNoChange(t *testing.T) {
	fail := func(b *Breaker) {
		if p := (Permit{b: b, word: b.load()}); !b.countedAlone(&p, Failure) {
			t.Error("a failure in between is not counted without the lock")
		}
	}
	for name, c := range map[string]struct {
		s       Settings
		before  string // calls
		act     func(b *Breaker)
		change  func(b *Breaker) // a failure by default
		fails   int
		state   State
		flags   uint64 // that are set, at least
		noFlags uint64
	}{
		"a failure":     {act: func(b *Breaker) { play(b, "f") }, fails: 2},
		"a flag":        {act: func(b *Breaker) { b.edit(0, flagCheckCtx) }, fails: 1, flags: flagCheckCtx},
		"a flag, clear": {act: func(b *Breaker) { b.edit(flagWatched, 0) }, fails: 1, noFlags: flagWatched},
		// The success came first.
		"a success": {before: "ff", act: func(b *Breaker) { play(b, "s") }, fails: 0},
		// Each takes a part of a failure back.
		"part of a failure": {s: Settings{FailMax: 9, SuccessesToForgive: 4}, before: "f", act: func(b *Breaker) { play(b, "s") }, fails: 2},
		// A failure that was counted by the settings of before.
		"another unit": {s: Settings{FailMax: 9, SuccessesToForgive: 4}, before: "f", act: func(b *Breaker) { _ = b.Update(Settings{FailMax: 9, SuccessesToForgive: 2}) }, change: func(b *Breaker) { b.swapWord(b.load(), b.load()+withUnits(4)) }, fails: 2},
		"an order":     {act: func(b *Breaker) { _ = b.Open(Order{}) }, fails: 1, state: Open},
		"an override":  {act: func(b *Breaker) { _ = b.ForceOpen(Order{}) }, fails: 1, state: ForcedOpen},
		// Of failures close to opening, only a success comes without the lock.
		"a decision":            {s: Settings{FailMax: 5}, before: "ff", act: func(b *Breaker) { play(b, "f") }, change: func(b *Breaker) { play(b, "s") }, fails: 1},
		"a trip":                {s: Settings{FailMax: 3}, before: "ff", act: func(b *Breaker) { play(b, "f") }, change: func(b *Breaker) { play(b, "s") }, fails: 1},
		"a trip, with a window": {s: Settings{FailMax: 3, FailureRate: 1, MinCalls: 100}, before: "ff", act: func(b *Breaker) { play(b, "f") }, change: func(b *Breaker) { b.edit(0, flagCheckCtx) }, fails: 3, state: Open},
	} {
		t.Run(name, func(t *testing.T) {
			if c.s == (Settings{}) {
				c.s.FailMax = 9
			}
			b := New("b", c.s)
			play(b, c.before)
			if c.change == nil {
				c.change = fail
			}
			b.edit(0, c.noFlags)
			interrupted(t, 1, func() { c.act(b) }, func() { c.change(b) })
			if got := b.FailCount(); got != c.fails || b.State() != c.state {
				t.Errorf("%s with %d failures, want %s with %d", b.State(), got, c.state, c.fails)
			}
			if w := b.load(); w&c.flags != c.flags || w&c.noFlags != 0 || w&flagHeld != 0 {
				t.Errorf("the word is %x, want flags %x and none of %x", w, c.flags, c.noFlags)
			}
		})
	}
}

// A failure just before the swap that evicts its key keeps the key, and one just
// after a look-up has brought the key back finds it.
func TestWordKeepsKeysWithEvidence(t *testing.T) {
	set := NewSet[string]("s", Settings{}, SetOptions{})
	b := set.Breaker("k")
	sh := set.shard("k")
	evicted := true
	interrupted(t, 1, func() { evicted = set.evict(sh, "k", b) }, func() { play(b, "f") })
	if evicted || set.kept("k") != b || len(sh.evicted.m) != 0 || len(set.evicted.keys.m) != 0 || set.evidence.Load() != 1 {
		t.Errorf("evicted: %v, kept: %v, evidence of %d keys", evicted, set.kept("k"), set.evidence.Load())
	}
	play(b, "s")
	if !set.evict(sh, "k", b) || set.evidence.Load() != 0 {
		t.Errorf("afterwards it is not evicted: evidence of %d keys", set.evidence.Load())
	}
	// The failure comes to a key that a look-up has brought back meanwhile.
	interrupted(t, 1, func() { play(b, "f") }, func() { set.Breaker("k") })
	if set.kept("k") != b || set.Len() != 1 || set.evidence.Load() != 1 || b.FailCount() != 1 || b.load()&flagEvicted != 0 {
		t.Errorf("%d keys, evidence of %d, word %x", set.Len(), set.evidence.Load(), b.load())
	}
}
