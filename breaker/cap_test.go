package breaker

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The cap limits trips but not orders, in whatever order they come. A breaker
// that it keeps closed continues to count and opens when there is room.
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

// Shares are compared exactly, like rates, and one breaker may always open.
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

// Trips at the same moment do not exceed the cap together.
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
func TestCapHasRoomAfterClosing(t *testing.T) {
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

// The keys of a set are limited among themselves, and count as one of the
// manager's members once half of them are open.
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
	play(bs[0], "f") // two of four are open, so the set counts as open
	is(t, bs[0], Closed)
	set.Breaker(0).Close(Order{})
	play(bs[0], "f")
	is(t, bs[0], Open)
	play(set.Breaker(2), "f") // with this one the set would be open again
	is(t, set.Breaker(2), Closed)
}

// A set's own cap takes precedence over its manager's, and works without a
// manager.
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

// A breaker that rejects holds a place. A breaker whose open time is over and
// that is not called does not; nor does a half-open one whose probe's lease
// has run out.
func TestCapCountsRejectingBreakers(t *testing.T) {
	for name, abandon := range map[string]func(*Breaker){
		"open":                       func(b *Breaker) { play(b, "f") },
		"open, a call was rejected":  func(b *Breaker) { play(b, "fs") },
		"half-open, a probe is lost": func(b *Breaker) { play(b, "f.........."); _, _ = b.Allow() },
		"opened by order":            func(b *Breaker) { b.Open(Order{}) },
		"forced open for a time":     func(b *Breaker) { b.ForceOpen(Order{For: 30 * time.Second}) },
		"forced open over half-open": func(b *Breaker) { b.HalfOpen(Order{}); b.ForceOpen(Order{For: 30 * time.Second}) },
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

// What rejects nothing holds no place, whatever its automatic state.
func TestCapDoesNotCountWhatAdmits(t *testing.T) {
	for name, f := range map[string]func(*Breaker){
		"forced closed over an open":       func(b *Breaker) { play(b, "f"); b.ForceClosed(Order{}) },
		"tripped behind forced closed":     func(b *Breaker) { b.ForceClosed(Order{}); play(b, "f") },
		"half-open, a probe reported":      func(b *Breaker) { b.HalfOpen(Order{}); p, _ := b.Allow(); p.Ignore() },
		"forced open and released":         func(b *Breaker) { b.ForceOpen(Order{}); b.Release(Order{}) },
		"forced open and closed":           func(b *Breaker) { b.ForceOpen(Order{}); b.Close(Order{}) },
		"open, forced open and released":   func(b *Breaker) { play(b, "f"); b.ForceOpen(Order{}); b.Release(Order{}) },
		"forced open, then forced closed":  func(b *Breaker) { b.ForceOpen(Order{}); b.ForceClosed(Order{}) },
		"forced open until a moment ago":   func(b *Breaker) { b.ForceOpen(Order{For: time.Second}); wait(time.Second) },
		"held for no time by a fleet":      func(b *Breaker) { play(b, "f"); b.Peer().Hold(b.Status().Version, 0) },
		"open, forced open, then by order": func(b *Breaker) { play(b, "f"); b.ForceOpen(Order{}); b.Open(Order{For: 1}); wait(1) },
	} {
		synctest.Test(t, func(t *testing.T) {
			m, bs := crew(t, 4)
			m.CapOpen(0.25)
			f(bs[0])
			if play(bs[1], "f"); bs[1].State() != Open {
				t.Errorf("%s: it holds a place", name)
			}
		})
	}
}

// A breaker that is forced open without an end holds a place until it is released,
// whatever its probes do meanwhile. Behind forced-closed a trip needs no place.
func TestCapAndOverrides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 4)
		m.CapOpen(0.25)
		bs[0].HalfOpen(Order{})
		p, _ := bs[0].Allow()
		bs[0].ForceOpen(Order{})
		p.Done(errX)
		wait(1000 * time.Hour)
		play(bs[1], "f")
		is(t, bs[1], Closed)
		bs[2].ForceClosed(Order{})
		if play(bs[2], "f"); bs[2].Status().Auto != Open {
			t.Errorf("behind forced-closed it is %s", bs[2].Status().Auto)
		}
		bs[0].Release(Order{})
		play(bs[1], "f")
		is(t, bs[1], Open)
	})
}

// The cap that is set while some are open counts them.
func TestCapOpenWhileSomeAreOpen(t *testing.T) {
	for _, open := range []string{"tripped", "forced"} {
		m, bs := crew(t, 4)
		if open == "forced" {
			bs[0].ForceOpen(Order{})
		} else {
			play(bs[0], "f")
		}
		m.CapOpen(0.25)
		play(bs[1], "f")
		is(t, bs[1], Closed)
		bs[0].Close(Order{})
		play(bs[1], "f")
		is(t, bs[1], Open)
	}
}

