package breaker

import (
	"math/bits"
	"runtime"
	"sync/atomic"
)

// striped is a set of counters that cores need not share. It begins as one
// cell. The first time that two goroutines contend for it, more cells are
// added, each on cache lines of its own, and goroutines spread over them.
// Counters without contention stay small.
type striped struct {
	first cell                   // used until there is contention
	more  atomic.Pointer[spread] // nil until then; never changed afterwards
}

// cell is a group of counters, written by one goroutine at a time if goroutines
// are spread well. Their meaning is up to the user: see timeWindow and
// callCount.
type cell [windowSteps]atomic.Uint64

// paddedCell fills two cache lines, so that neighbouring cells do not share one.
type paddedCell struct {
	cell
	_ [48]byte
}

// own returns the cell for the current goroutine. Other goroutines may have the
// same one, so counters are changed atomically in any case.
func (s *striped) own() *cell {
	if more := s.more.Load(); more != nil {
		return more.own(goroutineHash())
	}
	return &s.first
}

// contended reports a lost race: another goroutine uses the same cell.
func (s *striped) contended() {
	if more := s.more.Load(); more != nil {
		more.redraw()
	} else {
		s.more.CompareAndSwap(nil, newSpread())
	}
}

// each calls f for every cell. Goroutines may be counting at the same time.
func (s *striped) each(f func(*cell)) {
	f(&s.first)
	if more := s.more.Load(); more != nil {
		for i := range more.cells {
			f(&more.cells[i].cell)
		}
	}
}

// spread is the cells that goroutines spread over: twice as many as goroutines
// can run at once, within bounds, because a sum visits all of them. Each
// goroutine draws its cell from a hash of the address of its stack. If two
// running goroutines draw the same cell, they lose races to each other, and
// then all goroutines draw again from other bits of the hash. When the bits are
// used up, the cells stay as they are. Otherwise more goroutines than cells
// would draw again forever.
type spread struct {
	shift atomic.Uint32 // which bits of the hash to draw from
	mask  uint32        // the number of cells, less one
	cells []paddedCell
}

const (
	fewestCells, mostCells = 8, 32 // powers of two, for mask
	nextDraw               = 3     // bits to shift for each new draw
	lastDraw               = 27    // leaves five bits of the hash, enough for 32 cells
)

// newSpread returns the cells for the processors in use now.
func newSpread() *spread {
	procs := uint(runtime.GOMAXPROCS(0))
	n := min(max(fewestCells, 1<<bits.Len(2*procs-1)), mostCells)
	return &spread{mask: uint32(n - 1), cells: make([]paddedCell, n)}
}

// own returns the cell that a goroutine with this hash draws.
func (s *spread) own(hash uint32) *cell { return &s.cells[hash>>(s.shift.Load()&31)&s.mask].cell }

// redraw makes all goroutines draw again. Several that lose a race at once shift
// once, because the others find that shift has changed.
func (s *spread) redraw() {
	if old := s.shift.Load(); old < lastDraw {
		s.shift.CompareAndSwap(old, old+nextDraw)
	}
}
