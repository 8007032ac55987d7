package replay

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// WriteTo writes the trace as a .sgr file, whatever its source was. It holds all
// calls in memory to put them in order. Keys are written as they are in the trace. Reading the file gives the same calls.
func (t *Trace) WriteTo(w io.Writer) (int64, error) {
	out := NewWriter(w)
	h := t.Header
	h.From = t.Began.Sub(t.Base)
	out.header(h)
	var calls []tape.Call
	numbers := map[*Lane]uint32{}
	var moves []moveRow
	for i, l := range t.Breakers {
		n := uint32(i + 1)
		lane := laneHeader{Name: l.ID, Settings: l.Settings, StepBase: l.stepBase, Enrolled: max(l.enrolled, h.From), Fresh: l.Fresh}
		if name, key, keyed := strings.Cut(l.ID, "/"); keyed {
			lane.Name, lane.Key = name, key
		}
		out.breaker(n, lane)
		numbers[l] = n
		for _, m := range l.moves {
			m.Number = n
			moves = append(moves, m)
		}
	}
	err := t.each(context.Background(), func(l *Lane, c *tape.Call) {
		x := *c
		x.What = x.What.Renumbered(numbers[l])
		calls = append(calls, x)
	})
	if err != nil {
		return 0, err
	}
	slices.SortStableFunc(calls, func(a, b tape.Call) int { return cmp.Compare(a.Ended, b.Ended) })
	slices.SortStableFunc(moves, func(a, b moveRow) int { return cmp.Compare(a.At, b.At) })
	out.write(calls, moves)
	out.lost(t.Lost)
	out.end(t.Ended.Sub(t.Base), t.Untracked)
	err = out.flush()
	return out.written, err
}
