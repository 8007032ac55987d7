package breaker

import (
	"context"
	"fmt"
	"runtime"
	"testing"
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
