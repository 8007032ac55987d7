package breaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// A call that was held up between reading the clock and being turned away does
// not lengthen the open time by that.
func TestCallHeldUpDoesNotLengthenTheOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New("x", Settings{FailMax: 1, ResetTimeout: time.Second})
		then := time.Now()
		time.Sleep(time.Hour)
		play(b, "f")
		b.mu.Lock()
		_, ok := b.admitLocked(then, bypass{})
		b.mu.Unlock()
		if ok {
			t.Fatal("admitted")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		play(b, "s")
		is(t, b, Closed)
	})
}
