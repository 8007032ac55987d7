package breaker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// WaitReady returns as soon as a call could be admitted, whatever causes that:
// time, an order, or the end of a probe.
func TestWaitReady(t *testing.T) {
	s := Settings{FailMax: 1, ResetTimeout: 10 * time.Second, Probes: 2, SuccessThreshold: 3, ProbeTimeout: 20 * time.Second}
	probes := func(b *Breaker) (ps []Permit) {
		_ = b.HalfOpen(Order{})
		for range 2 {
			p, _ := b.Allow()
			ps = append(ps, p)
		}
		return ps
	}
	for name, c := range map[string]struct {
		before func(b *Breaker) []Permit
		after5 func(b *Breaker, ps []Permit) // after five seconds
		want   time.Duration                 // from the beginning
	}{
		"closed":                       {nil, nil, 0},
		"open":                         {func(b *Breaker) []Permit { play(b, "f"); return nil }, nil, 10 * time.Second},
		"open, rejecting":              {func(b *Breaker) []Permit { play(b, "fs"); return nil }, nil, 10 * time.Second},
		"due":                          {func(b *Breaker) []Permit { play(b, "fs.........."); return nil }, nil, 10 * time.Second},
		"due, not called":              {func(b *Breaker) []Permit { play(b, "f............"); return nil }, nil, 12 * time.Second},
		"opened again meanwhile":       {func(b *Breaker) []Permit { play(b, "f"); return nil }, func(b *Breaker, _ []Permit) { _ = b.Open(Order{For: time.Hour}) }, time.Hour + 5*time.Second},
		"closed meanwhile":             {func(b *Breaker) []Permit { play(b, "f"); return nil }, func(b *Breaker, _ []Permit) { _ = b.Close(Order{}) }, 5 * time.Second},
		"held by a peer":               {func(b *Breaker) []Permit { play(b, "f"); return nil }, func(b *Breaker, _ []Permit) { b.Peer().Hold(b.Status().Version, time.Minute) }, 65 * time.Second},
		"let go by a peer":             {func(b *Breaker) []Permit { play(b, "f"); return nil }, func(b *Breaker, _ []Permit) { b.Peer().Hold(b.Status().Version, 0) }, 5 * time.Second},
		"half-open":                    {func(b *Breaker) []Permit { _ = b.HalfOpen(Order{}); return nil }, nil, 0},
		"half-open, probes out":        {probes, nil, 20 * time.Second},
		"half-open, a probe ends":      {probes, func(_ *Breaker, ps []Permit) { ps[0].Done(nil) }, 5 * time.Second},
		"half-open, a probe ignored":   {probes, func(_ *Breaker, ps []Permit) { ps[0].Ignore() }, 5 * time.Second},
		"half-open, a probe fails":     {probes, func(_ *Breaker, ps []Permit) { ps[0].Done(errX) }, 15 * time.Second},
		"forced closed over open":      {func(b *Breaker) []Permit { play(b, "f"); _ = b.ForceClosed(Order{}); return nil }, nil, 0},
		"forced open for a minute":     {func(b *Breaker) []Permit { _ = b.ForceOpen(Order{For: time.Minute}); return nil }, nil, time.Minute},
		"forced open, over open":       {func(b *Breaker) []Permit { play(b, "f"); _ = b.ForceOpen(Order{For: time.Second}); return nil }, nil, time.Second},
		"forced open, then released":   {func(b *Breaker) []Permit { _ = b.ForceOpen(Order{}); return nil }, func(b *Breaker, _ []Permit) { _ = b.Release(Order{}) }, 5 * time.Second},
		"forced open, then closed":     {func(b *Breaker) []Permit { _ = b.ForceOpen(Order{}); return nil }, func(b *Breaker, _ []Permit) { _ = b.ForceClosed(Order{}) }, 5 * time.Second},
		"forced open, then for longer": {func(b *Breaker) []Permit { _ = b.ForceOpen(Order{For: 6 * time.Second}); return nil }, func(b *Breaker, _ []Permit) { _ = b.ForceOpen(Order{For: time.Hour}) }, time.Hour + 5*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New("b", s)
			began := time.Now()
			var ps []Permit
			if c.before != nil {
				ps = c.before(b)
			}
			const waiters = 3
			ready := make(chan time.Duration, waiters)
			for range waiters {
				go func() {
					if err := b.WaitReady(t.Context()); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					ready <- time.Since(began)
				}()
			}
			if c.after5 != nil {
				wait(5 * time.Second)
				c.after5(b, ps)
			}
			for range waiters {
				if got := <-ready; got != c.want {
					t.Errorf("%s: ready after %s, want %s", name, got, c.want)
				}
			}
		})
	}
}

