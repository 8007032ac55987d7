package breaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A shadow with the settings of its breaker makes the same transitions, at the
// same times and for the same reasons.
func TestAShadowDecidesAsItsBreaker(t *testing.T) {
	line := func(c *Transition) string {
		return fmt.Sprintf("%s %s->%s %s %d %v %s %s", c.At.Format(time.StampMicro), c.From, c.To, c.Cause, c.Fails, c.Counts, c.OpenFor, c.Window)
	}
	moves := 0
	for i, s := range shadowedSettings {
		for _, keyed := range []bool{false, true} {
			for _, script := range scripts(8, "ssssffffffSF....") {
				synctest.Test(t, func(t *testing.T) {
					b := New("x", s)
					var of shadowed = b
					if keyed {
						set := NewSet[string]("x", s, SetOptions{})
						of, b = set, set.Breaker("k")
					}
					if err := addShadow(of, "same", s); err != nil {
						t.Fatal(err)
					}
					var real, shadow []string
					b.AddListener(Listener{
						StateChange: func(_ *Breaker, c Transition) { real = append(real, line(&c)) },
						ShadowChange: func(got *Breaker, name string, c Transition) {
							if got != b || name != "same" {
								t.Errorf("told of the shadow %s of %s", name, got.ID())
							}
							shadow = append(shadow, line(&c))
						},
					})
					play(b, script)
					moves += len(real)
					if got, want := strings.Join(shadow, "\n"), strings.Join(real, "\n"); got != want {
						t.Fatalf("settings %d, keyed %v, %s:\nthe breaker\n%s\nthe shadow\n%s", i, keyed, script, want, got)
					}
				})
			}
		}
	}
	if moves < 500 {
		t.Errorf("only %d transitions were compared", moves)
	}
}

// In a ramp the breaker rejects calls that a shadow with the same ramp would
// reject: they do not get in its way.
func TestAShadowFollowsARamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Ramp: 10 * time.Second})
		_ = b.Shadow("same", b.Settings())
		play(b, "f..s")
		for range 100 {
			play(b, "ss")
			wait(100 * time.Millisecond)
		}
		st := b.Shadows()[0]
		if st.Refused == 0 || st.RejectedGood != 0 || st.Open != 0 || st.Saw != 202-st.Refused {
			t.Errorf("%+v", st)
		}
	})
}

// A shadow sees what a breaker that is forced closed lets through, so looser
// settings can be tried in such an hour.
func TestAShadowSeesWhatAnOverrideLetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 2})
		must(t, b.Shadow("loose", Settings{FailMax: 6}))
		must(t, b.ForceClosed(Order{For: time.Hour}))
		play(b, "fffff")
		if st := b.Shadows()[0]; st.Saw != 5 || st.Trips != 0 || st.Blind != 0 {
			t.Errorf("after five failures: %+v", st)
		}
		play(b, "f")
		if st := b.Shadows()[0]; st.Trips != 1 || st.Open != 1 {
			t.Errorf("after six: %+v", st)
		}
	})
}

// Calls that are not evidence for the breaker are not evidence for its shadows (I4).
func TestShadowsIgnoreWhatIsNoEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1}, WithBypassAllowed())
		must(t, b.Shadow("s", Settings{FailMax: 2}))
		set := NewSet[string]("x", Settings{FailMax: 1}, SetOptions{}, WithBypassAllowed())
		must(t, set.Shadow("s", Settings{FailMax: 1}))
		marked := WithBypass(bg, "migration")
		over, cancel := context.WithCancel(bg)
		cancel()
		for range 3 {
			_ = b.Do(marked, broken)
			_ = b.Do(over, func(ctx context.Context) error { return ctx.Err() })
			p, _ := b.Allow()
			p.Ignore()
		}
		if st := b.Shadows()[0]; st.Trips != 0 || b.State() != Closed {
			t.Errorf("%+v, the breaker is %s", st, b.State())
		}
		_ = set.Do(marked, "k", broken)
		if st := set.Shadows()[0]; st.Saw != 0 || st.Trips != 0 {
			t.Errorf("a key's: %+v", st)
		}
	})
}

