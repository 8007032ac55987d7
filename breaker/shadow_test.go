package breaker

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shadowedSettings are settings of many kinds, without jitter.
var shadowedSettings = []Settings{
	{FailMax: 2, ResetTimeout: 3 * time.Second},
	{FailMax: 3, SuccessesToForgive: 2, ResetTimeout: time.Second, ResetBackoff: 2, ResetMax: 8 * time.Second},
	{FailMax: 2, ResetTimeout: time.Second, Probes: 3, SuccessThreshold: 2, ProbeTimeout: 7 * time.Second},
	{FailMax: 3, FailWithin: 3 * time.Second, FailFor: time.Second, ResetTimeout: 2 * time.Second},
	{FailMax: -1, FailureRate: .5, MinCalls: 4, Window: unevenWindow, ResetTimeout: 2 * time.Second},
	{FailMax: -1, FailureRate: .5, MinCalls: 2, WindowCalls: 6, ResetTimeout: time.Second},
	{FailMax: -1, FailureRate: .3, Confidence: .9, Window: unevenWindow, ResetTimeout: time.Second},
	{FailMax: 5, SlowCall: time.Second, Window: unevenWindow, SlowRate: .5, MinCalls: 4, ResetTimeout: time.Second},
	{FailMax: 20, SlowCall: 1500 * time.Millisecond, Window: unevenWindow, BadRate: .5, MinCalls: 4, ResetTimeout: time.Second},
	{FailMax: 1, ResetTimeout: time.Hour},
}

// unevenWindow is a window whose steps end at other times than calls do.
// Otherwise it would depend on the scheduler to which step a call belongs.
const unevenWindow = 9713 * time.Millisecond

// scripts returns random scripts for walk.
func scripts(n int, letters string) (out []string) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range n {
		var s strings.Builder
		for range 120 {
			s.WriteByte(letters[rng.IntN(len(letters))])
		}
		out = append(out, s.String())
	}
	return out
}

// A breaker with shadows does what it does without them: every outcome, every
// transition, and everything that can be seen of it.
func TestShadowsChangeNothing(t *testing.T) {
	others := []Settings{{FailMax: 1, ResetTimeout: time.Hour}, {FailMax: -1, FailureRate: .1, MinCalls: 1, Ramp: time.Minute}, {FailMax: 4, SlowCall: time.Millisecond, SlowRate: .1, MinCalls: 1}, {}}
	withRamp := append(shadowedSettings, Settings{FailMax: 3, ResetTimeout: time.Second, Ramp: 10 * time.Second})
	for i, s := range withRamp {
		for _, keyed := range []bool{false, true} {
			for _, script := range scripts(1, "ssssffffSFiAD..pw") {
				script = "p" + strings.Repeat("f.s", 3) + script[:60] + "d" + script[60:] + "L" + script[:60]
				run := func(shadows bool) (seen []string) {
					synctest.Test(t, func(t *testing.T) {
						var of shadowed
						b := New("x", s)
						of = b
						if keyed {
							set := NewSet[string]("x", s, SetOptions{})
							of, b = set, set.Breaker("k")
						}
						for i, x := range others {
							if shadows {
								if err := addShadow(of, fmt.Sprint("s", i), x); err != nil {
									t.Fatal(err)
								}
							}
						}
						if seen = walk(t, b, s, script); shadows && of.Shadows()[0].Trips == 0 {
							t.Error("the shadow that opens on each failure has not opened")
						}
					})
					return seen
				}
				want, got := run(false), run(true)
				for k := range want {
					if want[k] != got[k] {
						t.Fatalf("settings %d, keyed %v, script %s at %d:\nwithout shadows %s\nwith shadows    %s", i, keyed, script, k, want[k], got[k])
					}
				}
			}
		}
	}
}

