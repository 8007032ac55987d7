package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProbeDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{FailMax: 1, ResetTimeout: time.Minute})
		failTimes(b, 1)
		time.Sleep(time.Minute - time.Nanosecond)
		if ran := failTimes(b, 1); ran != 0 {
			t.Fatal("a call ran before the open time was over")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if ran := failTimes(b, 3); ran != 1 {
			t.Fatalf("%d calls ran after the open time, want the probe alone", ran)
		}
		is(t, b, Open)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := b.Do(bg, nop); err != nil {
			t.Fatalf("the probe was rejected: %v", err)
		}
		is(t, b, Closed)
	})
}

// closeByProbe opens b and closes it by a probe, so that its ramp begins.
func closeByProbe(t *testing.T, b *Breaker) {
	t.Helper()
	b.Open(Order{For: time.Second})
	time.Sleep(time.Second)
	synctest.Wait()
	play(b, "s")
	is(t, b, Closed)
}

// The admitted share grows evenly: at each moment it is the share of the time
// that has passed, and the admitted calls are spread, not bunched.
func TestRampIsEven(t *testing.T) {
	for _, gap := range []time.Duration{7 * time.Millisecond, 37 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const over = 100 * time.Second
			b := New("x", Settings{FailMax: 1, Ramp: over})
			closeByProbe(t, b)
			began := time.Now()
			owed, admitted, rejectedInRow, longest := 0.0, 0, 0, 0
			for time.Since(began) < over {
				share := float64(time.Since(began)) / float64(over)
				owed += share
				if got := b.Status().Admitted; math.Abs(got-share) > 1e-9 {
					t.Fatalf("after %s Status says %v, want %v", time.Since(began), got, share)
				}
				err := b.Do(t.Context(), nop)
				var open *OpenError
				switch {
				case err == nil:
					admitted++
					rejectedInRow = 0
				case errors.As(err, &open) && open.State == Closed:
					rejectedInRow++
				default:
					t.Fatalf("rejected with %v", err)
				}
				if time.Since(began) > over/2 {
					longest = max(longest, rejectedInRow)
				}
				if math.Abs(owed-float64(admitted)) > 1.001 {
					t.Fatalf("after %s %d calls were admitted, %.1f were owed", time.Since(began), admitted, owed)
				}
				time.Sleep(gap)
			}
			if longest > 1 {
				t.Errorf("above a half, %d calls in a row were rejected", longest)
			}
			for range 1000 {
				if err := b.Do(t.Context(), nop); err != nil {
					t.Fatalf("after the ramp: %v", err)
				}
			}
			if got := b.Status().Admitted; got != 1 {
				t.Errorf("after the ramp Status says %v", got)
			}
			is(t, b, Closed)
		})
	}
}

// A trip during the ramp continues the backoff; one after it starts again.
func TestTripDuringRamp(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		after time.Duration // from closing
		want  time.Duration
	}{
		{"during", 50 * s, 20 * s},
		{"at its end", 100 * s, 10 * s},
		{"long after", time.Hour, 10 * s},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New("x", Settings{FailMax: 1, ResetTimeout: 10 * s, ResetBackoff: 2, Ramp: 100 * s})
				play(b, "f") // attempt 1
				time.Sleep(10 * s)
				synctest.Wait()
				play(b, "s")
				is(t, b, Closed)
				time.Sleep(c.after)
				for b.State() == Closed { // some calls are rejected
					play(b, "f")
				}
				if got := b.Status().UntilHalfOpen; got != c.want {
					t.Errorf("open for %s, want %s", got, c.want)
				}
			})
		})
	}
}

// Without a ramp a close forgets the attempts at once.
func TestNoRampForgetsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: 10 * time.Second, ResetBackoff: 2})
		play(b, "f..........")
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
		play(b, "f")
		if got := b.Status().UntilHalfOpen; got != 10*time.Second {
			t.Errorf("open for %s, want 10s", got)
		}
	})
}

// The ramp is for a breaker that closes automatically: an order to close
// admits all calls, whatever the state before.
func TestOrderedCloseHasNoRamp(t *testing.T) {
	for _, prepare := range []func(*Breaker){
		func(b *Breaker) { b.Open(Order{}) },
		func(b *Breaker) { b.HalfOpen(Order{}) },
		func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") }, // in a ramp
	} {
		b := New("x", Settings{Ramp: time.Hour})
		prepare(b)
		b.Close(Order{Actor: "ana"})
		if got := b.Status().Admitted; got != 1 {
			t.Errorf("an ordered close admits %v", got)
		}
		if err := b.Do(t.Context(), nop); err != nil {
			t.Error(err)
		}
	}
}

