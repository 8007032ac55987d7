package breaker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What Shadows says is exact, for periods that are over and for those that are
// not, and adds up over several of them and over the cells of its counters.
func TestShadowStatusAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", Settings{FailMax: 2, ResetTimeout: 10 * time.Second})
		time.Sleep(time.Second)
		_ = b.Shadow("x", Settings{FailMax: 1, ResetTimeout: time.Hour})
		shadow := func() *judge { return b.cold.Load().shadows.Load().judges[0] }
		check := func(want ShadowStatus) {
			t.Helper()
			got := b.Shadows()[0]
			want.Name, want.Settings, want.Since = got.Name, got.Settings, got.Since
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		second := func(n time.Duration) { time.Sleep(n * time.Second) }
		cycle := func() {
			play(b, "f") // the shadow opens
			second(3)
			play(b, "f") // so does the breaker
			second(4)
		}
		cycle()
		play(b, "ss") // rejected
		check(ShadowStatus{Open: 1, Trips: 1, OpenFor: 7 * time.Second, Saw: 2, RejectedBad: 1, Refused: 2, Blind: 4 * time.Second, RealTrips: 1, Earlier: 1, Lead: 3 * time.Second})
		second(6)
		play(b, "s") // the probe closes it
		second(1)
		check(ShadowStatus{Open: 1, Trips: 1, OpenFor: 14 * time.Second, Saw: 3, RejectedBad: 1, RejectedGood: 1, Refused: 2, Blind: 10 * time.Second, RealTrips: 1, Earlier: 1, Lead: 3 * time.Second})
		_ = shadow().b.Close(Order{})
		shadow().shadow.counts.contended()
		cycle()
		play(b, "s")
		check(ShadowStatus{Open: 1, Trips: 2, OpenFor: 21 * time.Second, Saw: 5, RejectedBad: 2, RejectedGood: 1, Refused: 3, Blind: 14 * time.Second, RealTrips: 2, Earlier: 2, Lead: 6 * time.Second})
		// An order is no trip, and one behind an override blinds no more.
		_ = b.Close(Order{})
		second(5)
		_ = b.Open(Order{})
		second(1)
		_ = b.ForceClosed(Order{})
		second(5)
		_ = b.Release(Order{}) // half-open
		second(2)
		p, _ := b.Allow()
		p.Ignore()
		_ = b.ForceOpen(Order{})
		second(2)
		check(ShadowStatus{Open: 1, Trips: 2, OpenFor: 36 * time.Second, Saw: 6, RejectedBad: 2, RejectedGood: 1, RejectedOther: 1, Refused: 3, Blind: 19 * time.Second, RealTrips: 2, Earlier: 2, Lead: 6 * time.Second})
		// A shadow that is added now sees nothing before, and the others stay.
		_ = b.Shadow("y", Settings{})
		second(3)
		if got := b.Shadows(); len(got) != 2 || got[0].Blind != 22*time.Second || got[1].Blind != 3*time.Second || got[0].Trips != 2 || got[1].Trips != 0 {
			t.Errorf("%+v", got)
		}
		if !b.Unshadow("y") || b.Unshadow("y") || len(b.Shadows()) != 1 || b.Shadows()[0].Blind != 22*time.Second {
			t.Errorf("after its removal %+v", b.Shadows())
		}
	})
}

// The shadows of a manager are those of its members, each kept until it is removed
// itself; and there is room for four.
func TestManagerKeepsEachShadow(t *testing.T) {
	var m Manager
	m.Breaker("b")
	for _, name := range []string{"1", "2", "1", "3", "4"} { // one is replaced
		if err := m.Shadow(name, Settings{FailMax: 3}); err != nil {
			t.Error(err)
		}
	}
	if err := m.Shadow("5", Settings{}); err == nil {
		t.Error("a fifth shadow is added")
	}
	if err := m.Shadow("2", Settings{FailMax: 4}); err != nil {
		t.Errorf("one cannot be replaced: %v", err)
	}
	if !m.Unshadow("3") || m.Unshadow("3") {
		t.Error("one is not removed once")
	}
	for _, name := range []string{"b", "late"} {
		names := ""
		for _, s := range m.Breaker(name).Shadows() {
			names += s.Name
		}
		if len(names) != 3 || m.Breaker(name).Shadows()[strings.Index(names, "2")].Settings.FailMax != 4 {
			t.Errorf("%s has the shadows %s", name, names)
		}
	}
	n := 0
	for range m.Shadows() {
		n++
	}
	if n != 2 {
		t.Errorf("%d members have shadows, want 2", n)
	}
	s := SetOf[string](&m, "s")
	if got := len(s.Breaker("k").Shadows()); got != 3 {
		t.Errorf("a key has %d shadows, want its set's 3", got)
	}
}