// What a shadow counts.
func TestShadowStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 5, ResetTimeout: 10 * time.Second})
		must(t, b.Shadow("tight", Settings{FailMax: 2, ResetTimeout: 3 * time.Second}))
		must(t, b.Shadow("loose", Settings{FailMax: 50}))
		began := time.Now()
		play(b, "sff") // tight opens
		wait(time.Second)
		play(b, "sfi") // and would have rejected these
		wait(time.Second)
		play(b, "sffff") // not these: open for 3 s, and 1 of 4 failures is after it
		play(b, "f")     // the breaker opens
		wait(4 * time.Second)
		play(b, "sss") // rejected
		wait(6 * time.Second)
		play(b, "s") // a probe, for tight as well
		wait(8 * time.Second)
		all := b.Shadows()
		if len(all) != 2 {
			t.Fatalf("%d shadows", len(all))
		}
		want := ShadowStatus{
			Name: "tight", Settings: Settings{FailMax: 2, ResetTimeout: 3 * time.Second}.WithDefaults(), Since: began,
			Trips: 1, OpenFor: 12 * time.Second, Saw: 13, RejectedGood: 2, RejectedBad: 6, RejectedOther: 1, Refused: 3,
			Blind: 10 * time.Second, RealTrips: 1, Earlier: 1, Lead: 2 * time.Second,
		}
		if all[0] != want {
			t.Errorf("tight:\n%+v, want\n%+v", all[0], want)
		}
		want = ShadowStatus{
			Name: "loose", Settings: Settings{FailMax: 50}.WithDefaults(), Since: began,
			Saw: 13, Refused: 3, Blind: 10 * time.Second, RealTrips: 1,
		}
		if all[1] != want {
			t.Errorf("loose:\n%+v, want\n%+v", all[1], want)
		}
		if c := all[0].Coverage(); c != 13./16 {
			t.Errorf("it saw %v, want 13 of 16", c)
		}
		text, err := json.Marshal(all[0])
		must(t, err)
		var back ShadowStatus
		if must(t, json.Unmarshal(text, &back)); !back.Since.Equal(began) || back.Blind != all[0].Blind || back.Lead != all[0].Lead || back.OpenFor != all[0].OpenFor {
			t.Errorf("%s is read as %+v", text, back)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A key is judged from its first failure on, or from its first call where a
// shadow has a window.
func TestShadowsOfASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[int]("s", Settings{FailMax: 9}, SetOptions{})
		must(t, s.Shadow("tight", Settings{FailMax: 2}))
		play(s.Breaker(1), "ssss")
		if b := s.Breaker(1); b.cold.Load() != nil {
			t.Error("a healthy key has judges")
		}
		play(s.Breaker(2), "sff")
		must(t, s.Breaker(3).Update(Settings{FailMax: 7}))
		play(s.Breaker(3), "ffff")
		if st := s.Shadows()[0]; st.Trips != 2 || st.Open != 2 || st.RejectedBad != 2 || st.Saw != 6 {
			t.Errorf("%+v", st)
		}
		must(t, s.Shadow("rate", Settings{FailMax: -1, FailureRate: .5, MinCalls: 4}))
		must(t, s.Shadow("after it", Settings{FailMax: 2}))
		play(s.Breaker(4), "sssff")
		play(s.Breaker(5), "sff") // it has 3 calls
		if st := s.Shadows()[1]; st.Trips != 0 || st.Saw != 8 {
			t.Errorf("%+v", st)
		}
		play(s.Breaker(5), "s")
		play(s.Breaker(4), "f")
		if st := s.Shadows()[1]; st.Trips != 1 {
			t.Errorf("%+v", st)
		}
		// A key that is forgotten takes with it what the shadows knew of it.
		if !s.Remove(4) {
			t.Fatal("the set does not know the key")
		}
		if st := s.Shadows()[1]; st.Open != 0 || st.Trips != 1 {
			t.Errorf("after the key was removed: %+v", st)
		}
		if !s.Unshadow("tight") || !s.Unshadow("rate") || !s.Unshadow("after it") || s.Unshadow("rate") || s.Shadows() != nil {
			t.Error("they cannot be removed, or twice")
		}
		for _, b := range s.Breakers() {
			if b.load()&flagsTaped != 0 {
				t.Errorf("%s still leaves the fast path", b.ID())
			}
		}
	})
}

