package replay

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// sortedSteps is what an order must yield: all calls are known beforehand.
func sortedSteps(calls []tape.Call) (out []step) {
	begins := make([]int, 0, len(calls))
	for i := range calls {
		if runs(&calls[i]) {
			begins = append(begins, i)
		}
	}
	slices.SortStableFunc(begins, func(a, b int) int { return cmp.Compare(calls[a].Began, calls[b].Began) })
	begun := map[int]bool{}
	for i := range calls {
		for len(begins) > 0 && (calls[begins[0]].Began < calls[i].Ended || runs(&calls[i]) && !begun[i]) {
			k := begins[0]
			begins, begun[k] = begins[1:], true
			out = append(out, step{at: calls[k].Began, call: calls[k], begin: true})
		}
		out = append(out, step{at: calls[i].Ended, call: calls[i]})
	}
	return out
}

// Whatever takes longer than the horizon, and however calls lie beside each other,
// the steps are in the order of time, and no two calls have a slot at the same
// time.
func TestOrder(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		horizon := []time.Duration{1, 5, 50, 1000}[rng.IntN(4)]
		var calls []tape.Call
		for i := range rng.IntN(300) {
			c := tape.Call{Ended: time.Duration(rng.IntN(500) + 1), What: tape.Is(uint8(rng.IntN(4)), tape.Whole, 0).Of(1).After(i)}
			c.Began = max(0, c.Ended-time.Duration(rng.ExpFloat64()*20))
			switch rng.IntN(12) {
			case 0:
				c.What = tape.Many(3).Of(1)
			case 1:
				c.Began = 0 // before the recording
			case 2:
				c.Began = c.Ended // took no time
			case 3:
				c.What = tape.Is(uint8(breaker.Success), tape.Tail, 0).Of(1).After(i)
			}
			calls = append(calls, c)
		}
		slices.SortStableFunc(calls, func(a, b tape.Call) int { return cmp.Compare(a.Ended, b.Ended) })
		s := newSurvey()
		s.horizon = horizon
		x := s.of(&Lane{})
		for i := range calls {
			s.add(x, &calls[i])
		}
		s.finish()
		o := newOrder(x, horizon)
		for i := range calls {
			o.add(&calls[i])
			if len(calls)-i > 50 && len(o.ends)-o.endsAt > 260 {
				t.Fatalf("seed %d: %d calls are held", seed, len(o.ends)-o.endsAt)
			}
		}
		o.finish()
		want := sortedSteps(calls)
		if len(o.out) != len(want) {
			t.Fatalf("seed %d: %d steps, want %d", seed, len(o.out), len(want))
		}
		used := map[int32]tape.Call{}
		rejected := int32(0)
		for i, s := range o.out {
			w := want[i]
			// Beginnings at the same time may come in either order.
			if s.at != w.at || s.begin != w.begin || s.call != w.call && !s.begin {
				t.Fatalf("seed %d, horizon %d, step %d: %+v, want %+v", seed, horizon, i, s, w)
			}
			switch {
			case s.begin:
				if _, taken := used[s.slot]; taken {
					t.Fatalf("seed %d: two calls have slot %d", seed, s.slot)
				}
				used[s.slot] = s.call
			case runs(&s.call):
				if used[s.slot] != s.call {
					t.Fatalf("seed %d: %+v ends in the slot of %+v", seed, s.call, used[s.slot])
				}
				delete(used, s.slot)
			case s.call.What.Kind() == tape.Rejected:
				rejected = max(rejected, s.slot+1)
			}
		}
		if int(rejected) != len(x.rejectedRuns) {
			t.Fatalf("seed %d: %d runs of rejected calls, the survey has %d", seed, rejected, len(x.rejectedRuns))
		}
	}
}
