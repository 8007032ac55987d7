package replay

import (
	"cmp"
	"slices"
	"time"

	"github.com/switchgear-go/switchgear/internal/tape"
)

// step is the beginning or the end of a call, or a number of rejected calls.
type step struct {
	at   time.Duration
	call *tape.Call
	// slot is a small number that belongs to the call while it runs; for rejected
	// calls, it is the index of their record.
	slot  int32
	begin bool
}

// walk yields what happened to a breaker in the order of time.
type walk struct {
	calls  []tape.Call // in the order of their ends
	begins []int32     // indexes of calls that ran, in the order of their beginnings
	slots  []int32     // by call: its slot plus one, from its beginning on
	free   []int32
	made   int32 // slots made so far
	b, e   int   // the next of begins and of calls
}

func newWalk(l *Lane) *walk {
	w := &walk{calls: l.calls, slots: make([]int32, len(l.calls))}
	for i := range l.calls {
		if k := l.calls[i].What.Kind(); k == tape.Whole || k == tape.Answered {
			w.begins = append(w.begins, int32(i))
		}
	}
	w.sort()
	return w
}

// sort puts begins in the order of time. They are nearly in order, as the calls
// are in the order of their ends: an insertion moves a call past those that ran
// at the same time. If these are many, sorting anew is faster.
func (w *walk) sort() {
	moves := 0
	for i := 1; i < len(w.begins); i++ {
		x := w.begins[i]
		began := w.calls[x].Began
		j := i
		for ; j > 0 && w.calls[w.begins[j-1]].Began > began; j-- {
			w.begins[j] = w.begins[j-1]
		}
		w.begins[j] = x
		if moves += i - j; moves > 32*len(w.begins) {
			slices.SortStableFunc(w.begins, func(a, b int32) int { return cmp.Compare(w.calls[a].Began, w.calls[b].Began) })
			return
		}
	}
}

// rewind begins again.
func (w *walk) rewind() {
	clear(w.slots)
	w.free, w.made, w.b, w.e = w.free[:0], 0, 0, 0
}

// next returns the next step. Of steps at the same time, ends come first, except
// that a call begins before it ends.
func (w *walk) next(s *step) bool {
	if w.e == len(w.calls) {
		return false
	}
	c := &w.calls[w.e]
	kind := c.What.Kind()
	runs := kind == tape.Whole || kind == tape.Answered
	if w.b < len(w.begins) {
		i := w.begins[w.b]
		if first := &w.calls[i]; first.Began < c.Ended || runs && w.slots[w.e] == 0 {
			w.b++
			n := w.made
			if k := len(w.free); k > 0 {
				n = w.free[k-1]
				w.free = w.free[:k-1]
			} else {
				w.made++
			}
			w.slots[i] = n + 1
			*s = step{at: first.Began, call: first, slot: n, begin: true}
			return true
		}
	}
	*s = step{at: c.Ended, call: c, slot: int32(w.e)}
	if runs {
		s.slot = w.slots[w.e] - 1
		w.free = append(w.free, s.slot)
	}
	w.e++
	return true
}
