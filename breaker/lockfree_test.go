package breaker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is counted without the lock, and what takes it.
func TestCountedAlone(t *testing.T) {
	plain := Settings{FailMax: 10}
	for name, tt := range map[string]struct {
		s       Settings
		prepare func(b *Breaker)
		outcome Outcome
		tag     permitTag
		alone   bool
		fails   int // afterwards
	}{
		"a first failure":           {s: plain, outcome: Failure, alone: true, fails: 1},
		"a sixth failure":           {s: plain, prepare: func(b *Breaker) { play(b, "fffff") }, outcome: Failure, alone: true, fails: 6},
		"a seventh failure":         {s: plain, prepare: func(b *Breaker) { play(b, "ffffff") }, outcome: Failure, alone: true, fails: 7},
		"an eighth, to be recorded": {s: plain, prepare: func(b *Breaker) { play(b, "fffffff") }, outcome: Failure, fails: 7},
		"success after failures":    {s: plain, prepare: func(b *Breaker) { play(b, "ffffffff") }, outcome: Success, alone: true},
		"no evidence":               {s: plain, prepare: func(b *Breaker) { play(b, "ff") }, outcome: Ignored, alone: true, fails: 2},
		"the rule is off":           {s: Settings{FailMax: -1}, outcome: Failure},
		"a rate":                    {s: Settings{FailMax: 10, FailureRate: 1}, outcome: Failure},
		"a rate of calls, clean":    {s: Settings{FailMax: 10, FailureRate: 1, WindowCalls: 1}, prepare: func(b *Breaker) { play(b, "s") }, outcome: Failure},
		"evicted":                   {s: plain, prepare: func(b *Breaker) { b.edit(0, flagEvicted) }, outcome: Failure, alone: true, fails: 1},
		"open":                      {s: plain, prepare: func(b *Breaker) { b.Open(Order{}) }, outcome: Success},
		"half-open":                 {s: plain, prepare: func(b *Breaker) { b.HalfOpen(Order{}) }, outcome: Success},
		"forced open":               {s: plain, prepare: func(b *Breaker) { b.ForceOpen(Order{}) }, outcome: Success},
		"forced closed":             {s: plain, prepare: func(b *Breaker) { b.ForceClosed(Order{}) }, outcome: Success},
		"a move is being recorded":  {s: plain, prepare: func(b *Breaker) { b.edit(0, flagHeld) }, outcome: Failure},
		"ramping": {s: Settings{FailMax: 10, Ramp: time.Hour, ResetTimeout: 1}, prepare: func(b *Breaker) {
			b.Open(Order{})
			time.Sleep(time.Second)
			play(b, "s")
		}, outcome: Failure},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("b", tt.s)
			if tt.prepare != nil {
				tt.prepare(b)
			}
			p := Permit{b: b, word: b.load(), tag: tt.tag}
			before := unitsOf(b.load())
			if got := b.countedAlone(&p, tt.outcome); got != tt.alone {
				t.Errorf("%s: counted without the lock: %v, want %v", name, got, tt.alone)
			}
			if got := unitsOf(b.load()); got != tt.fails && tt.alone || got != before && !tt.alone {
				t.Errorf("%s: %d failures, from %d", name, got, before)
			}
			p.word -= withGen(1)
			if b.countedAlone(&p, tt.outcome) {
				t.Errorf("%s: of another generation, and counted (I1)", name)
			}
		})
	}
}

