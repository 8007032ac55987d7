package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// The end of a ramp forgets no failure that was counted in it.
func TestFailureInRampCountsAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 5, Ramp: time.Minute})
		_ = b.HalfOpen(Order{})
		play(b, "s")
		p, _ := b.Allow()
		for ; p == (Permit{}) || p.over(); p, _ = b.Allow() {
			time.Sleep(time.Second)
		}
		p.Done(errX)
		time.Sleep(time.Minute)
		play(b, "i") // it ends the ramp
		if got := b.FailCount(); got != 1 || b.load()&flagRamp != 0 {
			t.Errorf("%d failures, want 1", got)
		}
	})
}
