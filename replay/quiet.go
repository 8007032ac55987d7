package replay

import (
	"slices"
	"sort"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// Most calls begin and succeed while a breaker is closed and has no failure on
// count: then it has nothing to write, whatever its settings are. Such calls need
// not be put to the breaker one by one. What is known about a block without its
// settings is found out once for all candidates.

// quiet is what is known of a block's steps.
type quiet struct {
	// next is for each step the first from it on that is not quiet: neither the
	// beginning of a call nor the end of one that succeeded.
	next []int32
	// begun is for each step the number of beginnings before it, and one more.
	begun []int32
	// began is for the end of a call its beginning, or -1 if that is in an
	// earlier block.
	began []int32
	// open are the beginnings, in order, of calls that are in flight at the end of
	// their quiet stretch.
	open []int32

	end []int32 // by slot, while a block is looked at: where its call ends, plus one
}

// look fills in q.
func (q *quiet) look(steps []step) {
	n := len(steps)
	q.next, q.begun, q.began = resize(q.next, n), resize(q.begun, n+1), resize(q.began, n)
	q.open = q.open[:0]
	clear(q.end)
	next := int32(n)
	for i := n - 1; i >= 0; i-- {
		s := &steps[i]
		if !s.begin && !isQuietEnd(s) || s.begin && s.call.What.Has(tape.Beside) {
			next = int32(i)
		}
		q.next[i], q.began[i] = next, -1
		if !runs(&s.call) {
			continue
		}
		for int(s.slot) >= len(q.end) {
			q.end = append(q.end, 0)
		}
		e := &q.end[s.slot]
		switch {
		case !s.begin:
			*e = int32(i) + 1
		case *e > 0:
			if q.began[*e-1] = int32(i); *e > next {
				q.open = append(q.open, int32(i))
			}
			*e = 0
		default:
			q.open = append(q.open, int32(i))
		}
	}
	slices.Reverse(q.open)
	for i := range steps {
		q.begun[i+1] = q.begun[i] + int32(btoi(steps[i].begin))
	}
}

func resize(s []int32, n int) []int32 { return slices.Grow(s[:0], n)[:n] }

// isQuietEnd reports whether a step is the end of a call that succeeded.
func isQuietEnd(s *step) bool {
	w := s.call.What
	return w.Kind() == tape.Whole && w.Outcome() == uint8(breaker.Success) && !w.Has(tape.Beside)
}

// isQuiet reports whether calls that begin and succeed need not be put to the
// breaker one by one.
func (c *candidate) isQuiet() bool {
	return c.notClosed < 0 && c.began < 0 && tape.Engine.Quiet(c.p.b)
}

// quietly replays the quiet steps from the i-th to before the j-th.
func (c *candidate) quietly(b *block, i, j int) {
	q := &b.quiet
	n := uint64(q.begun[j] - q.begun[i])
	c.m.Demand += n
	c.m.Ran += n
	if c.windowed {
		c.succeed(b, i, j)
	}
	c.p.advance(b.steps[j-1].at)
	k := sort.Search(len(q.open), func(k int) bool { return int(q.open[k]) >= i })
	for ; k < len(q.open) && int(q.open[k]) < j; k++ {
		c.p.begin(b.steps[q.open[k]].slot)
	}
}

// succeed counts the calls of quiet steps in the window.
func (c *candidate) succeed(b *block, i, j int) {
	n := 0
	until := time.Duration(0) // the end of the window's step
	for k := i; k < j; k++ {
		s := &b.steps[k]
		if s.begin {
			continue
		}
		if s.at >= until {
			tape.Engine.Succeed(c.p.b, n)
			n = 0
			c.p.advance(s.at)
			until = c.stepEnd(s.at)
		}
		if int(b.quiet.began[k]) >= i {
			n++
		} else {
			c.ended(s) // it may have been rejected, or belong to an earlier period
		}
	}
	tape.Engine.Succeed(c.p.b, n)
}

// stepEnd returns when the step of the window ends in which a time lies.
func (c *candidate) stepEnd(at time.Duration) time.Duration {
	if c.s.WindowCalls > 0 {
		return 1<<63 - 1
	}
	width := c.s.Window / windowSteps
	return c.stepBase + (at-c.stepBase)/width*width + width
}

// windowSteps is the number of steps in a window of time, see package breaker.
const windowSteps = 10