// WaitReady gives up when its context is done.
func TestWaitReadyGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", Settings{FailMax: 1, ResetTimeout: time.Hour})
		play(b, "f")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := b.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s, want the context's error after 1s", err, time.Since(began))
		}
		if err := b.WaitReady(nil); err != nil || time.Since(began) != time.Hour { //nolint:staticcheck // nil is never over
			t.Errorf("%v after %s, want none after 1h", err, time.Since(began))
		}
	})
}

// listenForReady runs f with a breaker that opens for ten seconds, once for
// each kind of breaker and each way to add a listener that records the end of
// that time.
func listenForReady(t *testing.T, f func(t *testing.T, b *Breaker, received *listenerLog, add func() (remove func()))) {
	for of, add := range map[string]func(m *Manager, b *Breaker, l Listener) (remove func()){
		"the breaker": func(_ *Manager, b *Breaker, l Listener) func() { return b.AddListener(l) },
		"the manager": func(m *Manager, _ *Breaker, l Listener) func() { return m.AddListener(l) },
	} {
		for _, keyed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				m := NewManager(Settings{FailMax: 1, ResetTimeout: 10 * time.Second})
				b := m.Breaker("b")
				if keyed {
					b = SetOf[string](m, "s").Breaker("k")
				}
				began := time.Now()
				var received listenerLog
				f(t, b, &received, func() func() {
					return add(m, b, Listener{Ready: func(got *Breaker) {
						if got != b {
							t.Errorf("notified of %s", got.ID())
						}
						received.add("ready after %s", units(time.Since(began)))
					}})
				})
				if t.Failed() {
					t.Logf("by a listener of %s, keyed %v", of, keyed)
				}
			})
		}
	}
}

// Listeners are notified once for each open period that it is over, without a
// call. They are not notified if it ends in another way.
func TestReadyIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		script func(b *Breaker)
		want   string
	}{
		"no call":          {func(b *Breaker) { play(b, "f") }, "ready after 10s"},
		"calls":            {func(b *Breaker) { play(b, "fs..s...ss.....") }, "ready after 10s"},
		"twice":            {func(b *Breaker) { play(b, "f..........f") }, "ready after 10s, ready after 20s"},
		"closed before":    {func(b *Breaker) { play(b, "f."); _ = b.Close(Order{}) }, ""},
		"half-open before": {func(b *Breaker) { play(b, "f."); _ = b.HalfOpen(Order{}) }, ""},
		"opened for long":  {func(b *Breaker) { play(b, "f."); _ = b.Open(Order{For: time.Minute}) }, "ready after 1m1s"},
		"held by a peer":   {func(b *Breaker) { play(b, "f."); b.Peer().Hold(b.Status().Version, time.Minute) }, "ready after 1m1s"},
	} {
		listenForReady(t, func(t *testing.T, b *Breaker, received *listenerLog, add func() func()) {
			add()
			c.script(b)
			wait(time.Hour)
			if got := received.take(); got != c.want {
				t.Errorf("%s: received %q, want %q", name, got, c.want)
			}
		})
	}
}

// A listener that is added while the breaker is open is also notified of the
// end of this open time, and of nothing after it has been removed.
func TestReadyIsReportedToLaterListeners(t *testing.T) {
	listenForReady(t, func(t *testing.T, b *Breaker, received *listenerLog, add func() func()) {
		play(b, "f...")
		remove := add()
		wait(time.Minute)
		if got := received.take(); got != "ready after 10s" {
			t.Errorf("received %q, want it after 10s", got)
		}
		remove()
		play(b, "f")
		wait(time.Hour)
		if got := received.take(); got != "" {
			t.Errorf("received %q after it was removed", got)
		}
	})
}

// A listener that is added when the open time is over does not delay the
// probe.
func TestReadyAfterTheOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("b", Settings{FailMax: 1, ResetTimeout: 10 * time.Second})
		play(b, "f..........")
		b.AddListener(Listener{Ready: func(*Breaker) { t.Error("notified of the end of an open time that had ended") }})
		if err := b.Do(t.Context(), nop); err != nil {
			t.Errorf("the probe: %v", err)
		}
		wait(time.Hour)
	})
}

// A larger Probes frees places: a goroutine that waits for one goes on.
func TestUpdateWakesWaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		b.HalfOpen(Order{})
		_, _ = b.Allow()
		ready := make(chan time.Time, 1)
		go func() { _ = b.WaitReady(bg); ready <- time.Now() }()
		wait(time.Second)
		now := time.Now()
		if err := b.Update(Settings{FailMax: 1, ResetTimeout: time.Second, Probes: 2}); err != nil {
			t.Fatal(err)
		}
		if at := <-ready; at != now {
			t.Errorf("it waited for another %s", at.Sub(now))
		}
	})
}
