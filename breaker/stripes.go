package breaker

import (
	"math/bits"
	"runtime"
	"sync/atomic"
)

// stripes is a counter of successes that cores need not share. It begins as
// one cell; the first time two goroutines meet in it, more appear, each on
// cache lines of its own, and goroutines spread over them. A breaker that is
// never contended stays small.
type stripes struct {
	first cell
	more  atomic.Pointer[spread[stripe]]
}

// stripe fills two cache lines, so that neighbours do not share one.
type stripe struct {
	cell
	_ [48]byte
}

func (s *stripes) add(step uint64) {
	for !s.mine().add(step) {
		s.met()
	}
}

func (s *stripes) mine() *cell {
	if more := s.more.Load(); more != nil {
		return &more.mine().cell
	}
	return &s.first
}

// met follows a lost race: another goroutine sits in the same cell.
func (s *stripes) met() {
	if more := s.more.Load(); more != nil {
		more.met()
	} else {
		s.more.CompareAndSwap(nil, newSpread[stripe]())
	}
}

func (s *stripes) sum(step uint64) int {
	n := s.first.sum(step)
	if more := s.more.Load(); more != nil {
		for i := range more.cells {
			n += more.cells[i].sum(step)
		}
	}
	return n
}

// spread is cells for goroutines to spread over: twice as many as can run at
// once, within bounds, as whoever sums them up visits all. Which one is a
// goroutine's is drawn from its stack's address. Where two that keep running
// draw the same, they lose races to each other; then all draw again, from other
// bits of the address. When these have been used up it stays as it is, so that
// more goroutines than cells do not draw for ever.
type spread[C any] struct {
	shift atomic.Uint32 // the bits of here to draw from
	mask  uint32
	cells []C
}

const (
	fewestCells, mostCells = 8, 32 // powers of two
	nextDraw               = 3     // bits
	lastDraw               = 27    // five bits are left, for 32 cells
)

func newSpread[C any]() *spread[C] {
	procs := uint(runtime.GOMAXPROCS(0))
	n := min(max(fewestCells, 1<<bits.Len(2*procs-1)), mostCells)
	return &spread[C]{mask: uint32(n - 1), cells: make([]C, n)}
}

// mine is the cell of the goroutine that asks.
func (s *spread[C]) mine() *C { return s.of(here()) }

func (s *spread[C]) of(here uint32) *C { return &s.cells[here>>(s.shift.Load()&31)&s.mask] }

// met makes all draw again.
func (s *spread[C]) met() {
	if old := s.shift.Load(); old < lastDraw {
		s.shift.CompareAndSwap(old, old+nextDraw)
	}
}
