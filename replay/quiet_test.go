package replay

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/internal/tape"
)

// A candidate that passes over quiet stretches does what one does that puts every
// call to its breaker.
func TestQuietStretchesChangeNothing(t *testing.T) {
	quiet, moves := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var ill []sickness
		for at := time.Duration(0); at < 10*time.Minute; at += time.Duration(rng.IntN(200)) * time.Second {
			ill = append(ill, sickness{at, at + time.Duration(rng.IntN(30))*time.Second, rng.Float64(), time.Duration(1+rng.IntN(500)) * time.Millisecond})
		}
		recorded := randomSettings(rng)
		trace := censor(synth(seed, 1+50*rng.Float64(), 10*time.Minute, rng.Float64()*.05, ill...), recorded)
		// Calls of every kind.
		calls := trace.Breakers[0].calls
		for i := range calls {
			if c := &calls[i]; c.What.Kind() == tape.Whole {
				switch rng.IntN(60) {
				case 0:
					c.What |= tape.Beside
				case 1:
					c.What = tape.Is(uint8(breaker.Ignored), tape.Whole, tape.Late).Of(1)
				case 2:
					c.What = tape.Is(uint8(breaker.Canceled), tape.Whole, tape.Slow).Of(1)
				}
			}
		}
		r, err := newRunner(trace, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, p := randomSettings(rng), r.lanes[0]
		assume := assumption(rng.IntN(int(assumptions)))
		o := newOrder(r.s.of(p.lane), r.s.horizon)
		for i := range calls {
			o.add(&calls[i])
		}
		o.finish()
		got, want := r.candidate(s, p, assume), r.candidate(s, p, assume)
		for steps := o.out; len(steps) > 0; {
			b := &block{steps: steps[:min(len(steps), 1+rng.IntN(200))]}
			steps = steps[len(b.steps):]
			got.steps(b)
			for i := range b.steps {
				if b.quiet.next[i] > int32(i) && want.isQuiet() {
					quiet++
				}
				if want.step(&b.steps[i]); len(want.p.moved) > 0 {
					want.moved()
				}
			}
			if got.p.b.State() != want.p.b.State() || got.p.b.FailCount() != want.p.b.FailCount() || got.p.b.Status().Window != want.p.b.Status().Window {
				t.Fatalf("seed %d, %v: the breaker is %+v, want %+v", seed, s, got.p.b.Status(), want.p.b.Status())
			}
		}
		got.finish()
		want.finish()
		moves += len(want.log)
		if !reflect.DeepEqual(got.m, want.m) || !slices.Equal(got.log, want.log) || !slices.Equal(got.costs, want.costs) {
			t.Fatalf("seed %d, %v:\n%+v, want\n%+v\nmoves %v, want %v", seed, s, got.m, want.m, got.log, want.log)
		}
	}
	if quiet < 100_000 || moves < 500 {
		t.Errorf("%d quiet steps and %d transitions were compared, want more", quiet, moves)
	}
}
