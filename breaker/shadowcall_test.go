package breaker

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A call that panics or exits its goroutine is a failure for a shadow, too, and
// gives its place back.
func TestShadowsSeeCallsThatDoNotReturn(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("gone") }, "Goexit": runtime.Goexit} {
		for _, keyed := range []bool{false, true} {
			var of shadowed
			b := New("x", Settings{FailMax: 100})
			if of = b; keyed {
				set := NewSet[string]("x", Settings{FailMax: 100}, SetOptions{})
				of, b = set, set.Breaker("k")
			}
			must(t, addShadow(of, "tight", Settings{FailMax: 2}))
			for range 3 {
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { _ = recover() }()
					_ = b.Do(bg, func(context.Context) error { end(); return nil })
				}()
				<-done
			}
			st := of.Shadows()[0]
			if st.Trips != 1 || st.Saw != 3 || st.RejectedBad != 1 || st.Missed != 0 || b.FailCount() != 3 {
				t.Errorf("%s, keyed %v: %+v and %d failures, want 1 trip, 3 calls, 1 of them rejected, 3 failures", name, keyed, st, b.FailCount())
			}
		}
	}
}

// A permit of a call with shadows ends once, and each way to end it is judged.
func TestPermitsWithShadows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3})
		must(t, b.Shadow("tight", Settings{FailMax: 2}))
		saw := func(want uint64, fails int) {
			t.Helper()
			if st := b.Shadows()[0]; st.Saw != want || b.FailCount() != fails {
				t.Errorf("the shadow saw %d calls, and the breaker counts %d failures, want %d and %d", st.Saw, b.FailCount(), want, fails)
			}
		}
		p, _ := b.Allow()
		p.Done(nil)
		saw(1, 0)
		p.Done(errX) // too late
		saw(1, 0)
		p, _ = b.AllowContext(bg)
		_ = p.DoneContext(bg, nil)
		saw(2, 0)
		// A failure is taken back, in the shadow, too.
		for range 3 {
			p, _ = b.Allow()
			p.Done(errX)
			saw(b.Shadows()[0].Saw, 1)
			p, _ = b.Allow()
			p.Done(nil)
		}
		saw(8, 0)
		if st := b.Shadows()[0]; st.Trips != 0 {
			t.Errorf("the shadow has opened: %+v", st)
		}
	})
}

// Calls that do not fit are counted as missed, and no shadow judges them.
func TestShadowsMissCalls(t *testing.T) {
	b := New("x", Settings{})
	must(t, b.Shadow("s", Settings{}))
	const most = flightChunk * flightChunks
	permits := make([]Permit, most+3)
	for i := range permits {
		var err error
		permits[i], err = b.Allow()
		must(t, err)
	}
	for i := range permits {
		permits[i].Done(nil)
	}
	st := b.Shadows()[0]
	if st.Saw != most || st.Missed != 3 || st.Coverage() != float64(most)/(most+3) {
		t.Errorf("%d seen, %d missed, coverage %v, want %d and 3", st.Saw, st.Missed, st.Coverage(), most)
	}
	play(b, "s")
	if st := b.Shadows()[0]; st.Saw != most+1 {
		t.Errorf("afterwards %d are seen, want %d", st.Saw, most+1)
	}
}

// A dependency that says when to come back says so to shadows as well.
func TestShadowsHeedHints(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		for hint, want := range map[time.Duration]time.Duration{0: time.Second, time.Minute: time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				var of shadowed
				b := New("x", Settings{FailMax: 100})
				if of = b; keyed {
					set := NewSet[string]("x", Settings{FailMax: 100}, SetOptions{})
					of, b = set, set.Breaker("k")
				}
				must(t, addShadow(of, "s", Settings{FailMax: 1, ResetTimeout: time.Second, ResetMax: time.Hour}))
				var opened []Transition
				b.AddListener(Listener{ShadowChange: func(_ *Breaker, _ string, x Transition) { opened = append(opened, x) }})
				_ = b.Do(bg, func(context.Context) error { return busy{hint} })
				if len(opened) != 1 || opened[0].OpenFor != want || len(opened[0].Errors) != 1 || opened[0].Errors[0].Error != "the call failed" {
					t.Errorf("keyed %v, hint %s: %+v, want one that is open for %s", keyed, hint, opened, want)
				}
			})
		}
	}
}

// A call that a ramp of the breaker rejects does not make a shadow probe that would
// do so with the next call.
func TestShadowsDoNotProbeWithRejectedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, Ramp: time.Minute})
		must(t, b.Shadow("s", Settings{FailMax: 1, ResetTimeout: 3 * time.Second}))
		moves := 0
		b.AddListener(Listener{ShadowChange: func(*Breaker, string, Transition) { moves++ }})
		play(b, "f.s..") // the breaker is in its ramp, and the shadow may probe
		rejected := 0
		for was := moves; moves == was && rejected < 1000; {
			ran := false
			_ = b.Do(bg, func(context.Context) error { ran = true; return nil })
			if !ran {
				rejected++
			}
			if !ran && moves != was {
				t.Fatal("a rejected call has moved the shadow")
			}
		}
		if rejected == 0 || b.Shadows()[0].Open != 0 {
			t.Errorf("%d calls were rejected before the shadow closed, want some: %+v", rejected, b.Shadows()[0])
		}
	})
}

// BenchmarkShadows says what shadows add to a call. Calls without and with shadows
// take turns, and the quickest of many short runs count.
func BenchmarkShadows(b *testing.B) {
	calls := []struct {
		name string
		call func(guard)
	}{
		{"Do", func(g guard) { _ = g.do(nop) }},
		{"Allow", func(g guard) { p, _ := g.allow(); p.Done(nil) }},
		{"context", func(g guard) { p, _ := g.b.AllowContext(bg); _ = p.DoneContext(bg, nil) }},
		{"Do fails, then ok", func(g guard) { _ = g.do(broken); _ = g.do(nop) }},
	}
	for _, kind := range []struct {
		name string
		s    Settings
	}{{"consecutive", Settings{}}, {"rate", Settings{FailMax: -1, FailureRate: 1, MinCalls: 1 << 30}}} {
		for _, n := range []int{1, 4} {
			for _, c := range calls {
				b.Run(fmt.Sprintf("%s/%d/%s", kind.name, n, c.name), func(b *testing.B) {
					b.ReportAllocs()
					without, with := New("x", Settings{}), New("x", Settings{})
					for i := range n {
						_ = with.Shadow(fmt.Sprint("s", i), kind.s)
					}
					reportOnTop(b, 1, guard{b: without}, guard{b: with}, c.call)
				})
			}
		}
	}
}

// Shadows judge recorded calls, too.
func TestRecordedCallsAreShadowed(t *testing.T) {
	for _, call := range []func(b *Breaker){
		func(b *Breaker) { _ = b.Do(bg, nop) },
		func(b *Breaker) { _, _ = Do(bg, b, func(context.Context) (int, error) { return 1, nil }) },
		func(b *Breaker) { p, _ := b.Allow(); p.Done(nil) },
		func(b *Breaker) { p, _ := b.AllowContext(bg); _ = p.DoneContext(bg, nil) },
	} {
		m, _ := tapedOn(t, Settings{}, 1<<16)
		b := m.Breaker("x")
		if err := b.Shadow("loose", Settings{FailMax: 100}); err != nil {
			t.Fatal(err)
		}
		call(b)
		if saw := b.Shadows()[0].Saw; saw != 1 {
			t.Errorf("the shadow saw %d calls, want 1", saw)
		}
	}
}
