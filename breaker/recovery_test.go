package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ended is every way in which a probe can end, or not.
var ended = map[string]struct {
	probe func(*Breaker)
	want  State // at once
	free  bool  // whether its place is free at once, where that is HalfOpen
}{
	"succeeds": {func(b *Breaker) { _ = b.Do(context.Background(), nop) }, Closed, true},
	"fails":    {func(b *Breaker) { _ = b.Do(context.Background(), broken) }, Open, false},
	"is excluded": {func(b *Breaker) {
		_ = b.Do(context.Background(), func(context.Context) error { return errNotFound })
	}, Closed, true},
	"is canceled by its caller": {func(b *Breaker) {
		ctx, cancel := context.WithCancel(context.Background())
		_ = b.Do(ctx, func(ctx context.Context) error { cancel(); return ctx.Err() })
	}, HalfOpen, true},
	"is canceled with a cause": {func(b *Breaker) {
		ctx, cancel := context.WithCancelCause(context.Background())
		_ = b.Do(ctx, func(ctx context.Context) error { cancel(errX); return fmt.Errorf("call: %w", context.Cause(ctx)) })
	}, HalfOpen, true},
	"meets its deadline": {func(b *Breaker) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	}, Open, false},
	"panics": {func(b *Breaker) {
		defer func() { _ = recover() }()
		_ = b.Do(context.Background(), func(context.Context) error { panic("bug") })
	}, Open, false},
	"panics with nil": {func(b *Breaker) {
		defer func() { _ = recover() }()
		_ = b.Do(context.Background(), func(context.Context) error { panic(nil) })
	}, Open, false},
	"exits its goroutine": {func(b *Breaker) {
		elsewhere(func() { _ = b.Do(context.Background(), func(context.Context) error { runtime.Goexit(); return nil }) })
	}, Open, false},
	"is ignored":  {func(b *Breaker) { p, _ := b.Allow(); p.Ignore() }, HalfOpen, true},
	"is lost":     {func(b *Breaker) { _, _ = b.Allow() }, HalfOpen, false},
	"bypasses":    {func(b *Breaker) { _ = b.Do(WithBypass(context.Background(), "migration"), broken) }, HalfOpen, true},
	"bypasses ok": {func(b *Breaker) { _ = b.Do(WithBypass(context.Background(), "migration"), nop) }, HalfOpen, true},
	"two steps":   {func(b *Breaker) { p, _ := b.Allow(); p.Done(nil) }, Closed, true},
	"two steps, failing twice": {func(b *Breaker) {
		p, _ := b.Allow()
		p.Done(errX)
		p.Done(nil)
	}, Open, false},
	"has a classifier that panics": {func(b *Breaker) {
		_ = b.Do(context.Background(), func(context.Context) error { return errClassifierPanics })
	}, Open, false},
}

var (
	errNotFound         = errors.New("not found")
	errClassifierPanics = errors.New("classifier panics")
)

func elsewhere(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	<-done
}

// I1 to I4: what a probe's end does, and that half-open always admits again.
func TestHalfOpenMatrix(t *testing.T) {
	for name, c := range ended {
		for _, via := range []string{"elapsed", "ordered"} {
			t.Run(name+", "+via, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := New("x", Settings{FailMax: 1, ProbeTimeout: 20 * time.Second}, WithBypassAllowed(), WithExcluded(ErrorIs(errNotFound), ErrorIf(func(err error) bool {
						if errors.Is(err, errClassifierPanics) {
							panic("classifier")
						}
						return false
					})))
					if via == "elapsed" {
						_ = b.Do(t.Context(), broken)
						time.Sleep(time.Minute)
						synctest.Wait()
						if strings.HasPrefix(name, "bypasses") {
							b.HalfOpen(Order{}) // it is no probe, and does not begin the probing
						}
					} else {
						b.HalfOpen(Order{})
					}
					c.probe(b)
					is(t, b, c.want)
					p, err := b.Allow()
					if admitted := err == nil; c.want == HalfOpen && admitted != c.free {
						t.Fatalf("another probe is admitted: %v, want %v", admitted, c.free)
					}
					p.Ignore()
					time.Sleep(time.Minute) // longer than the lease and the open time
					synctest.Wait()
					if err := b.Do(t.Context(), nop); err != nil {
						t.Fatalf("in the end it does not admit: %v", err)
					}
					is(t, b, Closed)
				})
			})
		}
	}
}

