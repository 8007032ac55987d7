package lab

import (
	"math"
	"testing"
)

// Two events with the same time would leave their order to the scheduler.
func TestEventsAreInOrder(t *testing.T) {
	for _, s := range everyScene() {
		if raceDetector && s.id != "O3" || s.id == "H4" || s.id == "O6" { // long
			continue
		}
		played := newScript(s)
		begun, ended := make([]bool, len(played.calls)), 0
		last := int64(-1)
		for _, e := range played.events {
			at := played.calls[e.call()].at
			if e.ends() {
				at = played.calls[e.call()].end
				ended++
				if !begun[e.call()] {
					t.Fatalf("%s: call %d ends before it begins", s.id, e.call())
				}
			}
			begun[e.call()] = true
			if int64(at) <= last {
				t.Fatalf("%s: an event at %d after one at %d", s.id, at, last)
			}
			last = int64(at)
		}
		if ended != len(played.calls) {
			t.Errorf("%s: %d of %d calls end", s.id, ended, len(played.calls))
		}
	}
}

// The truth of a scene is what its calls show.
func TestTruth(t *testing.T) {
	for _, c := range []struct {
		scene    *scene
		in, out  float64 // the share of calls that fail, in and outside of outages
		tolerate float64
	}{
		{healthy()[1], 0, 0.05, 0.001},
		{sick()[2], 1, 0.01, 0.003},
		{sick()[3], 0.5, 0.001, 0.01},
		{sick()[6], 0.8, 0.01, 0.01},
		{sick()[8], 0.5, 0.001, 0.02}, // down half of the time
	} {
		s := newScript(c.scene)
		sick := during(s.sick, 1, 0)
		var n, bad [2]float64
		for _, call := range s.calls {
			i := int(sick(call.at.Seconds()))
			n[i]++
			bad[i] += one(call.bad)
		}
		if out := bad[0] / n[0]; math.Abs(out-c.out) > c.tolerate {
			t.Errorf("%s: %.4f of the calls outside of outages fail, want %v", c.scene.id, out, c.out)
		}
		if in := bad[1] / max(1, n[1]); math.Abs(in-c.in) > c.tolerate {
			t.Errorf("%s: %.4f of the calls in outages fail, want %v", c.scene.id, in, c.in)
		}
	}
}
