package breaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// From 200 ms on the coarse clock serves.
func TestWhichClockTimesCalls(t *testing.T) {
	for slow, exact := range map[time.Duration]bool{
		0: false, time.Millisecond: true, 200*time.Millisecond - 1: true, 200 * time.Millisecond: false, time.Second: false,
	} {
		if got := New("x", Settings{SlowCall: slow}).settings().exact; got != exact {
			t.Errorf("SlowCall %s: the exact clock: %v, want %v", slow, got, exact)
		}
	}
}

// A short limit is kept by the exact clock though the coarse one is there and
// running, and a long one by the coarse clock whoever else reads it.
func TestSlowCallsBesideOthers(t *testing.T) {
	for _, c := range []struct {
		name     string
		slowCall time.Duration
		begins   time.Duration // after the coarse clock's step
		takes    time.Duration
		slow     int
	}{
		{"quick, late in a step", 5 * time.Millisecond, 9 * time.Millisecond, 0, 0},
		{"slow within a step", 5 * time.Millisecond, time.Millisecond, 7 * time.Millisecond, 1},
		{"slow", time.Second, 0, 2 * time.Second, 1},
		{"quick", time.Second, 0, time.Second / 2, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := NewManager(Settings{SlowCall: time.Second})
			coarse := m.Breaker("coarse")
			b, err := m.Create("db", Settings{SlowCall: c.slowCall})
			if err != nil {
				t.Fatal(err)
			}
			play(coarse, "s") // reads the step
			time.Sleep(c.begins)
			_ = b.Do(t.Context(), func(context.Context) error {
				time.Sleep(c.takes)
				play(coarse, "s")
				return nil
			})
			if got := b.Status().Window; got != (Counts{1, 0, c.slow, c.slow}) {
				t.Errorf("%s: %+v, want 1 call and %d slow", c.name, got, c.slow)
			}
		})
	}
}

// A call that looked at the word before SlowCall was switched off runs untimed.
func TestSlowCallSwitchedOffMeanwhile(t *testing.T) {
	b := New("db", Settings{SlowCall: time.Second})
	w := b.load()
	if err := b.Update(Settings{}); err != nil {
		t.Fatal(err)
	}
	if err := b.doSlow(t.Context(), w, broken); err != errX || b.FailCount() != 1 {
		t.Errorf("%v and %d failures, want the call's own and 1", err, b.FailCount())
	}
}

// Each call is counted once, by whatever way it is made and under every rule.
func TestEachCallCountsOnce(t *testing.T) {
	for name, s := range map[string]Settings{
		"rate":    {FailureRate: 1},
		"calls":   {FailureRate: 1, WindowCalls: 50},
		"slow":    {SlowCall: time.Second},
		"exactly": {SlowCall: 100 * time.Millisecond},
	} {
		for way, do := range map[string]func(b *Breaker, err error){
			"Do": func(b *Breaker, err error) { _ = b.Do(t.Context(), func(context.Context) error { return err }) },
			"Do()": func(b *Breaker, err error) {
				_, _ = Do(t.Context(), b, func(context.Context) (int, error) { return 0, err })
			},
			"Done": func(b *Breaker, err error) {
				if p, no := b.Allow(); no == nil {
					p.Done(err)
				}
			},
			"DoneContext": func(b *Breaker, err error) {
				if p, no := b.AllowContext(t.Context()); no == nil {
					_ = p.DoneContext(t.Context(), err)
				}
			},
		} {
			synctest.Test(t, func(*testing.T) {
				b := New("db", s)
				for i := range 10 {
					var err error
					if i == 4 {
						err = errX
					}
					do(b, err)
				}
				if got := b.Status().Window; got != (Counts{10, 1, 0, 1}) {
					t.Errorf("%s, %s: %+v, want 10 calls and 1 failure", name, way, got)
				}
			})
		}
	}
}