// A probe that outlasts its lease gives up its place, and its result counts all
// the same, whether another call has asked meanwhile or not (I1).
func TestProbeOutlastsItsLease(t *testing.T) {
	for _, asked := range []bool{true, false} {
		for err, want := range map[error]State{nil: Closed, errX: Open} {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{ProbeTimeout: 5 * time.Second})
				b.HalfOpen(Order{})
				p, _ := b.Allow()
				time.Sleep(4999 * time.Millisecond)
				var open *OpenError
				if _, err := b.Allow(); !errors.As(err, &open) || open.RetryAfter() != time.Millisecond {
					t.Errorf("a second probe before the lease's end: %v, to be tried again after %s, want 1ms", err, open.RetryAfter())
				}
				time.Sleep(time.Millisecond)
				if s := b.Status(); s.ProbesOut != 0 || s.ProbeOutFor != 5*time.Second || s.UntilNextProbe != 0 {
					t.Errorf("at the lease's end: %+v", s)
				}
				if asked {
					q, err := b.Allow()
					if err != nil {
						t.Fatalf("no probe after the lease's end: %v", err)
					}
					defer q.Ignore()
				}
				p.Done(err)
				is(t, b, want)
			})
		}
	}
}

// A probe admitted in an earlier half-open has no say in a later one, although
// its lease's number may be there again.
func TestForeignProbe(t *testing.T) {
	for _, err := range []error{nil, errX} {
		b := New("x", Settings{FailMax: 1, Probes: 2, SuccessThreshold: 2})
		b.HalfOpen(Order{})
		old, _ := b.Allow()
		b.HalfOpen(Order{}) // the same state, a new stretch
		p, _ := b.Allow()
		old.Done(err)
		is(t, b, HalfOpen)
		if s := b.Status(); s.ProbesOut != 1 || s.ProbeSuccesses != 0 {
			t.Errorf("after a foreign probe: %+v", s)
		}
		p.Done(nil)
		if n := b.Status().ProbeSuccesses; n != 1 {
			t.Errorf("%d successes, want 1", n)
		}
	}
}

// I3, with probes that end in every way at once.
func TestProbesNeverExceedTheirLimit(t *testing.T) {
	for _, limit := range []int{1, 3, 16} {
		b := New("x", Settings{Probes: limit, SuccessThreshold: 1 << 30})
		b.HalfOpen(Order{})
		var out, most, admitted atomic.Int64
		var wg sync.WaitGroup
		for g := range 32 {
			wg.Go(func() {
				for i := range 500 {
					p, err := b.Allow()
					if err != nil {
						runtime.Gosched()
						continue
					}
					n := out.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					admitted.Add(1)
					runtime.Gosched()
					out.Add(-1)
					if (g+i)%3 == 0 {
						p.Ignore()
					} else {
						p.Done(nil)
					}
				}
			})
		}
		wg.Wait()
		if m := most.Load(); m > int64(limit) || admitted.Load() < int64(limit) {
			t.Errorf("Probes %d: %d at once, %d in all", limit, m, admitted.Load())
		}
		if n := b.Status().ProbesOut; n != 0 {
			t.Errorf("Probes %d: %d leases left over", limit, n)
		}
	}
}

func TestSuccessThreshold(t *testing.T) {
	b := New("x", Settings{FailMax: 1, SuccessThreshold: 3})
	b.HalfOpen(Order{})
	play(b, "sis")
	is(t, b, HalfOpen)
	play(b, "s")
	is(t, b, Closed)
	b.HalfOpen(Order{})
	play(b, "ss")
	is(t, b, HalfOpen) // the successes of the last time are forgotten
	play(b, "f")
	is(t, b, Open)
}

// A slow probe shows that the dependency is as it was, but only where a rule
// is about slow calls.
func TestSlowProbe(t *testing.T) {
	for _, c := range []struct {
		s    Settings
		want State
	}{
		{Settings{SlowCall: time.Second, SlowRate: 0.5}, Open},
		{Settings{SlowCall: time.Second}, Closed},
		{Settings{}, Closed},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", c.s)
			b.HalfOpen(Order{})
			play(b, "S")
			is(t, b, c.want)
			if last := b.History()[len(b.History())-1]; c.want == Open && last.Summary() != "the probe was slow" {
				t.Errorf("the record says %q", last.Summary())
			}
		})
	}
}

