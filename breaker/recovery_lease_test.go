package breaker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

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
