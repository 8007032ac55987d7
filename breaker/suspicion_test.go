package breaker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func suspects(bs []*Breaker) (n int) {
	for _, b := range bs {
		for _, h := range b.History() {
			n += btoi(h.SuspectLocal)
		}
	}
	return n
}

// If half of the breakers trip within five seconds, all are suspect: reported
// once, the earlier trips are marked too, and the later ones of the episode as
// they occur.
func TestSuspectLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 10)
		var received []Suspicion
		m.OnSuspicion(func(s Suspicion) { received = append(received, s) })
		for i, b := range bs[:4] {
			play(b, "f.")
			if n := suspects(bs); n != 0 || len(received) != 0 {
				t.Fatalf("%d trips: %d suspect, received %v", i+1, n, received)
			}
		}
		began := time.Now()
		play(bs[4], "f")
		if n := suspects(bs); n != 5 || len(received) != 1 {
			t.Fatalf("5 trips of 10: %d suspect, received %v", n, received)
		}
		want := Suspicion{At: began, Opened: 5, Of: 10}
		if got, ok := m.Suspicion(); !ok || got != want || received[0] != want {
			t.Errorf("suspicion %+v, received %+v, want %+v", got, received, want)
		}
		if got, want := want.String(), "5 of 10 independent breakers tripped within 5s: check this process and its network first"; got != want {
			t.Errorf("String: %s", got)
		}
		play(bs[5], "f")
		play(bs[6], "f")
		if n := suspects(bs); n != 7 || len(received) != 1 {
			t.Errorf("two more: %d suspect, received %d times", n, len(received))
		}
		for _, b := range bs[:7] {
			s := b.Status()
			if !strings.Contains(s.Explain(), "check this process first") {
				t.Errorf("%s", s.Explain())
			}
			var open *OpenError
			if _, err := b.Allow(); err == nil || !errors.As(err, &open) || !open.Transition.SuspectLocal {
				t.Errorf("%s: the rejection's cause is not marked: %v", b.Name(), err)
			}
		}
		// A second episode, later, is reported again.
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, b := range bs {
			b.Close(Order{})
		}
		for _, b := range bs[:5] {
			play(b, "f")
		}
		if len(received) != 2 {
			t.Errorf("received %d times of two episodes", len(received))
		}
	})
}

func TestNotSuspect(t *testing.T) {
	for name, c := range map[string]func(t *testing.T, m *Manager, bs []*Breaker){
		"too few": func(_ *testing.T, _ *Manager, bs []*Breaker) {
			for _, b := range bs[:4] {
				play(b, "f")
			}
		},
		"too slow": func(_ *testing.T, _ *Manager, bs []*Breaker) {
			for _, b := range bs {
				play(b, "f..")
			}
		},
		"orders": func(_ *testing.T, _ *Manager, bs []*Breaker) {
			for _, b := range bs {
				b.Open(Order{})
			}
		},
		"one again and again": func(_ *testing.T, _ *Manager, bs []*Breaker) {
			for range 20 {
				play(bs[0], "f")
				bs[0].Close(Order{})
			}
		},
		"failed probes": func(_ *testing.T, _ *Manager, bs []*Breaker) {
			for _, b := range bs {
				b.HalfOpen(Order{})
				play(b, "f")
			}
		},
		"keys of one set": func(t *testing.T, m *Manager, _ []*Breaker) {
			s, err := CreateSet[int](m, "keyed", Settings{FailMax: 1}, SetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for k := range 100 {
				_ = s.Do(t.Context(), k, broken)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, bs := crew(t, 9)
				m.OnSuspicion(func(s Suspicion) { t.Errorf("received %v", s) })
				c(t, m, bs)
				if n := suspects(bs); n != 0 {
					t.Errorf("%d transitions are suspect", n)
				}
				if s, ok := m.Suspicion(); ok {
					t.Errorf("suspicion %v", s)
				}
			})
		})
	}
	t.Run("two of two", func(t *testing.T) {
		m, bs := crew(t, 2)
		m.OnSuspicion(func(s Suspicion) { t.Errorf("received %v", s) })
		play(bs[0], "f")
		play(bs[1], "f")
	})
}

// A panic in the function of OnSuspicion is counted for the breaker that
// tripped last.
func TestOnSuspicionPanics(t *testing.T) {
	m, bs := crew(t, 3)
	m.OnSuspicion(func(Suspicion) { panic("oh") })
	for _, b := range bs {
		play(b, "f")
	}
	for i, b := range bs {
		if n, want := b.Status().Panics, uint64(btoi(i == 2)); n != want {
			t.Errorf("%s: %d panics, want %d", b.Name(), n, want)
		}
	}
}

