package breaker

import (
	"runtime"
	"sync"
	"testing"
)

func TestSpreadHasCellsForAllProcs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 8, 4: 8, 5: 16, 8: 16, 9: 32, 16: 32, 17: 32, 100: 32} {
		runtime.GOMAXPROCS(procs)
		s := newSpread[stripe]()
		if len(s.cells) != want || s.mask != uint32(want-1) {
			t.Errorf("%d procs: %d cells, mask %x, want %d", procs, len(s.cells), s.mask, want)
		}
	}
}

// Two goroutines that meet part at the next draw, unless all the bits they draw
// from are the same.
func TestSpreadDrawsAgain(t *testing.T) {
	var counter stripes
	counter.met() // makes the cells
	counter.met()
	if got := counter.more.Load().shift.Load(); got != nextDraw {
		t.Errorf("after a second meeting it draws from bit %d, want %d", got, nextDraw)
	}
	s := &spread[stripe]{mask: mostCells - 1, cells: make([]stripe, mostCells)}
	const one, other uint32 = 0, 1 << 31
	draws := 1
	for ; s.of(one) == s.of(other); draws++ {
		if draws > 20 {
			t.Fatal("they meet for ever though their last bits differ")
		}
		s.met()
	}
	if draws != 10 || s.shift.Load() != lastDraw {
		t.Errorf("they part at draw %d from bit %d, want 10: bit 31 is in the last alone", draws, s.shift.Load())
	}
	if s.met(); s.shift.Load() != lastDraw {
		t.Errorf("then it draws from bit %d, which leaves too few", s.shift.Load())
	}
}

// However many meet, none is lost and none is turned away.
func TestStripesUnderContention(t *testing.T) {
	const goroutines, each = 50, 2000
	var s stripes
	s.met() // who has a processor alone may never meet anybody
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				s.add(3)
			}
		})
	}
	all.Wait()
	if got := s.sum(3); got != goroutines*each {
		t.Errorf("%d are counted, want %d", got, goroutines*each)
	}
}

// A call is counted once also when goroutines have met, and a count that nobody
// disputes makes nobody draw again.
func TestCallCountAfterContention(t *testing.T) {
	var c callCount
	c.more.Store(newSpread[callStripe]())
	for range 5 {
		c.add(Success)
	}
	if got, drawn := c.sum().Successes, c.more.Load().shift.Load(); got != 5 || drawn != 0 {
		t.Errorf("%d calls are counted, want 5; they draw from bit %d, want 0", got, drawn)
	}
}
