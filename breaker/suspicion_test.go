package breaker

import (
	"errors"
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

// Half of the breakers within five seconds are suspect: said once, the earlier
// ones marked too, and the later ones of the episode as they come.
func TestSuspectLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, bs := crew(t, 10)
		var told []Suspicion
		m.OnSuspicion(func(s Suspicion) { told = append(told, s) })
		for i, b := range bs[:4] {
			play(b, "f.")
			if n := suspects(bs); n != 0 || len(told) != 0 {
				t.Fatalf("%d trips: %d suspect, told %v", i+1, n, told)
			}
		}
		began := time.Now()
		play(bs[4], "f")
		if n := suspects(bs); n != 5 || len(told) != 1 {
			t.Fatalf("5 trips of 10: %d suspect, told %v", n, told)
		}
		want := Suspicion{At: began, Opened: 5, Of: 10}
		if got, ok := m.Suspicion(); !ok || got != want || told[0] != want {
			t.Errorf("suspicion %+v, told %+v, want %+v", got, told, want)
		}
		if got, want := want.String(), "5 of 10 independent breakers tripped within 5s: check this process and its network first"; got != want {
			t.Errorf("String: %s", got)
		}
		play(bs[5], "f")
		play(bs[6], "f")
		if n := suspects(bs); n != 7 || len(told) != 1 {
			t.Errorf("two more: %d suspect, told %d times", n, len(told))
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
		// A second episode, later, is told again.
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, b := range bs {
			b.Close(Order{})
		}
		for _, b := range bs[:5] {
			play(b, "f")
		}
		if len(told) != 2 {
			t.Errorf("told %d times of two episodes", len(told))
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
				m.OnSuspicion(func(s Suspicion) { t.Errorf("told of %v", s) })
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
		m.OnSuspicion(func(s Suspicion) { t.Errorf("told of %v", s) })
		play(bs[0], "f")
		play(bs[1], "f")
	})
}

// A function of OnSuspicion that panics is counted, with what tripped the last.
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
