package breaker

import "sync/atomic"

const stripeCount = 8 // a power of two

// stripes is a counter of successes that cores need not share. It begins as
// one cell; the first time two goroutines meet in it, more appear, each on
// cache lines of its own, and goroutines spread over them. A breaker that is
// never contended stays small.
type stripes struct {
	first cell
	more  atomic.Pointer[[stripeCount]stripe]
}

// stripe fills two cache lines, so that neighbours do not share one.
type stripe struct {
	cell
	_ [48]byte
}

func (s *stripes) add(step uint64) {
	more := s.more.Load()
	if more == nil {
		if s.first.add(step) {
			return
		}
		s.more.CompareAndSwap(nil, new([stripeCount]stripe))
		more = s.more.Load()
	}
	// A lost race means that another goroutine sits in this cell: take the
	// next one.
	for i := here(); !more[i%stripeCount].add(step); i++ {
	}
}

func (s *stripes) sum(step uint64) int {
	n := s.first.sum(step)
	if more := s.more.Load(); more != nil {
		for i := range more {
			n += more[i].sum(step)
		}
	}
	return n
}