// Listeners are notified of a trip that is held back, once while it continues.
func TestHeldBackIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 4)
		m.CapOpen(0.25)
		var received []Transition
		m.AddListener(Listener{HeldBack: func(b *Breaker, t Transition) { received = append(received, t) }})
		bs[0].Open(Order{For: time.Hour})
		play(bs[1], "fff")
		if len(received) != 1 || received[0].Cause != CauseConsecutive || received[0].To != Open || len(received[0].Errors) != 1 {
			t.Fatalf("received %+v, want one trip", received)
		}
		time.Sleep(time.Minute)
		play(bs[1], "sf")
		if len(received) != 2 || bs[1].Status().HeldBack != 2 {
			t.Errorf("received %d times, want a second episode", len(received))
		}
		if len(bs[1].History()) != 0 {
			t.Errorf("what did not happen is on record: %+v", bs[1].History())
		}
	})
}

// A trip that the cap forbids leaves a closed breaker that continues to count.
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

// A key with settings of its own is held back for its own open time, and by
// its own window.
func TestHeldBackByOwnSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[string]("s", Settings{FailMax: 1, ResetTimeout: time.Hour}, SetOptions{CapOpen: 0.1})
		var received []Transition
		set.AddListener(Listener{HeldBack: func(_ *Breaker, t Transition) { received = append(received, t) }})
		b := set.Breaker("own")
		if err := b.Update(Settings{FailMax: 1, FailureRate: 1, Window: 30 * time.Second, ResetTimeout: 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		_ = set.Breaker("other").Open(Order{For: time.Hour})
		play(b, "f.f.f....f")
		if len(received) != 2 || b.Status().HeldBack != 2 {
			t.Fatalf("received %d times, want 2: there is more than an open time between the last two trips", len(received))
		}
		if received[0].Window != 30*time.Second {
			t.Errorf("the trip shows a window of %s, want 30s", received[0].Window)
		}
		if at := b.Status().HeldBackSince; time.Since(at) != 0 {
			t.Errorf("held back for %s, want since now", time.Since(at))
		}
	})
}

// A breaker that was removed from its manager no longer counts for the
// manager's cap, whatever happens to it before and after.
func TestCapOfRemovedBreakers(t *testing.T) {
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

// Places end one by one, each at its own time.
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

// An episode continues if the breaker is held back again within an open time,
// and is logged once.
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

// A set counts as open, once, if half of its keys are open, but not while it
// is empty. Its own cap may allow more.
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

// The manager's cap is nothing to a set that was removed from it.
func TestCapOfARemovedSet(t *testing.T) {
	m, bs := crew(t, 2)
	m.CapOpen(0.5)
	set := SetOf[int](m, "s")
	for k := range 2 {
		set.Breaker(k)
	}
	play(bs[0], "f")
	m.Remove("s")
	play(set.Breaker(0), "f")
	is(t, set.Breaker(0), Open)
}

// A first episode is one even if the open time has no end.
func TestHeldBackWithoutAnEnd(t *testing.T) {
	m, bs := crew(t, 1)
	m.CapOpen(0.5)
	b, err := m.Create("b", Settings{FailMax: 1, ResetTimeout: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	_ = bs[0].Open(Order{For: time.Hour})
	play(b, "ff")
	if s := b.Status(); s.State != Closed || s.HeldBack != 1 || s.HeldBackSince.IsZero() {
		t.Errorf("%s, held back %d times, since %s", s.State, s.HeldBack, s.HeldBackSince)
	}
}

// The cap limits what leaves closed. What is open or half-open moves on, however
// many hold a place.
func TestCapLimitsTripsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 4)
		m.CapOpen(0.25)
		for _, b := range bs[:3] {
			_ = b.Open(Order{For: time.Second})
		}
		_ = bs[3].ForceOpen(Order{})
		wait(time.Second)
		play(bs[0], "f")
		is(t, bs[0], Open) // again
		play(bs[1], "s")
		is(t, bs[1], Closed)
		_, _ = bs[2].Allow()
		is(t, bs[2], HalfOpen)
	})
}

// A place is held as long as any probe is out.
func TestCapWithTwoProbes(t *testing.T) {
	m, bs := crew(t, 1)
	m.CapOpen(0.5)
	b, err := m.Create("b", Settings{Probes: 2})
	if err != nil {
		t.Fatal(err)
	}
	_ = b.HalfOpen(Order{})
	first, _ := b.Allow()
	second, _ := b.Allow()
	first.Ignore()
	play(bs[0], "f")
	is(t, bs[0], Closed)
	second.Ignore()
	play(bs[0], "f")
	is(t, bs[0], Open)
}

// Attempts that follow each other within an open time are one episode, however
// long it lasts. Their number outlasts that the breaker opens and closes.
func TestHeldBackEpisode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 4)
		m.CapOpen(0.25)
		_ = bs[0].Open(Order{For: time.Hour})
		for range 10 {
			play(bs[1], "f")
			time.Sleep(8 * time.Second) // of 10
		}
		if got := bs[1].Status(); got.HeldBack != 1 || time.Since(got.HeldBackSince) != 80*time.Second {
			t.Errorf("%d episodes, the last since %s, want 1 since 80s", got.HeldBack, time.Since(got.HeldBackSince))
		}
		_ = bs[1].Open(Order{})
		_ = bs[1].Close(Order{})
		if got := bs[1].Status(); got.HeldBack != 1 || !got.HeldBackSince.IsZero() {
			t.Errorf("after a close %d episodes, since %s", got.HeldBack, got.HeldBackSince)
		}
	})
}