// How long shadows were open does not become less when their keys go, whether they
// are removed, lapse or are evicted.
func TestShadowsOfForgottenKeys(t *testing.T) {
	for name, forget := range map[string]func(s *Set[int]){
		"removed": func(s *Set[int]) { s.Remove(1) },
		"lapsed":  func(*Set[int]) { wait(24 * time.Hour) },
		"evicted": func(s *Set[int]) {
			s.Breaker(2)
			s.Breaker(3)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := NewSet[int]("s", Settings{FailMax: 3, ResetTimeout: time.Second}, SetOptions{MaxKeys: 1, Retention: 12 * time.Hour})
			must(t, s.Shadow("tight", Settings{FailMax: 1, ResetTimeout: 100 * time.Hour}))
			play(s.Breaker(1), "fff")
			wait(10 * time.Second)
			if name == "evicted" { // only healthy keys are
				_ = s.Breaker(1).Close(Order{})
				s.Breaker(1).forget(lapseHistory)
			}
			check := func(when string, open int, openFor time.Duration) {
				t.Helper()
				if st := s.Shadows()[0]; st.Open != open || st.OpenFor < openFor || st.OpenFor > openFor+24*time.Hour {
					t.Errorf("%s, %s: %d open, for %s, want %d, for %s", name, when, st.Open, st.OpenFor, open, openFor)
				}
			}
			check("before", 1, 10*time.Second)
			forget(s)
			check("after", 0, 10*time.Second)
			was := s.Shadows()[0]
			play(s.Breaker(1), "f")
			wait(5 * time.Second)
			check("back", 1, was.OpenFor+5*time.Second)
			if st := s.Shadows()[0]; st.Trips != 2 {
				t.Errorf("%s: %d trips, want 2", name, st.Trips)
			}
		})
	}
}

func TestShadowsOfAManager(t *testing.T) {
	m := NewManager(Settings{FailMax: 5})
	a := m.Breaker("a")
	for i := range 3 {
		must(t, a.Shadow(fmt.Sprint("own", i), Settings{}))
	}
	must(t, m.Shadow("tight", Settings{FailMax: 1}))
	set := SetOf[string](m, "set")
	gone := m.Breaker("gone")
	m.Remove("gone")
	if gone.Shadows() != nil {
		t.Error("a breaker that was removed keeps the shadows of its manager")
	}
	play(a, "ff")
	play(set.Breaker("k"), "ff")
	got := map[string]int{}
	for name, all := range m.Shadows() {
		for _, s := range all {
			if s.Name == "tight" {
				got[name] = int(s.Trips)
			}
		}
	}
	if got["a"] != 1 || got["set"] != 1 || len(got) != 2 {
		t.Errorf("trips: %v", got)
	}
	if err := m.Shadow("another", Settings{}); !errors.Is(err, ErrShadow) || !strings.Contains(err.Error(), "a has 4 already") {
		t.Errorf("a fifth one: %v", err)
	}
	if len(set.Shadows()) != 1 {
		t.Error("half of it was applied")
	}
	if !m.Unshadow("tight") || m.Unshadow("tight") || len(a.Shadows()) != 3 || set.Shadows() != nil || m.Breaker("later").Shadows() != nil {
		t.Error("it was not removed")
	}
}

func TestShadowErrors(t *testing.T) {
	b := New("x", Settings{})
	for i := range MaxShadows {
		must(t, b.Shadow(fmt.Sprint("s", i), Settings{}))
	}
	must(t, b.Shadow("s2", Settings{FailMax: 3})) // in place of that one
	key := NewSet[string]("set", Settings{}, SetOptions{}).Breaker("k")
	full := NewManager(Settings{})
	for i := range MaxShadows {
		must(t, full.Shadow(fmt.Sprint("s", i), Settings{}))
	}
	_, unknown := b.Promote("other", 0)
	_, ofKey := key.Promote("other", 0)
	for _, c := range []struct {
		err   error
		match error
		text  string
	}{
		{b.Shadow("s4", Settings{}), ErrShadow, "invalid shadow: x has 4 already, want at most 4: remove one first"},
		{b.Shadow("a/b", Settings{}), ErrName, ""},
		{b.Shadow(BeforeShadow, Settings{}), ErrShadow, `invalid shadow: "before" is for the settings from before a promotion, want another name`},
		{NewManager(Settings{}).Shadow(BeforeShadow, Settings{}), ErrShadow, ""},
		{b.Shadow("s1", Settings{FailureRate: 2}), ErrSettings, ""},
		{NewManager(Settings{}).Shadow("", Settings{}), ErrName, ""},
		{key.Shadow("s", Settings{}), ErrShadow, "invalid shadow: set/k is a key, want the shadows of its set, set"},
		{unknown, ErrShadow, `invalid shadow: x has no shadow "other", want s0 or s1 or s2 or s3`},
		{ofKey, ErrShadow, ""},
		{NewSet[int]("s", Settings{}, SetOptions{}).Shadow("", Settings{}), ErrName, ""},
		{full.Shadow("s4", Settings{}), ErrShadow, "invalid shadow: the manager has 4 already, want at most 4: remove one first"},
	} {
		if !errors.Is(c.err, c.match) || c.text != "" && c.err.Error() != c.text {
			t.Errorf("%v, want %v %s", c.err, c.match, c.text)
		}
	}
	if err := json.Unmarshal([]byte(`{"open_for": "soon"}`), new(ShadowStatus)); err == nil {
		t.Error("a status with a time that is none is read")
	}
	if got := b.Shadows(); len(got) != 4 || got[2].Settings.FailMax != 3 || got[1].Settings != (Settings{}.WithDefaults()) {
		t.Errorf("%+v", got)
	}
}

