package main

import (
	"math"
	"testing"
	"time"
)

// TestBounds fails when a ratio is worse than recorded by more than noise
// explains: the best of three tries counts, and only ratios are compared. After
// a change that is worth its price, `go run . -record` writes new bounds.
func TestBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	if raceEnabled {
		t.Skip("the race detector changes every ratio")
	}
	bounds, err := readBounds()
	if err != nil {
		t.Fatal(err)
	}
	best := map[string]float64{}
	for try := range 3 {
		got, err := measureGates()
		if err != nil {
			t.Fatal(err)
		}
		worse := 0
		for name, v := range got {
			if old, ok := best[name]; !ok || v < old {
				best[name] = v
			}
			if b, ok := bounds[name]; !ok || best[name] > b.Most {
				worse++
			}
		}
		t.Logf("try %d: %d of %d ratios over their bounds", try+1, worse, len(got))
		if worse == 0 {
			break
		}
	}
	for name, v := range best {
		b, ok := bounds[name]
		switch {
		case !ok:
			t.Errorf("%s has no recorded bound: go run . -record", name)
		case v > b.Most || math.IsNaN(v):
			t.Errorf("%s is %.3f, and was %.3f when it was recorded; %.3f is allowed", name, v, b.Reached, b.Most)
		}
	}
	for name := range bounds {
		if _, ok := best[name]; !ok {
			t.Errorf("%s is recorded but no longer a target: go run . -record", name)
		}
	}
}

// TestNoAllocations holds every closed and open path of ours at none.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var cases []*Case
	for _, c := range workloads(own(), []int{0}) {
		if c.Group == closed || c.Group == opened {
			cases = append(cases, c)
		}
	}
	rows := measureAll(cases, Effort{Rounds: 1, Batch: time.Millisecond}, nil)
	for _, r := range rows {
		if r.Err != nil {
			t.Errorf("%s did not do its work: %v", r.ID(), r.Err)
		}
	}
	all, guilty := freeOfAllocations(rows)
	if len(all) != len(cases) {
		t.Errorf("counted the allocations of %d rows, want %d", len(all), len(cases))
	}
	for _, r := range guilty {
		t.Errorf("%s allocates %v times per operation", r.ID(), r.Allocs)
	}
}