// Failures that are counted without the lock and with it at the same time,
// while flags change and decisions are made, are all counted.
func TestNoFailureIsLost(t *testing.T) {
	const rounds, callers = 300, 8
	for name, beside := range map[string]func(b *Breaker){
		"alone":             func(*Breaker) {},
		"listeners":         func(b *Breaker) { b.AddListener(Listener{Success: func(*Breaker) {}})() },
		"settings":          func(b *Breaker) { s := b.Settings(); s.Probes++; _ = b.Update(s) },
		"a set's listeners": func(b *Breaker) { b.cfg.setListener(&Listener{}, true); b.refresh() },
		"overrides":         func(b *Breaker) { b.ForceOpen(Order{}); b.Release(Order{}) },
	} {
		t.Run(name, func(t *testing.T) {
			for range rounds {
				// The last of them take the lock.
				b := New("b", Settings{FailMax: callers + 1})
				var ready, over sync.WaitGroup
				ready.Add(1)
				for i := range callers {
					p, _ := b.Allow()
					over.Go(func() {
						ready.Wait()
						p.Done(errX)
						if i%4 == 0 {
							beside(b)
						}
					})
				}
				ready.Done()
				over.Wait()
				if got := b.FailCount(); got != callers || b.State() != Closed {
					t.Fatalf("%d failures and %s, want %d and closed", got, b.State(), callers)
				}
				play(b, "f")
				all := b.History()
				if last := all[len(all)-1]; last.To != Open || last.Fails != callers+1 {
					t.Fatalf("the record is %+v, want %d failures", last, callers+1)
				}
			}
		})
	}
}

// Changing flags never overwrites a failure, and is not lost to one.
func TestEditKeepsFailures(t *testing.T) {
	const callers, edits = 3, 50_000
	b := New("b", Settings{FailMax: maxFailMax})
	var over sync.WaitGroup
	var begun, counted atomic.Int64
	var done atomic.Bool
	for range callers {
		over.Go(func() {
			p := Permit{b: b, word: b.load()}
			begun.Add(1)
			// Fewer than would open the breaker, and fewer at a time than a
			// time slice lets through.
			for n := 1; !done.Load() && counted.Load() < maxFailMax-100; n++ {
				if b.countedAlone(&p, Failure) {
					counted.Add(1)
				}
				if n%100 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for begun.Load() < callers {
		runtime.Gosched()
	}
	for n := range edits {
		b.mu.Lock()
		b.edit(flagTimed, flagWatched)
		if w := b.load(); w&flagWatched == 0 || w&flagTimed != 0 {
			t.Fatalf("after edit %d the flags are %b", n, w&(flagWatched|flagTimed))
		}
		b.edit(flagWatched, flagTimed)
		b.mu.Unlock()
		if n%100 == 0 {
			runtime.Gosched()
		}
	}
	done.Store(true)
	over.Wait()
	if got := b.FailCount(); got != int(counted.Load()) || got == 0 {
		t.Errorf("%d failures are kept of %d", got, counted.Load())
	}
}

// From the decision to move until the new word is stored, nothing is counted
// that the decision does not know about.
func TestMoveHoldsTheWord(t *testing.T) {
	for range 2000 {
		b := New("b", Settings{FailMax: maxFailMax})
		var over sync.WaitGroup
		begun := make(chan struct{})
		seen := 0
		over.Go(func() {
			close(begun)
			w := b.load()
			for n := 0; n < 200 && stateOf(w) == Closed; n++ {
				seen = unitsOf(w)
				play(b, "f")
				w = b.load()
			}
		})
		<-begun
		b.Open(Order{})
		over.Wait()
		if got := b.FailCount(); got < seen {
			t.Fatalf("%d failures were seen, %d are kept", seen, got)
		}
	}
}

// A failure that is counted while a decision is made, or while the count is
// converted to other units, is not lost (I11).
func TestFailureDuringADecision(t *testing.T) {
	const n = 10_000
	for name, during := range map[string]func(*Breaker){
		"opened":    func(b *Breaker) { _ = b.Open(Order{}) },
		"converted": func(b *Breaker) { _ = b.Update(Settings{FailMax: 100, SuccessesToForgive: 2}) },
	} {
		all := make([]*Breaker, n)
		for i := range all {
			all[i] = New("b", Settings{FailMax: 100})
			play(all[i], "f")
		}
		counted := make([]bool, n)
		abreast(n, func(i int) {
			p := Permit{b: all[i]}
			linger(i)
			counted[i] = all[i].countedAlone(&p, Failure)
		}, func(i int) { during(all[i]) })
		for i, b := range all {
			if counted[i] && b.FailCount() < 2 {
				t.Fatalf("%s: %d failures, want 2", name, b.FailCount())
			}
		}
	}
}
