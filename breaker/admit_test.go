package breaker

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A call that looked at the word while the breaker was half-open, say, may find
// it closed once it has the lock: it runs as any other.
func TestClosedBeforeTheLock(t *testing.T) {
	for name, do := range map[string]func(*Breaker){
		"new":    func(*Breaker) {},
		"closed": func(b *Breaker) { b.HalfOpen(Order{}); play(b, "s") },
	} {
		b := New("db", Settings{})
		do(b)
		p, ok := b.admitLocking(mark{})
		if !ok {
			t.Errorf("%s: not admitted", name)
			continue
		}
		p.Done(errX)
		if n := b.FailCount(); n != 1 {
			t.Errorf("%s: %d failures, want 1", name, n)
		}
	}
}

// A listener that exits the goroutine when it hears of half-open does not take
// the probe's place with it (I2).
func TestGoexitAtHalfOpenReturnsThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second, ProbeTimeout: time.Hour},
			WithListener(Listener{StateChange: func(_ *Breaker, x Transition) {
				if x.To == HalfOpen {
					runtime.Goexit()
				}
			}}))
		_ = b.Do(t.Context(), broken)
		time.Sleep(time.Second)
		synctest.Wait()
		go func() {
			_, err := b.Allow()
			t.Errorf("Allow returned (%v), want its goroutine to be gone", err)
		}()
		synctest.Wait()
		if n := b.Status().ProbesOut; n != 0 {
			t.Errorf("%d probes are out, want none", n)
		}
	})
}