// An answer that is streamed is judged when it begins, and a copy of a permit that
// has ended is too late.
func TestShadowsAndPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		must(t, b.Shadow("slow", Settings{FailMax: -1, SlowCall: time.Second, SlowRate: .1, MinCalls: 1}))
		must(t, b.Shadow("same", b.Settings()))
		p, _ := b.Allow()
		p.Answered()
		wait(time.Minute)
		q := p
		p.Done(nil)
		q.Done(errX) // ended twice, by mistake
		if st := b.Shadows()[0]; st.Trips != 0 || st.Saw != 1 {
			t.Errorf("a stream that began at once: %+v", st)
		}
		wait(time.Second)
		is(t, b, Open) // it was told so
		p, err := b.Allow()
		must(t, err)
		p.Answered()
		is(t, b, Closed)
		if st := b.Shadows()[1]; st.Open != 0 {
			t.Errorf("the answer to a probe has begun: %+v", st)
		}
		p.Done(errX) // the stream breaks
		is(t, b, Open)
		if st := b.Shadows()[1]; st.Open != 1 {
			t.Errorf("the stream broke: %+v", st)
		}
	})
}

// Shadows come and go while calls run, also while they are recorded.
func TestShadowsUnderLoad(t *testing.T) {
	m, _ := taped(t, Settings{FailMax: 3, ResetTimeout: time.Millisecond})
	b, set := m.Breaker("b"), SetOf[int](m, "set")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			for range 5000 {
				x := b
				if rng.IntN(2) == 0 {
					x = set.Breaker(rng.IntN(5))
				}
				if rng.IntN(2) == 0 {
					_ = x.Do(bg, nop)
					_ = x.Do(bg, broken)
				} else if p, err := x.Allow(); err == nil {
					p.Done([]error{nil, errX}[rng.IntN(2)])
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 300 {
			name := fmt.Sprint("s", i%3)
			_ = b.Shadow(name, shadowedSettings[i%len(shadowedSettings)])
			_ = set.Shadow(name, shadowedSettings[i%len(shadowedSettings)])
			_, _ = b.Promote(name, 0)
			for range m.Shadows() {
			}
			set.Unshadow(fmt.Sprint("s", (i+1)%3))
			_ = b.Update(Settings{FailMax: 3, ResetTimeout: time.Millisecond})
		}
	})
	wg.Wait()
	for _, of := range []shadowed{b, set} {
		for _, st := range of.Shadows() {
			removeShadow(of, st.Name, nil)
		}
	}
	must(t, b.Update(Settings{FailMax: 3}))
	_ = b.Close(Order{})
	play(b, "fff")
	is(t, b, Open)
}

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
		second := func(n time.Duration) { wait(n * time.Second) }
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
		shadow().counts.contended()
		cycle()
		play(b, "s")
		check(ShadowStatus{Open: 1, Trips: 2, OpenFor: 21 * time.Second, Saw: 5, RejectedBad: 2, RejectedGood: 1, Refused: 3, Blind: 14 * time.Second, RealTrips: 2, Earlier: 2, Lead: 6 * time.Second})
		// An order is not a trip, and a shadow behind an override is not blind.
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
		// The times that it was open add up.
		_ = shadow().b.Close(Order{})
		second(4)
		if got := b.Shadows()[0]; got.Open != 0 || got.OpenFor != 36*time.Second {
			t.Errorf("closed again: %d open, for %s, want 0 and 36s", got.Open, got.OpenFor)
		}
		play(shadow().b, "f")
		// So do all counts, whichever goroutine counted.
		was, cells := b.Shadows()[0], uint64(0)
		shadow().counts.each(func(c *cell) {
			cells++
			for slot := range shadowMissed + 1 {
				c[slot].Add(1)
			}
		})
		is := b.Shadows()[0]
		for i, more := range []uint64{
			is.Saw - was.Saw, is.RejectedGood - was.RejectedGood, is.RejectedBad - was.RejectedBad,
			is.RejectedOther - was.RejectedOther, is.Refused - was.Refused, is.Missed - was.Missed,
		} {
			if more != cells || cells < 2 {
				t.Errorf("count %d rose by %d, want one for each of %d cells", i, more, cells)
			}
		}
		// A shadow that is added now sees nothing before, and the others stay.
		_ = b.Shadow("y", Settings{})
		second(3)
		if got := b.Shadows(); len(got) != 2 || got[0].Blind != 26*time.Second || got[1].Blind != 3*time.Second || got[0].Trips != 3 || got[1].Trips != 0 {
			t.Errorf("%+v", got)
		}
		if !b.Unshadow("y") || b.Unshadow("y") || len(b.Shadows()) != 1 || b.Shadows()[0].Blind != 26*time.Second {
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
	var other Manager
	for i := range 50 {
		other.Breaker(fmt.Sprint(i))
	}
	must(t, other.Breaker("7").Shadow("own", Settings{}))
	for name := range other.Shadows() {
		if name != "7" {
			t.Errorf("%s has shadows", name)
		}
	}
	if !other.Unshadow("own") || other.Unshadow("own") {
		t.Error("that of one of 50 is not removed once")
	}
	s := SetOf[string](&m, "s")
	if got := len(s.Breaker("k").Shadows()); got != 3 {
		t.Errorf("a key has %d shadows, want its set's 3", got)
	}
}

