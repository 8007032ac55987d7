package breaker

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// A cell holds the ten steps that end with the one that is asked for, and those
// that are just ahead of it, wherever the count of steps stands.
func TestCellHoldsTenSteps(t *testing.T) {
	for _, at := range []uint64{100, 1<<31 - 5, 1 << 31, 1<<32 - 3, 1 << 32, 1<<32 + 4} {
		for _, c := range []struct {
			later int64 // steps from the success to the sum
			want  int
		}{
			{0, 1}, {1, 1}, {9, 1}, {10, 0}, {1000, 0}, {-1, 1}, {-10, 1}, {-11, 0}, {1<<31 - 1, 0}, {1<<31 + 5, 0}, {1<<32 - 11, 0},
		} {
			now := uint64(int64(at) + c.later)
			if int64(now) < 0 {
				continue
			}
			var x cell
			if !x.countStep(at) {
				t.Fatalf("step %d: not counted", at)
			}
			if got := x.sumSteps(now, windowSteps); got != c.want {
				t.Errorf("a success of step %d is %d at step %d (%+d), want %d", at, got, now, c.later, c.want)
			}
		}
	}
}

// What has left the window is cleared when it is summed, and a slot's newer
// step is not overwritten by one that is late.
func TestCellForgets(t *testing.T) {
	var x cell
	x.countStep(5)
	x.sumSteps(5+1<<31+5, windowSteps) // far later
	if got := x.sumSteps(1<<32+5, windowSteps); got != 0 {
		t.Errorf("2^32 steps later %d successes are held, want none", got)
	}
	x.countStep(25)
	if !x.countStep(15) || x.sumSteps(25, windowSteps) != 1 {
		t.Errorf("a late success of step 15 makes %d of step 25, want 1", x.sumSteps(25, windowSteps))
	}
	x.countStep(35)
	if got := x.sumSteps(35, windowSteps); got != 1 {
		t.Errorf("%d in step 35, want 1", got)
	}
}

// A count that is full stays full: it does not run over into the step.
func TestFullCount(t *testing.T) {
	var x cell
	x[5].Store(15<<32 | math.MaxUint32 - 1)
	for range 3 {
		if !x.countStep(15) {
			t.Fatal("not counted")
		}
	}
	b := New("db", Settings{FailureRate: 1, Window: time.Hour})
	w := &b.win.Load().time
	step := w.clock.step()
	slot := &w.good.first[step%windowSteps]
	slot.Store(step<<32 | math.MaxUint32 - 1)
	play(b, "sss")
	for name, c := range map[string][2]uint64{"cell": {x[5].Load(), 15}, "window": {slot.Load(), step}} {
		if got, want := c[0], c[1]<<32|math.MaxUint32; got != want {
			t.Errorf("%s: a full count became %x, want %x", name, got, want)
		}
	}
}

// A success counts in the step in which it comes, though another breaker has
// just read the clock that they share and its own slot is of an older one.
func TestSuccessBesideAnotherReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Settings{FailureRate: 1})
		a, b := m.Breaker("a"), m.Breaker("b")
		for i := range 5 {
			play(a, "s")
			play(b, "s")
			if got := b.Status().Window.Calls; got != 1 {
				t.Errorf("round %d: %d calls in the window, want 1", i+1, got)
			}
			time.Sleep(10 * time.Second) // the same slot
			synctest.Wait()
		}
	})
}
