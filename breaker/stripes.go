package breaker

import (
	"math/bits"
	"runtime"
	"sync/atomic"
)

// striped is counters that cores need not share. It begins as one cell; the
// first time two goroutines meet in it, more appear, each on cache lines of its
// own, and goroutines spread over them. What is never contended stays small.
type striped struct {
	first cell
	more  atomic.Pointer[spread]
}

// cell is the counters of one goroutine at a time. What they count is their
// owner's affair: see timeWindow and callCount.
type cell [windowSteps]atomic.Uint64

// paddedCell fills two cache lines, so that neighbours do not share one.
type paddedCell struct {
	cell
	_ [48]byte
}

// own is the cell of the goroutine that asks.
func (s *striped) own() *cell {
	if more := s.more.Load(); more != nil {
		return more.own(goroutineHash())
	}
	return &s.first
}

// contended follows a lost race: another goroutine uses the same cell.
func (s *striped) contended() {
	if more := s.more.Load(); more != nil {
		more.redraw()
	} else {
		s.more.CompareAndSwap(nil, newSpread())
	}
}

// each calls f with every cell.
func (s *striped) each(f func(*cell)) {
	f(&s.first)
	if more := s.more.Load(); more != nil {
		for i := range more.cells {
			f(&more.cells[i].cell)
		}
	}
}

// spread is cells for goroutines to spread over: twice as many as can run at
// once, within bounds, as summing visits all of them. A goroutine's is drawn
// from a hash of its stack's address. Where two that keep running draw the same,
// they lose races to each other; then all draw again, from other bits of the
// hash. When these have been used up it stays as it is, so that more goroutines
// than cells do not draw for ever.
type spread struct {
	shift atomic.Uint32 // the bits of the hash to draw from
	mask  uint32
	cells []paddedCell
}

const (
	fewestCells, mostCells = 8, 32 // powers of two
	nextDraw               = 3     // bits
	lastDraw               = 27    // five bits are left, for 32 cells
)

func newSpread() *spread {
	procs := uint(runtime.GOMAXPROCS(0))
	n := min(max(fewestCells, 1<<bits.Len(2*procs-1)), mostCells)
	return &spread{mask: uint32(n - 1), cells: make([]paddedCell, n)}
}

func (s *spread) own(hash uint32) *cell { return &s.cells[hash>>(s.shift.Load()&31)&s.mask].cell }

func (s *spread) redraw() {
	if old := s.shift.Load(); old < lastDraw {
		s.shift.CompareAndSwap(old, old+nextDraw)
	}
}