// A shadow that is added to a set judges keys that others judge already from then
// on: it is blind while they are open, and sees what they reject.
func TestAShadowIsAddedToKeysThatAreJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet[string]("s", Settings{FailMax: 2}, SetOptions{})
		must(t, s.Shadow("first", Settings{FailMax: 1}))
		play(s.Breaker("k"), "ff")
		is(t, s.Breaker("k"), Open)
		must(t, s.Shadow("second", Settings{FailMax: 1}))
		wait(5 * time.Second)
		play(s.Breaker("k"), "s")
		if st := s.Shadows()[1]; st.Blind != 5*time.Second || st.Refused != 1 {
			t.Errorf("%+v, want 5 s blind and a call refused", st)
		}
	})
}

// Whatever happens meanwhile, a breaker and a set decide as they do without the
// shadows that come and go beside them: orders, other settings, keys that are
// removed or lapse and come back.
func TestShadowsThatComeAndGo(t *testing.T) {
	all := append(slices.Clone(shadowedSettings), Settings{FailMax: 3, ResetTimeout: time.Second, Ramp: 10 * time.Second})
	errNormal := errors.New("not found")
	run := func(seed uint64, shadows bool) (seen []string) {
		synctest.Test(t, func(t *testing.T) {
			rng, others := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			b := New("x", all[rng.IntN(len(all))], WithExcluded(ErrorIs(errNormal)))
			set := NewSet[int]("s", b.Settings(), SetOptions{Retention: 30 * time.Second})
			var kept []Permit
			do := func(x *Breaker, fn func(context.Context) error) string { return fmt.Sprint(x.Do(bg, fn)) }
			for range 250 {
				if shadows && others.IntN(6) == 0 {
					of := []shadowed{b, set}[others.IntN(2)]
					if name := fmt.Sprint(others.IntN(6)); others.IntN(4) > 0 {
						_ = addShadow(of, name, all[others.IntN(len(all))]) // there may be no room
					} else {
						removeShadow(of, name, nil)
					}
				}
				x, k := b, rng.IntN(6)
				if rng.IntN(2) == 0 {
					x = set.Breaker(k)
				}
				note := ""
				switch verbs := []Verb{VerbOpen, VerbClose, VerbHalfOpen, VerbForceOpen, VerbForceClosed, VerbRelease}; rng.IntN(20) {
				case 0, 1:
					o := Order{Verb: verbs[rng.IntN(len(verbs))]}
					if o.Verb == VerbForceOpen || o.Verb == VerbForceClosed {
						o.For = 2 * time.Second
					}
					_, err := x.Apply(o)
					note = fmt.Sprint(err)
				case 2:
					must(t, x.Update(all[rng.IntN(len(all))]))
				case 3:
					must(t, set.Update(all[rng.IntN(len(all))]))
				case 4:
					note = fmt.Sprint(set.Remove(k))
				case 5:
					wait([]time.Duration{time.Second, 3 * time.Second, 40 * time.Second}[rng.IntN(3)])
				case 6, 7:
					p, err := x.Allow()
					if note = fmt.Sprint(err); err == nil {
						kept = append(kept, p)
					}
				case 8, 9:
					if len(kept) > 0 {
						p := kept[0]
						kept = kept[1:]
						if rng.IntN(3) == 0 {
							p.Answered()
						}
						p.Done([]error{nil, errX}[rng.IntN(2)])
					}
				case 10:
					note = do(x, func(context.Context) error { return errNormal })
				case 11:
					elsewhere(func() { do(x, func(context.Context) error { runtime.Goexit(); return nil }) })
				default:
					took, err := time.Duration(rng.IntN(2000))*time.Millisecond, []error{nil, errX, errX}[rng.IntN(3)]
					note = do(x, func(context.Context) error {
						time.Sleep(took)
						return err
					})
				}
				synctest.Wait()
				st := []Status{b.Status()}
				for k := range 6 {
					st = append(st, set.Breaker(k).Status())
				}
				text, err := json.Marshal(st)
				must(t, err)
				seen = append(seen, note+" "+string(text))
			}
		})
		return seen
	}
	for seed := range uint64(8) {
		want, got := run(seed, false), run(seed, true)
		for k := range want {
			if want[k] != got[k] {
				t.Fatalf("seed %d, step %d:\nwithout shadows %s\nwith shadows    %s", seed, k, want[k], got[k])
			}
		}
	}
}