// Other shadows stay when one is promoted or added, with what they know.
func TestShadowsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 9, FailureRate: 1, Window: unevenWindow})
		time.Sleep(time.Second)
		must(t, b.Shadow("open", Settings{FailMax: 1, ResetTimeout: time.Hour}))
		play(b, "f")
		must(t, b.Shadow("same window", b.Settings()))
		must(t, b.Shadow("other", Settings{FailMax: -1, FailureRate: 1, Window: time.Second}))
		if st := b.Shadows(); st[0].Open != 1 || st[0].Trips != 1 {
			t.Errorf("the first one has forgotten what it knew: %+v", st[0])
		}
		list := b.cfg.shadows.Load().list
		if real := b.settings().step.base; !list[1].cfg.program.step.base.Equal(real) || list[2].cfg.program.step.base.Equal(real) {
			t.Error("a window of the same length does not move in step with the breaker's, or one of another length does")
		}
		_, err := b.Promote("same window", 0)
		must(t, err)
		var names []string
		for _, st := range b.Shadows() {
			names = append(names, st.Name)
		}
		if got := strings.Join(names, ", "); got != "open, other, before" || b.Shadows()[0].Open != 1 {
			t.Errorf("left are %s, the first %+v", got, b.Shadows()[0])
		}
	})
}

// What is not a trip of the breaker itself is not counted as one, and time in which
// it rejects nothing is not blind.
func TestShadowsCountRealTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 2, ResetTimeout: time.Second})
		must(t, b.Shadow("s", Settings{FailMax: 100}))
		wait(5 * time.Second)
		must(t, b.ForceClosed(Order{}))
		play(b, "ff") // behind the override it opens
		wait(5 * time.Second)
		if st := b.Shadows()[0]; st.RealTrips != 0 || st.Blind != 0 {
			t.Errorf("behind an override: %d trips, blind for %s, want none", st.RealTrips, st.Blind)
		}
		must(t, b.Close(Order{}))
		play(b, "ff")
		wait(time.Second)
		play(b, "f") // the probe fails
		wait(time.Second)
		if st := b.Shadows()[0]; st.RealTrips != 1 || st.Blind != 2*time.Second {
			t.Errorf("%d trips, blind for %s, want 1 and 2s", st.RealTrips, st.Blind)
		}
	})
}

