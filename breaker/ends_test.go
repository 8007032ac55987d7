package breaker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever is added, removed and dropped, the count is that of a plain list.
func TestEndsCount(t *testing.T) {
	start := time.Now()
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var e ends
		var list []end
		now := 0
		e.count(at(now))
		for step := range 300 {
			switch r.IntN(4) {
			case 0, 1:
				until := now - 2 + r.IntN(20) // some have passed, and many are equal
				x := e.add(newEnd(at(until)))
				if (x == end{}) != (until <= now) {
					t.Fatalf("seed %d, step %d: %+v for an end %d s from now", seed, step, x, until-now)
				}
				if x != (end{}) {
					list = append(list, x)
				}
			case 2:
				if len(list) > 0 {
					i := r.IntN(len(list))
					e.remove(list[i]) // it may have been dropped, or removed
					list[i].at = at(now)
				}
			case 3:
				now += r.IntN(3)
			}
			want := 0
			for _, x := range list {
				want += btoi(x.at.After(at(now)))
			}
			if got := e.count(at(now)); got != want {
				t.Fatalf("seed %d, step %d: %d, want %d", seed, step, got, want)
			}
		}
	}
}

// A reading of the clock that is older than another goroutine's does not bring
// back what has ended.
func TestEndsAreOver(t *testing.T) {
	start := time.Now()
	var e ends
	x := e.add(newEnd(start.Add(time.Second)))
	e.add(newEnd(start.Add(time.Hour)))
	for _, now := range []time.Time{start.Add(time.Second), start} {
		if n := e.count(now); n != 1 {
			t.Errorf("%d at %s, want 1", n, now.Sub(start))
		}
	}
	e.remove(x)
	e.remove(end{})
	if n := e.count(start); n != 1 {
		t.Errorf("%d after the one that was dropped is removed, want 1", n)
	}
}

// No operation takes more than a few dozen steps, in whatever order things end:
// calls wait meanwhile.
func TestEndsAreShallow(t *testing.T) {
	start := time.Now()
	for name, at := range map[string]func(i int) time.Duration{
		"rising":  func(i int) time.Duration { return time.Duration(i) },
		"falling": func(i int) time.Duration { return -time.Duration(i) },
		"equal":   func(int) time.Duration { return 0 },
		"random":  func(int) time.Duration { return rand.N(time.Minute) },
	} {
		var e ends
		for i := range 100_000 {
			e.add(newEnd(start.Add(time.Hour + at(i))))
		}
		if d := e.root.depth(); d > 80 { // 40 is usual; 80 is a chance of one in 10^9
			t.Errorf("%s: 100,000 are %d deep, want 80 at most", name, d)
		}
	}
}

func (n *endNode) depth() int {
	if n == nil {
		return 0
	}
	return 1 + max(n.left.depth(), n.right.depth())
}
