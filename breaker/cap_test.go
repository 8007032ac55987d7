package breaker

import (
	"bytes"
	"log/slog"
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

// A key with settings of its own is held back for as long as its own open time,
// and by its own window.
func TestHeldBackByOwnSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[string]("s", Settings{FailMax: 1, ResetTimeout: time.Hour}, SetOptions{CapOpen: 0.1})
		var told []Transition
		set.AddListener(Listener{HeldBack: func(_ *Breaker, t Transition) { told = append(told, t) }})
		b := set.Breaker("own")
		if err := b.Update(Settings{FailMax: 1, FailureRate: 1, Window: 30 * time.Second, ResetTimeout: 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		_ = set.Breaker("other").Open(Order{For: time.Hour})
		play(b, "f.f.f....f")
		if len(told) != 2 || b.Status().HeldBack != 2 {
			t.Fatalf("told %d times, want 2: there is more than an open time between the last two trips", len(told))
		}
		if told[0].Window != 30*time.Second {
			t.Errorf("the trip shows a window of %s, want 30s", told[0].Window)
		}
		if at := b.Status().HeldBackSince; time.Since(at) != 0 {
			t.Errorf("held back for %s, want since now", time.Since(at))
		}
	})
}

// What was removed from its manager is none of the breakers that its cap is
// about, whatever happens to it before and after.
func TestCapOfWhatWasRemoved(t *testing.T) {
	for name, c := range map[string]struct{ before, after func(b *Breaker) }{
		"open before":     {before: func(b *Breaker) { play(b, "f") }},
		"trips":           {after: func(b *Breaker) { play(b, "f") }},
		"trips twice":     {after: func(b *Breaker) { play(b, "f..........f") }},
		"is opened":       {after: func(b *Breaker) { _ = b.Open(Order{}) }},
		"has a probe out": {after: func(b *Breaker) { _ = b.HalfOpen(Order{}); _, _ = b.Allow() }},
		"goes on probing": {before: func(b *Breaker) { _ = b.HalfOpen(Order{}) }, after: func(b *Breaker) { _, _ = b.Allow() }},
		"is held by a peer": {after: func(b *Breaker) {
			_ = b.Open(Order{})
			b.Peer().Hold(b.Status().Version, time.Hour)
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, bs := crew(t, 3)
			m.CapOpen(0.25)
			if c.before != nil {
				c.before(bs[0])
			}
			m.Remove(bs[0].Name())
			if c.after != nil {
				c.after(bs[0])
			}
			play(bs[1], "f")
			if bs[1].State() != Open {
				t.Errorf("%s: the cap counts a breaker that was removed", name)
			}
			_ = bs[0].Close(Order{}) // and does not hold it back
			play(bs[0], "f")
			if bs[0].State() != Open {
				t.Errorf("%s: the cap holds back a breaker that was removed", name)
			}
		})
	}
	m, bs := crew(t, 2)
	m.CapOpen(0.5)
	for _, name := range []string{"s", "other"} {
		set := SetOf[int](m, name)
		play(set.Breaker(1), "f")
	}
	m.Remove("s")
	play(bs[0], "f") // one of three, beside the other set
	is(t, bs[0], Closed)
	m.Remove("other")
	play(bs[0], "f")
	is(t, bs[0], Open)
}

// Places end one by one, each in its own time.
func TestCapPlacesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 6)
		m.CapOpen(0.5)
		for i, d := range []time.Duration{time.Hour, time.Second, time.Minute} {
			_ = bs[i].Open(Order{For: d})
		}
		play(bs[3], "f")
		is(t, bs[3], Closed)
		wait(time.Second)
		play(bs[3], "f") // for ten seconds
		is(t, bs[3], Open)
		play(bs[4], "f")
		is(t, bs[4], Closed)
		wait(10 * time.Second)
		play(bs[4], "f")
		is(t, bs[4], Open)
	})
}

// What is held back again within an open time goes on, and is logged once.
func TestHeldBackIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := NewManager(Settings{FailMax: 1, ResetTimeout: 10 * time.Second}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		m.CapOpen(0.1)
		_ = m.Breaker("other").Open(Order{For: time.Hour})
		log.Reset()
		b := m.Breaker("b")
		play(b, "f..........f")
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "breaker=b") || !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("logged %q, want one warning about b", log.String())
		}
		if play(b, "...........f"); b.Status().HeldBack != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("held back %d times and logged %q, want 2 and two lines", b.Status().HeldBack, log.String())
		}
	})
}

// A set counts as open from half of its keys on, once, and not while it is
// empty. What its own cap allows beyond that is its own affair.
func TestCapOfSetsTogether(t *testing.T) {
	set := func(m *Manager, name string, keys int) []*Breaker {
		s, err := CreateSet[int](m, name, Settings{FailMax: 1}, SetOptions{CapOpen: 1})
		if err != nil {
			t.Fatal(err)
		}
		for k := range keys {
			s.Breaker(k)
		}
		return s.Breakers()
	}
	for name, c := range map[string]struct {
		share float64
		keys  [2]int // of two sets, beside one breaker
		open  [2]int
		alone State
	}{
		"a set that is open may open further": {0.3, [2]int{4, 4}, [2]int{4, 1}, Closed},
		"two may be open":                     {0.7, [2]int{4, 4}, [2]int{4, 4}, Closed},
		"an empty set is not open":            {0.7, [2]int{4, 0}, [2]int{4, 0}, Open},
		"no limit":                            {0, [2]int{4, 4}, [2]int{4, 4}, Open},
	} {
		m, bs := crew(t, 1)
		m.CapOpen(c.share)
		sets := [2][]*Breaker{set(m, "one", c.keys[0]), set(m, "other", c.keys[1])}
		for i, keys := range sets {
			open := 0
			for _, b := range keys {
				play(b, "f")
				open += btoi(b.State() == Open)
			}
			if open != c.open[i] {
				t.Errorf("%s: %d of set %d are open, want %d", name, open, i, c.open[i])
			}
		}
		if play(bs[0], "f"); bs[0].State() != c.alone {
			t.Errorf("%s: the breaker is %s, want %s", name, bs[0].State(), c.alone)
		}
	}
	s := NewSet[int]("s", Settings{FailMax: 1}, SetOptions{CapOpen: 0.8})
	for k := range 10 {
		s.Breaker(k)
	}
	for k := range 10 {
		play(s.Breaker(k), "f")
		if got, want := s.Breaker(k).State() == Open, k < 8; got != want {
			t.Errorf("without a manager: key %d is open: %v, want %v", k, got, want)
		}
	}
}
