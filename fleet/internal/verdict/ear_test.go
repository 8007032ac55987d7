package verdict

import (
	"testing"
	"time"
)

func TestEar(t *testing.T) {
	p := params()
	long := p.Patience() + time.Second
	type digest struct {
		after     time.Duration
		term, seq uint64
		pushed    bool
		taken     bool
	}
	for _, c := range []struct {
		name    string
		digests []digest
	}{
		{"one after the other", []digest{{0, 1, 1, true, true}, {0, 1, 2, true, true}, {0, 2, 1, true, true}}},
		{"late and twice", []digest{{0, 1, 2, true, true}, {0, 1, 2, false, false}, {0, 1, 1, true, false}}},
		{"a coordinator whose lease has passed", []digest{{0, 2, 1, true, true}, {0, 1, 8, true, false}, {0, 1, 9, true, false}}},
		{"a store that fell back", []digest{{0, 3, 7, true, true}, {long, 2, 1, false, false}, {0, 2, 1, false, false}, {0, 2, 2, false, true}, {0, 2, 3, true, true}}},
		{"a store that gives a term twice", []digest{{0, 3, 700, true, true}, {long, 3, 1, false, false}, {0, 3, 2, false, true}, {0, 3, 3, true, true}}},
		{"the newest again and again", []digest{{0, 3, 7, true, true}, {long, 3, 7, false, false}, {0, 3, 7, false, false}}},
	} {
		var e Ear
		now := time.Minute
		for i, d := range c.digests {
			now += d.after
			if got := e.Take(p, now, d.term, d.seq, d.pushed); got != d.taken || got && e.At != now {
				t.Errorf("%s: digest %d: %v at %s, want %v", c.name, i, got, e.At, d.taken)
			}
		}
	}
	// What was there before says nothing of now.
	var e Ear
	if !e.Take(p, time.Minute, 4, 2, false) || e.At != 0 {
		t.Errorf("the first read counts as heard: %+v", e)
	}
	if e.Take(p, time.Minute, 4, 2, true) || !e.Take(p, time.Minute, 4, 3, true) {
		t.Error("want only one that is newer taken")
	}
}