// The counts start at zero with each close: the window, the failures in a row
// and the errors on record.
func TestCloseForgets(t *testing.T) {
	for _, c := range []Settings{
		{FailMax: 3, FailureRate: 0.5, MinCalls: 6},
		{FailMax: 3, FailureRate: 0.5, MinCalls: 6, WindowCalls: 10},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", c)
			play(b, "sfsfsf") // opens by rate, with one failure in a row
			is(t, b, Open)
			time.Sleep(time.Minute)
			synctest.Wait()
			play(b, "s")
			is(t, b, Closed)
			if s := b.Status(); s.Window != (Counts{}) || s.FailCount != 0 {
				t.Errorf("after closing: %+v, %d in a row", s.Window, s.FailCount)
			}
			play(b, "sf")
			if s := b.Status(); s.Window != (Counts{2, 1, 0, 1}) || s.FailCount != 1 {
				t.Errorf("two calls later: %+v, %d in a row", s.Window, s.FailCount)
			}
		})
	}
}

// openTimes opens b again and again by failing probes and returns how long it
// stayed open each time.
func openTimes(t *testing.T, b *Breaker, n int) (times []time.Duration) {
	t.Helper()
	for b.State() == Closed {
		_ = b.Do(t.Context(), broken)
	}
	for range n {
		began := time.Now()
		s := b.Status()
		time.Sleep(s.UntilHalfOpen - time.Nanosecond)
		synctest.Wait()
		if err := b.Do(t.Context(), broken); !errors.Is(err, ErrOpen) {
			t.Fatalf("a probe before the open time of %s is over: %v", s.UntilHalfOpen, err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		times = append(times, time.Since(began))
		if err := b.Do(t.Context(), broken); !errors.Is(err, errX) {
			t.Fatalf("no probe after the open time of %s: %v", s.UntilHalfOpen, err)
		}
	}
	return times
}

func TestBackoff(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		s    Settings
		want []time.Duration
	}{
		{Settings{ResetTimeout: 10 * s}, []time.Duration{10 * s, 10 * s, 10 * s}},
		{Settings{ResetTimeout: 10 * s, ResetBackoff: 2}, []time.Duration{10 * s, 20 * s, 40 * s, 80 * s}},
		{Settings{ResetTimeout: 10 * s, ResetBackoff: 1.5, ResetMax: 20 * s}, []time.Duration{10 * s, 15 * s, 20 * s, 20 * s}},
		{Settings{ResetTimeout: 10 * s, ResetMax: 30 * s}, []time.Duration{10 * s, 10 * s, 10 * s}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", c.s)
			got := openTimes(t, b, len(c.want))
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v: open for %v, want %v", c.s, got, c.want)
			}
			// Back to the start on close.
			time.Sleep(time.Hour)
			synctest.Wait()
			play(b, "s")
			is(t, b, Closed)
			if got := openTimes(t, b, 1); got[0] != 10*s {
				t.Errorf("%v: after a close open for %v", c.s, got)
			}
		})
	}
}

// However often it fails, the open time stays a time.
func TestBackoffDoesNotOverflow(t *testing.T) {
	for _, s := range []Settings{
		{ResetBackoff: 1e300},
		{ResetBackoff: 2, ResetJitter: 0.999},
		{ResetTimeout: 1<<63 - 1, ResetBackoff: 3, ResetJitter: 0.5},
	} {
		s := New("x", s).settings()
		for _, attempt := range []int{1, 2, 64, 1 << 20} {
			for _, draw := range []float64{0, 0.5, 0.9999999} {
				_, d := trip(auto{attempt: attempt - 1}, s, &event{draw: draw}, decision{})
				if d.openFor <= 0 {
					t.Errorf("%v, attempt %d: open for %d", s.Settings, attempt, d.openFor)
				}
			}
		}
	}
}

// An order, and an override, is no failed attempt.
func TestOrdersDoNotLengthenTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Minute, ResetBackoff: 2})
		for range 5 {
			b.Open(Order{})
			b.ForceOpen(Order{})
			b.Release(Order{})
		}
		is(t, b, HalfOpen)
		play(b, "f")
		if got := b.Status().UntilHalfOpen; got != time.Minute {
			t.Errorf("the first failure opens it for %s, want 1m", got)
		}
		b.Open(Order{})
		if got := b.Status().UntilHalfOpen; got != time.Minute {
			t.Errorf("an order opens it for %s, want 1m", got)
		}
		b.Open(Order{For: 5 * time.Second})
		if got := b.Status().UntilHalfOpen; got != 5*time.Second {
			t.Errorf("an order for 5s opens it for %s", got)
		}
	})
}

