package breaker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSpreadHasCellsForAllProcs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 8, 4: 8, 5: 16, 8: 16, 9: 32, 16: 32, 17: 32, 100: 32} {
		runtime.GOMAXPROCS(procs)
		s := newSpread()
		if len(s.cells) != want || s.mask != uint32(want-1) {
			t.Errorf("%d procs: %d cells, mask %x, want %d", procs, len(s.cells), s.mask, want)
		}
	}
}

// Two goroutines that contend are separated at the next draw, unless all the
// bits they draw from are the same.
func TestSpreadDrawsAgain(t *testing.T) {
	var counter striped
	counter.contended() // makes the cells
	counter.contended()
	if got := counter.more.Load().shift.Load(); got != nextDraw {
		t.Errorf("after a second meeting it draws from bit %d, want %d", got, nextDraw)
	}
	s := &spread{mask: mostCells - 1, cells: make([]paddedCell, mostCells)}
	const one, other uint32 = 0, 1 << 31
	draws := 1
	for ; s.own(one) == s.own(other); draws++ {
		if draws > 20 {
			t.Fatal("they contend forever though their last bits differ")
		}
		s.redraw()
	}
	if draws != 10 || s.shift.Load() != lastDraw {
		t.Errorf("they part at draw %d from bit %d, want 10: bit 31 is in the last alone", draws, s.shift.Load())
	}
	if s.redraw(); s.shift.Load() != lastDraw {
		t.Errorf("then it draws from bit %d, which leaves too few", s.shift.Load())
	}
}

// However many contend, no count is lost.
func TestStripesUnderContention(t *testing.T) {
	const goroutines, each = 50, 2000
	var s timeWindow
	s.good.contended() // a goroutine that has a processor to itself may never contend
	s.clock = newClock(nil, time.Hour)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				s.success()
			}
		})
	}
	all.Wait()
	if got := s.counts(s.clock.step(), 1).Calls; got != goroutines*each {
		t.Errorf("%d are counted, want %d", got, goroutines*each)
	}
}

// Two goroutines that create the cells at the same time get the same ones:
// otherwise the counts of one would be lost.
func TestCellsAreMadeOnce(t *testing.T) {
	const n = 5000
	counters := make([]callCount, n)
	count := func(i int) {
		counters[i].contended()
		counters[i].own()[Success].Add(1)
	}
	abreast(n, count, count)
	for i := range counters {
		if got := counters[i].read().Successes; got != 2 {
			t.Fatalf("counter %d holds %d, want 2", i, got)
		}
	}
}

// However many draw again at once, no goroutine draws from bits again that
// others have left.
func TestSpreadNeverDrawsBack(t *testing.T) {
	const n = 10_000
	all := make([]spread, n)
	var back atomic.Int32
	draw := func(i int) {
		last := uint32(0)
		for range lastDraw / nextDraw {
			all[i].redraw()
			if now := all[i].shift.Load(); now < last {
				back.Add(1)
			} else {
				last = now
			}
		}
	}
	abreast(n, draw, draw)
	if back.Load() > 0 {
		t.Errorf("they draw from earlier bits %d times", back.Load())
	}
}

// No count is lost to a race, from the first cell on.
func TestStripedLosesNoCount(t *testing.T) {
	const n = 5000
	var s striped
	count := func(int) { s.add(3) }
	abreast(n, count, count)
	sum := uint64(0)
	s.each(func(x *cell) { sum += x[3].Load() })
	if sum != 2*n {
		t.Errorf("%d are counted of %d", sum, 2*n)
	}
}