// No failure is lost and no call is rejected while shadows come and go (I11), and
// each call gives back its place among the flights.
func TestShadowsUnderLoadLoseNothing(t *testing.T) {
	b, set := New("b", Settings{FailMax: 500_000}), NewSet[int]("s", Settings{FailMax: 500_000}, SetOptions{})
	var load, churn sync.WaitGroup
	done := make(chan struct{})
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			for _, of := range []shadowed{b, set} {
				_ = addShadow(of, fmt.Sprint(i%6), shadowedSettings[i%len(shadowedSettings)]) // there may be no room
				removeShadow(of, fmt.Sprint((i+3)%6), nil)
				of.Shadows()
			}
		}
	})
	const workers, each = 4, 5000
	for range workers {
		load.Go(func() {
			for i := range each {
				for _, x := range []*Breaker{b, set.Breaker(1)} {
					if i%2 == 0 {
						if err := x.Do(bg, broken); !errors.Is(err, errX) {
							t.Error(err)
						}
					} else if p, err := x.Allow(); err == nil {
						p.Done(errX)
					} else {
						t.Error(err)
					}
				}
			}
		})
	}
	load.Wait()
	close(done)
	churn.Wait()
	for _, x := range []*Breaker{b, set.Breaker(1)} {
		if n := x.FailCount(); n != workers*each {
			t.Errorf("%s has counted %d failures, want %d", x.ID(), n, workers*each)
		}
		table := x.cfg.shadows.Load().flights
		free := 0
		for n := uint32(table.free.Load()); n != 0; n = table.at(n).next.Load() {
			free++
		}
		if free != table.made*flightChunk {
			t.Errorf("%s: %d of %d places are free", x.ID(), free, table.made*flightChunk)
		}
	}
}