// Calls keep the ramp's pace however they end, and an update does not change a
// ramp in progress.
func TestRampUnderUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, Ramp: 100 * time.Second})
		closeByProbe(t, b)
		time.Sleep(50 * time.Second)
		if err := b.Update(Settings{FailMax: 2}); err != nil {
			t.Fatal(err)
		}
		if got := b.Status().Admitted; got != 0.5 {
			t.Errorf("after the update %v are admitted, want a half", got)
		}
		time.Sleep(50 * time.Second)
		for range 10 {
			if err := b.Do(t.Context(), nop); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// ended lists every way in which a probe can end or fail to end.
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

// I1 to I4: what the end of a probe does, and that half-open always admits
// again.
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
							b.HalfOpen(Order{}) // it is not a probe, and does not begin half-open
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

// A probe that outlasts its lease loses its place, but its result still
// counts, whether or not another call has asked meanwhile (I1).
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

func TestSuccessThreshold(t *testing.T) {
	b := New("x", Settings{FailMax: 1, SuccessThreshold: 3})
	b.HalfOpen(Order{})
	play(b, "sis")
	is(t, b, HalfOpen)
	play(b, "s")
	is(t, b, Closed)
	b.HalfOpen(Order{})
	play(b, "ss")
	is(t, b, HalfOpen) // the successes of the last half-open period are forgotten
	play(b, "f")
	is(t, b, Open)
}

// A slow probe shows that the dependency has not recovered, but only if there
// is a rule about slow calls.
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

// The counts start at zero after each close: the window, the failures in a row
// and the recorded errors.
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

// Lease numbers wrap around, and none is 0, which means no lease.
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

// Leases that run out leave nothing behind, however many probes hang.
func TestHungProbesDoNotPileUp(t *testing.T) {
	b := New("x", Settings{Probes: 2, ProbeTimeout: time.Nanosecond})
	b.HalfOpen(Order{})
	for range 1000 {
		if _, err := b.Allow(); err != nil {
			continue // within the nanosecond
		}
	}
	if n := len(b.cold.Load().probes.out); n > mostLeases+2 {
		t.Errorf("%d leases are kept, want at most %d", n, mostLeases+2)
	}
}

// The result of a probe that ends after its lease counts, so that a healthy
// dependency that takes longer than that can close the breaker. Before, in one
// hour 719 calls succeeded, none failed, 2,881 were rejected, and it stayed
// half-open.
func TestLateProbeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{ProbeTimeout: time.Second})
		b.HalfOpen(Order{})
		p, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		p.Done(nil)
		if got := b.State(); got != Closed {
			t.Errorf("state after a probe that succeeded past its lease: %s, want closed", got)
		}
	})
}

// Each lease that runs out without a result doubles the next one, up to
// ResetMax: a dependency that hangs is not probed at the same pace forever.
func TestLeasesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{ProbeTimeout: time.Second, ResetTimeout: time.Second, ResetBackoff: 2, ResetMax: 6 * time.Second})
		if err := b.HalfOpen(Order{}); err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{1, 2, 4, 6, 6} {
			if _, err := b.Allow(); err != nil {
				t.Fatalf("probe %d: %v", i, err)
			}
			if got := b.Status().UntilNextProbe; got != want*time.Second {
				t.Errorf("probe %d has a lease of %s, want %s", i, got, want*time.Second)
			}
			wait(want*time.Second - 1)
			if _, err := b.Allow(); err == nil {
				t.Fatalf("a probe within lease %d", i)
			}
			wait(1)
		}
	})
}

// Only leases that ran out lengthen the next one, not probes that are running
// at the same time, nor those of an earlier half-open period.
func TestLeaseIsOfExpiredProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("db", Settings{Probes: 3, SuccessThreshold: 9, ProbeTimeout: time.Second, ResetTimeout: time.Second, ResetBackoff: 2})
		lease := func(want time.Duration) {
			t.Helper()
			probes := &b.cold.Load().probes
			l := probes.out[len(probes.out)-1]
			if got := l.ends.Sub(l.began); got != want {
				t.Errorf("a lease of %s, want %s", got, want)
			}
		}
		_ = b.HalfOpen(Order{})
		for range 3 {
			if _, err := b.Allow(); err != nil {
				t.Fatal(err)
			}
			lease(time.Second)
		}
		wait(time.Second)
		_, _ = b.Allow()
		lease(8 * time.Second) // three ran out
		_ = b.HalfOpen(Order{})
		_, _ = b.Allow()
		lease(time.Second)
	})
}

// After Update has left fewer places than there are leases, so many of them must
// run out that one place is free.
func TestNextPlaceAfterFewerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := Settings{FailMax: 1, Probes: 3, ProbeTimeout: 30 * time.Second}
		b := New("x", set)
		b.HalfOpen(Order{})
		for range 3 {
			_, _ = b.Allow()
			wait(10 * time.Second)
		} // they end in 0, 10 and 20 s from now
		for probes, want := range map[int]time.Duration{2: 10 * time.Second, 1: 20 * time.Second} {
			set.Probes = probes
			if err := b.Update(set); err != nil {
				t.Fatal(err)
			}
			if got := b.Status().UntilNextProbe; got != want {
				t.Errorf("%d probes: the next in %s, want %s", probes, got, want)
			}
			var rejected *OpenError
			if !errors.As(b.Do(bg, nop), &rejected) || rejected.RetryAfter() != want {
				t.Errorf("%d probes: a rejection says %s, want %s", probes, rejected.RetryAfter(), want)
			}
		}
	})
}

// After an Update of ProbeTimeout, the lease that was taken last may end first.
func TestNextPlaceAfterShorterLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := Settings{Probes: 2, ProbeTimeout: 30 * time.Second}
		b := New("x", set)
		_ = b.HalfOpen(Order{})
		_, _ = b.Allow()
		set.ProbeTimeout = 5 * time.Second
		_ = b.Update(set)
		_, _ = b.Allow()
		if got := b.Status().UntilNextProbe; got != 5*time.Second {
			t.Errorf("the next in %s, want 5s", got)
		}
	})
}

// Probes that never report are given up when there are too many, the oldest first.
func TestMostLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{ProbeTimeout: time.Second})
		_ = b.HalfOpen(Order{})
		var all []Permit
		for range mostLeases + 3 {
			p, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
			time.Sleep(time.Second)
		}
		if got := len(b.cold.Load().probes.out); got != mostLeases+1 {
			t.Errorf("%d leases are kept, want %d", got, mostLeases+1)
		}
		all[0].Done(nil)
		all[1].Done(errX)
		is(t, b, HalfOpen)
		all[2].Done(nil)
		is(t, b, Closed)
	})
}