// Each open time is drawn evenly from its range.
func TestJitter(t *testing.T) {
	const n, bins = 5000, 10
	b := New("x", Settings{FailMax: 1, ResetTimeout: 100 * time.Second, ResetJitter: 0.2})
	var seen [bins]int
	for range n {
		b.Close(Order{})
		play(b, "f")
		h := b.History()
		d := h[len(h)-1].OpenFor
		if d < 80*time.Second || d > 120*time.Second {
			t.Fatalf("open for %s, want 80s to 120s", d)
		}
		seen[min(bins-1, int((d-80*time.Second)*bins/(40*time.Second)))]++
	}
	for i, k := range seen {
		if k < n/bins*8/10 || k > n/bins*12/10 {
			t.Errorf("tenth %d of the range was drawn %d times of %d", i, k, n)
		}
	}
}

type busy struct{ wait time.Duration }

func (busy) Error() string               { return "too many requests" }
func (b busy) RetryAfter() time.Duration { return b.wait }

type busyPanics struct{ error }

func (busyPanics) RetryAfter() time.Duration { panic("hint") }

func TestHint(t *testing.T) {
	const s = time.Second
	ten := Settings{FailMax: 1, ResetTimeout: 10 * s}
	limited := ten
	limited.ResetMax = 30 * s
	tight := ten
	tight.ResetMax = 10 * s
	for _, c := range []struct {
		name string
		s    Settings
		err  error
		want time.Duration
		hint time.Duration // on record
	}{
		{"none", ten, errX, 10 * s, 0},
		{"longer", ten, busy{25 * s}, 25 * s, 25 * s},
		{"wrapped", ten, fmt.Errorf("charge: %w", fmt.Errorf("post: %w", busy{25 * s})), 25 * s, 25 * s},
		{"joined", ten, errors.Join(errX, busy{25 * s}), 25 * s, 25 * s},
		{"shorter", ten, busy{5 * s}, 10 * s, 0},
		{"as long", ten, busy{10 * s}, 10 * s, 0},
		{"negative", ten, busy{-5 * s}, 10 * s, 0},
		{"no longer by ResetMax", tight, busy{time.Hour}, 10 * s, 0},
		{"beyond ten times", ten, busy{time.Hour}, 100 * s, time.Hour},
		{"beyond ResetMax", limited, busy{time.Hour}, 30 * s, time.Hour},
		{"panics", ten, busyPanics{errX}, 10 * s, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("x", c.s)
			_ = b.Do(t.Context(), func(context.Context) error { return c.err })
			h := b.History()
			if len(h) != 1 || h[0].OpenFor != c.want || h[0].HintedFor != c.hint || b.Status().UntilHalfOpen != c.want {
				t.Errorf("%s: history %+v, want open for %s", c.name, h, c.want)
			}
			var open *OpenError
			if err := b.Do(t.Context(), nop); !errors.As(err, &open) || open.RetryAfter() != c.want {
				t.Errorf("%s: rejected with %v", c.name, err)
			}
		})
	}
}

// A failing probe's hint counts too; one in a closed breaker that does not
// open has no effect.
func TestHintOfAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 3, ResetTimeout: 10 * time.Second})
		hinted := func(context.Context) error { return busy{20 * time.Second} }
		_ = b.Do(t.Context(), hinted)
		_ = b.Do(t.Context(), hinted)
		play(b, "f")
		if d := b.Status().UntilHalfOpen; d != 10*time.Second {
			t.Errorf("hints of earlier failures lengthen the open time to %s", d)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		_ = b.Do(t.Context(), hinted)
		if d := b.Status().UntilHalfOpen; d != 20*time.Second {
			t.Errorf("after the probe's hint open for %s, want 20s", d)
		}
	})
}

// Lease numbers go round, and none is 0, which is no lease.
func TestLeaseNumbersGoRound(t *testing.T) {
	now := time.Now()
	r := New("x", Settings{Probes: 5}).settings()
	p := probes{last: math.MaxUint32 - 1}
	for _, want := range []uint32{math.MaxUint32, 1, 2} {
		if got, ok := p.take(r, now); got != want || !ok {
			t.Errorf("lease %d, want %d", got, want)
		}
	}
	if p.free(0) || p.live(now) != 3 {
		t.Error("a lease of no number was freed")
	}
	if !p.free(1) || p.free(1) || p.live(now) != 2 {
		t.Error("want a lease to be freed once")
	}
}
