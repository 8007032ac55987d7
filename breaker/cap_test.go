package breaker

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The cap holds, whoever comes first, for trips but not for orders, and a
// breaker that it holds closed goes on counting and opens when there is room.
func TestCapOpen(t *testing.T) {
	m, bs := crew(t, 10)
	m.CapOpen(0.3)
	for _, b := range bs {
		play(b, "ff")
	}
	open := 0
	for _, b := range bs {
		open += btoi(b.State() == Open)
	}
	if open != 3 || bs[3].State() != Closed || bs[3].FailCount() != 2 {
		t.Fatalf("%d open, the fourth is %s with %d failures", open, bs[3].State(), bs[3].FailCount())
	}
	bs[9].Open(Order{})
	is(t, bs[9], Open)
	bs[9].Close(Order{})
	bs[0].Close(Order{})
	play(bs[3], "f")
	is(t, bs[3], Open)
	play(bs[4], "f")
	is(t, bs[4], Closed)
	m.CapOpen(0)
	play(bs[4], "f")
	is(t, bs[4], Open)
}

// Shares are met exactly, as rates are, and leave one breaker its use.
func TestCapOpenIsExact(t *testing.T) {
	for _, c := range []struct {
		share   float64
		of, cap int
	}{{0.29, 100, 29}, {0.07, 100, 7}, {0.5, 9, 4}, {1, 5, 5}, {0.1, 30, 3}, {0.1, 5, 1}, {0.5, 1, 1}} {
		m, bs := crew(t, c.of)
		m.CapOpen(c.share)
		open := 0
		for _, b := range bs {
			play(b, "f")
			open += btoi(b.State() == Open)
		}
		if open != c.cap {
			t.Errorf("%v of %d: %d open, want %d", c.share, c.of, open, c.cap)
		}
	}
}

// Trips at the same moment do not slip past the cap together.
func TestCapOpenUnderConcurrency(t *testing.T) {
	for range 200 {
		m, bs := crew(t, 8)
		m.CapOpen(0.25)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for _, b := range bs {
			wg.Go(func() { <-start; play(b, "f") })
		}
		close(start)
		wg.Wait()
		open := 0
		for _, b := range bs {
			open += btoi(b.State() == Open)
		}
		if open != 2 {
			t.Fatalf("%d of 8 are open, the cap is 2", open)
		}
	}
}

// A breaker that reopens is one open breaker, not two: the cap has room again
// when it has closed.
func TestCapForgetsWhatHasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 2)
		m.CapOpen(0.5)
		reopen := "f" + strings.Repeat(".", 10)
		play(bs[0], reopen+reopen+reopen+"s")
		is(t, bs[0], Closed)
		play(bs[1], "f")
		is(t, bs[1], Open)
	})
}

// The keys of a set are limited among themselves, and count as one beside the
// manager's breakers: from half of them on.
func TestCapOnKeysOfOneSet(t *testing.T) {
	m, bs := crew(t, 1)
	m.CapOpen(0.5)
	set := SetOf[int](m, "s")
	for k := range 4 {
		set.Breaker(k)
	}
	for k, want := range []State{Open, Open, Closed, Closed} {
		play(set.Breaker(k), "f")
		is(t, set.Breaker(k), want)
	}
	play(bs[0], "f") // two of four are open: so is the set
	is(t, bs[0], Closed)
	set.Breaker(0).Close(Order{})
	play(bs[0], "f")
	is(t, bs[0], Open)
	play(set.Breaker(2), "f") // with this one the set would be open again
	is(t, set.Breaker(2), Closed)
}

