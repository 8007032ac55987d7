package breaker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Every way to make a call counts how long it took, if it was timed and observed.
func TestLatencyCounts(t *testing.T) {
	ways := map[string]func(b *Breaker, took time.Duration, err error){
		"Do": func(b *Breaker, took time.Duration, err error) {
			_ = b.Do(context.Background(), func(context.Context) error { time.Sleep(took); return err })
		},
		"Allow": func(b *Breaker, took time.Duration, err error) {
			p, refused := b.Allow()
			if refused != nil {
				panic(refused)
			}
			time.Sleep(took)
			p.Done(err)
		},
	}
	for name, call := range ways {
		for _, slow := range []time.Duration{0, 100 * time.Millisecond, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				settings := Settings{FailMax: 100}
				if slow > 0 {
					settings.SlowCall, settings.SlowRate, settings.MinCalls = slow, 1, 100
				}
				m := NewManager(settings)
				b := m.Breaker("db")
				call(b, time.Second, nil) // before anything observes
				stop := m.Observe()
				call(b, 0, nil)
				call(b, 35*time.Millisecond, nil)
				call(b, 150*time.Millisecond, errX)
				call(b, 700*time.Millisecond, nil)
				call(b, 2*time.Minute, errX)
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				_ = b.Do(gone, func(ctx context.Context) error { return ctx.Err() }) // no evidence
				stop()
				call(b, time.Second, nil)
				l := callsOf(m, "db").Latency
				if slow == 0 {
					if l != (Latency{}) {
						t.Errorf("%s: calls are counted that nothing timed: %+v", name, l)
					}
					return
				}
				want := Latency{}
				if slow == time.Minute {
					want.buckets[3] = 1 // by the coarse clock, a call of less than 10 ms
				} else {
					want.buckets[0] = 1
				}
				want.buckets[5], want.buckets[7], want.buckets[9], want.buckets[15] = 1, 1, 1, 1
				if l != want {
					t.Errorf("%s, SlowCall %s: %v, want %v", name, slow, l, want)
				}
			})
		}
	}
}

func TestLatencyWithin(t *testing.T) {
	var l Latency
	if d, ok := l.Within(0.5); ok {
		t.Errorf("%s of no calls, want none", d)
	}
	l.buckets[0], l.buckets[3], l.buckets[9], l.buckets[15] = 50, 40, 9, 1
	for _, x := range []struct {
		share float64
		want  time.Duration
		ok    bool
	}{
		{0, time.Millisecond, true},
		{0.5, time.Millisecond, true},
		{0.51, 10 * time.Millisecond, true},
		{0.9, 10 * time.Millisecond, true},
		{0.99, time.Second, true},
		{0.995, 0, false},
	} {
		if d, ok := l.Within(x.share); d != x.want || ok != x.ok {
			t.Errorf("Within(%g) = %s, %t, want %s, %t", x.share, d, ok, x.want, x.ok)
		}
	}
	if twice := l.Plus(l); twice.Count() != 200 || twice.Minus(l) != l {
		t.Errorf("twice is %v, half of that %v", twice, twice.Minus(l))
	}
}

// A bound is part of its bucket, and every bucket is read, however many
// goroutines count.
func TestLatencyBuckets(t *testing.T) {
	var c latencyCount
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				for _, bound := range latencyBounds {
					c.add(bound)
				}
				c.add(time.Hour)
			}
		})
	}
	all.Wait()
	for i, n := range c.read().buckets {
		if n != 800 {
			t.Errorf("bucket %d has %d calls, want 800", i, n)
		}
	}
}

// One look at the coarse clock is enough if another call has just read it.
func TestLatencyByOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{SlowCall: time.Minute, SlowRate: 1})
		defer m.Observe()()
		_ = m.Breaker("db").Do(t.Context(), func(ctx context.Context) error {
			time.Sleep(35 * time.Millisecond)
			return m.Breaker("other").Do(ctx, nop)
		})
		if l := callsOf(m, "db").Latency; l.buckets[5] != 1 || l.Count() != 1 {
			t.Errorf("a call of 35 ms is counted as %+v", l)
		}
	})
}