// Those who listen hear of each trip, marked if it is one of many; what a fleet
// opened, and what was removed, is heard of without being counted.
func TestListenersAndSuspicion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 5)
		heard := map[string][]bool{} // whether each trip was marked
		for _, b := range bs {
			b.AddListener(Listener{StateChange: func(b *Breaker, t Transition) { heard[b.ID()] = append(heard[b.ID()], t.SuspectLocal) }})
		}
		play(bs[0], "f")
		if _, err := bs[1].Peer().Open(1, time.Hour, Peers{}, Counts{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it does not wait for its listeners
		m.Remove("b02")
		play(bs[2], "f")
		play(bs[3], "f")
		if _, found := m.Suspicion(); found {
			t.Error("two trips, a fleet's and a removed one's are suspect")
		}
		play(bs[4], "f")
		if got, want := fmt.Sprint(heard), "map[b00:[false] b01:[false] b02:[false] b03:[false] b04:[true]]"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		for i, want := range []bool{true, false, false, true, true} {
			s := bs[i].Status()
			if s.Transition.SuspectLocal != want || s.Opened.SuspectLocal != want || bs[i].History()[0].SuspectLocal != want || s.Panics != 0 {
				t.Errorf("%s: marked in Transition %v, in Opened %v, in the history %v, want %v; %d panics",
					s.ID, s.Transition.SuspectLocal, s.Opened.SuspectLocal, bs[i].History()[0].SuspectLocal, want, s.Panics)
			}
		}
	})
}

// Trips are together up to five seconds apart.
func TestTripsTogether(t *testing.T) {
	for apart, want := range map[time.Duration]bool{tripsTogether: true, tripsTogether + 1: false} {
		synctest.Test(t, func(t *testing.T) {
			m, bs := crew(t, 3)
			play(bs[0], "f")
			time.Sleep(apart)
			play(bs[1], "f")
			play(bs[2], "f")
			if _, found := m.Suspicion(); found != want {
				t.Errorf("%s apart: suspect %v, want %v", apart, found, want)
			}
		})
	}
}

// The call that begins an episode marks a bounded number of earlier trips, the
// newest ones: it waits meanwhile. The trips after it are marked as they occur.
func TestMarksAreBounded(t *testing.T) {
	m, bs := crew(t, 2)
	set := SetOf[int](m, "keyed")
	for k := range 3 * mostMarked {
		play(set.Breaker(k), "f")
	}
	play(bs[0], "f")
	play(bs[1], "f") // two of three members, with the set all of them
	for k := range 3 * mostMarked {
		if got, want := set.Breaker(k).Status().Transition.SuspectLocal, k > 2*mostMarked; got != want {
			t.Fatalf("the trip of key %d is marked: %v, want the newest %d of them and the one beside", k, got, mostMarked)
		}
	}
	if n := suspects(bs); n != 2 {
		t.Errorf("%d of the others are marked, want 2", n)
	}
	later := set.Breaker(-1)
	play(later, "f")
	if !later.Status().Transition.SuspectLocal {
		t.Error("a trip after the beginning of the episode is not marked")
	}
}

// What is remembered of trips does not grow with them, and a manager that is
// quiet for a while remembers none.
func TestTripsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 100)
		for range 3 * mostMarked {
			play(bs[0], "f")
			_ = bs[0].Close(Order{})
		}
		s := &m.suspicion
		if n := s.tripped.root.len(); n != 1 || len(s.newest) != 1 || len(s.trips) != mostMarked {
			t.Errorf("%d members are counted, %d known, with %d trips; want 1, 1 and %d", n, len(s.newest), len(s.trips), mostMarked)
		}
		wait(time.Minute)
		play(bs[1], "f")
		if n := s.tripped.root.len(); n != 1 || len(s.newest) != 1 || len(s.trips) != 1 {
			t.Errorf("a minute later %d members are counted, %d known, with %d trips; want 1 of each", n, len(s.newest), len(s.trips))
		}
	})
}

// A listener receives the transition of its own breaker, marked, also if it
// reveals those of others and an earlier one of its own.
func TestSuspectIsDelivered(t *testing.T) {
	m, bs := crew(t, 8)
	b := bs[0]
	var got []Transition
	b.AddListener(Listener{StateChange: func(_ *Breaker, x Transition) { got = append(got, x) }})
	for _, b := range bs[:3] {
		play(b, "f")
	}
	m.Remove(bs[6].Name())
	m.Remove(bs[7].Name())
	_ = b.Close(Order{})
	play(b, "f") // 3 of 6
	h := b.History()
	if len(got) != 3 || got[2].Version != h[2].Version || !got[2].SuspectLocal || !h[0].SuspectLocal || h[1].SuspectLocal || !h[2].SuspectLocal {
		t.Errorf("received %+v, on record are %+v", got, h)
	}
}

// A breaker that tripped twice counts as long as its second trip is recent.
func TestSuspicionOfASecondTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 6)
		play(bs[0], "f")
		time.Sleep(3 * time.Second)
		_ = bs[0].Close(Order{})
		play(bs[0], "f")
		time.Sleep(3 * time.Second) // the first trip is 6s ago
		play(bs[1], "f")
		play(bs[2], "f")
		if got, ok := m.Suspicion(); !ok || got.Opened != 3 {
			t.Errorf("%+v, want three that tripped together", got)
		}
	})
}