// A set's own cap goes before its manager's, and holds without a manager.
func TestCapOfASet(t *testing.T) {
	m := NewManager(Settings{FailMax: 1})
	m.CapOpen(0.9)
	managed, err := CreateSet[int](m, "s", Settings{FailMax: 1}, SetOptions{CapOpen: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]*Set[int]{"managed": managed, "alone": NewSet[int]("s", Settings{FailMax: 1}, SetOptions{CapOpen: 0.3})} {
		for k := range 10 {
			set.Breaker(k)
		}
		open := 0
		for k := range 10 {
			play(set.Breaker(k), "f")
			open += btoi(set.Breaker(k).State() == Open)
		}
		if open != 3 {
			t.Errorf("%s: %d of 10 keys are open, want 3", name, open)
		}
	}
}

// What rejects holds a place: a breaker whose open time is over, and that no one
// calls, does not; nor does a half-open one whose probe's lease has run out.
func TestCapCountsWhatRejects(t *testing.T) {
	for name, abandon := range map[string]func(*Breaker){
		"open":                        func(b *Breaker) { play(b, "f") },
		"open, a call was rejected":   func(b *Breaker) { play(b, "fs") },
		"half-open, a probe is lost":  func(b *Breaker) { play(b, "f.........."); _, _ = b.Allow() },
		"opened by order":             func(b *Breaker) { b.Open(Order{}) },
		"forced closed over an open":  func(b *Breaker) { play(b, "f"); b.ForceClosed(Order{}) },
		"half-open, a probe reported": func(b *Breaker) { b.HalfOpen(Order{}); p, _ := b.Allow(); p.Ignore() },
	} {
		synctest.Test(t, func(t *testing.T) {
			m, bs := crew(t, 4)
			m.CapOpen(0.25)
			abandon(bs[0])
			play(bs[1], "f")
			is(t, bs[1], Closed)
			s := bs[1].Status()
			if s.HeldBack != 1 || s.HeldBackSince.IsZero() || !strings.Contains(s.Explain(), "the cap keeps it closed") {
				t.Errorf("%s: held back %d times, %s", name, s.HeldBack, s.Explain())
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			play(bs[1], "f")
			is(t, bs[1], Open)
		})
	}
}

// The cap that is set while some are open counts them.
func TestCapOpenWhileSomeAreOpen(t *testing.T) {
	m, bs := crew(t, 4)
	play(bs[0], "f")
	m.CapOpen(0.25)
	play(bs[1], "f")
	is(t, bs[1], Closed)
	bs[0].Close(Order{})
	play(bs[1], "f")
	is(t, bs[1], Open)
}

// Listeners hear of a trip that is held back, once while it goes on.
func TestHeldBackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 4)
		m.CapOpen(0.25)
		var told []Transition
		m.AddListener(Listener{HeldBack: func(b *Breaker, t Transition) { told = append(told, t) }})
		bs[0].Open(Order{For: time.Hour})
		play(bs[1], "fff")
		if len(told) != 1 || told[0].Cause != CauseConsecutive || told[0].To != Open || len(told[0].Errors) != 1 {
			t.Fatalf("told %+v, want one trip", told)
		}
		time.Sleep(time.Minute)
		play(bs[1], "sf")
		if len(told) != 2 || bs[1].Status().HeldBack != 2 {
			t.Errorf("told %d times, want a second episode", len(told))
		}
		if len(bs[1].History()) != 0 {
			t.Errorf("what did not happen is on record: %+v", bs[1].History())
		}
	})
}

// A trip that the cap of open breakers forbids leaves a closed breaker that
// counts on.
func TestHeldByTheCap(t *testing.T) {
	m := NewManager(Settings{FailMax: 4})
	m.CapOpen(0.1)
	b, other := m.Breaker("b"), m.Breaker("other")
	other.Open(Order{})
	play(b, "ffff")
	if b.State() != Closed || b.load()&flagHeld != 0 || b.FailCount() != 4 {
		t.Errorf("%s after %d failures, word %x", b.State(), b.FailCount(), b.load())
	}
	if err := b.Do(t.Context(), nop); err != nil || b.FailCount() != 0 {
		t.Errorf("then %v and %d failures", err, b.FailCount())
	}
}