// Promote puts the settings of a shadow into effect, and keeps those from before
// for a day, so that it can be undone.
func TestPromote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := NewSet[string]("set", Settings{FailMax: 5}, SetOptions{})
		key := set.Breaker("k")
		b := New("x", Settings{FailMax: 5})
		for _, of := range []struct {
			b       *Breaker
			promote func(string, uint64) (Receipt, error)
			update  func(Settings, uint64) (Receipt, error)
			shadowed
		}{{b, b.Promote, b.UpdateIf, b}, {key, set.Promote, set.UpdateIf, set}} {
			must(t, addShadow(of.shadowed, "tight", Settings{FailMax: 2, ResetTimeout: time.Second}))
			first, err := of.update(Settings{FailMax: 4}, 0)
			must(t, err)
			if _, err := of.promote("tight", first.Version-1); !errors.Is(err, ErrVersion) || of.b.Settings().FailMax != 4 || len(of.Shadows()) != 1 {
				t.Errorf("%s: a promotion for another version: %v, %+v", of.Name(), err, of.Shadows())
			}
			r, err := of.promote("tight", first.Version)
			must(t, err)
			if r.From != first.Version || r.Version != first.Version+1 || of.b.Settings().FailMax != 2 {
				t.Errorf("%s: %+v, fail_max %d", of.Name(), r, of.b.Settings().FailMax)
			}
			st := of.Shadows()
			if len(st) != 1 || st[0].Name != BeforeShadow || st[0].Settings.FailMax != 4 || !st[0].Ends.Equal(time.Now().Add(beforeLasts)) {
				t.Errorf("%s: it left %+v", of.Name(), st)
			}
			play(of.b, "fff")
			if st := of.Shadows()[0]; of.b.State() != Open || st.Open != 0 || st.Saw != 2 {
				t.Errorf("%s is %s, and before %+v", of.Name(), of.b.State(), st)
			}
			// Undone, and done again.
			for i, want := range []int{4, 2, 4} {
				if _, err := of.promote(BeforeShadow, 0); err != nil || of.b.Settings().FailMax != want || len(of.Shadows()) != 1 {
					t.Errorf("%s, %d: %v, fail_max %d", of.Name(), i, err, of.b.Settings().FailMax)
				}
				wait(time.Hour)
			}
			// The one that was promoted last lasts a day, whatever the ends of the
			// others were.
			wait(beforeLasts - 90*time.Minute)
			if len(of.Shadows()) != 1 {
				t.Errorf("%s: it ended early", of.Name())
			}
			if wait(30 * time.Minute); of.Shadows() != nil {
				t.Errorf("%s: %+v after a day", of.Name(), of.Shadows())
			}
		}
	})
}

// A listener that panics or exits the goroutine when it hears of a shadow costs no
// probe and no call (I2, I10).
func TestListenersOfShadowsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fail := range map[string]func(){"panics": func() { panic("x") }, "exits": runtime.Goexit} {
			b := New("x", Settings{FailMax: 5, ResetTimeout: time.Second})
			must(t, b.Shadow("tight", Settings{FailMax: 1, ResetTimeout: time.Second}))
			heard := 0
			b.AddListener(Listener{ShadowChange: func(b *Breaker, _ string, _ Transition) {
				heard++
				_, _ = b.Status(), b.Shadows() // it may call back
				fail()
			}})
			each := func(script string) { // the goroutine may end with any call
				for _, c := range script {
					elsewhere(func() { play(b, string(c)) })
				}
			}
			each("f")
			wait(2 * time.Second)
			each("s") // the shadow begins half-open, and closes
			want := 3
			if name == "exits" {
				want = 2 // so the call never ran
			}
			if heard != want || b.State() != Closed {
				t.Errorf("%s: heard %d times, want %d; %s", name, heard, want, b.State())
			}
			each("fffff")
			is(t, b, Open)
			wait(time.Second)
			each("s")
			if b.Status().ProbesOut != 0 {
				t.Errorf("%s: a probe's place is lost", name)
			}
			table := b.cfg.shadows.Load().flights
			free := 0
			for n := uint32(table.free.Load()); n != 0; n = table.at(n).next.Load() {
				free++
			}
			if free != flightChunk {
				t.Errorf("%s: %d of %d places are free", name, free, flightChunk)
			}
		}
	})
}

// A key that its set evicts goes, although shadows judge it.
func TestShadowsKeepNoKey(t *testing.T) {
	s := NewSet[int]("s", Settings{}, SetOptions{MaxKeys: 1})
	must(t, s.Shadow("tight", Settings{FailMax: 1}))
	for i := range 50 {
		play(s.Breaker(i), "fs") // evidence, and none again
	}
	for range 10 {
		runtime.GC()
	}
	if n := len(slices.Collect(s.walk(true))); n > 10 {
		t.Errorf("%d of 50 keys are alive, want those that the set remembers", n)
	}
}
